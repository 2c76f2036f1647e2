"""Every example runs as it stands; those that the standard library can run, with it as well, and say the same.

Only what the examples print is checked, never how long they take.
"""

import pathlib
import re
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "examples"
IMPORT = "import allcores as multiprocessing\n"


def lines_of(script, arguments):
    """What a program printed."""
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture(params=["allcores", "multiprocessing"])
def run(request, tmp_path):
    """A function that runs an example as a program of its own and returns the lines it printed."""

    def run_example(name, *arguments):
        source = (EXAMPLES / name).read_text(encoding="utf-8")
        assert source.count(IMPORT) == 1, "the one line that a reader changes"
        if request.param == "multiprocessing":
            source = source.replace(IMPORT, "import multiprocessing\n")
        script = tmp_path / name
        script.write_text(source, encoding="utf-8")
        return lines_of(script, arguments)

    return run_example


def test_five_processes_say_their_names_and_numbers_and_the_parent_waits_for_all(run):
    *hellos, last = run("hello_processes.py")
    # With PYTHONUNBUFFERED a line and its end are written apart, and another process may come between them.
    found = re.findall(r"Hello, I am (\w+) and my number is (\d)\.", "".join(hellos))
    assert sorted(found) == [("Ada", "1"), ("Barbara", "2"), ("Grace", "3"), ("Radia", "4"), ("Sophie", "5")]
    assert last == "All five are done."


def test_six_sleeps_tells_both_times(run):
    serial, parallel = run("six_sleeps.py", 0.05)
    assert serial.startswith("One after the other: 6 naps in ")
    assert parallel.startswith("On a pool of five:   6 naps in ")
    assert serial.endswith(" seconds")
    assert parallel.endswith(" seconds")


def test_pairs_are_taken_apart_and_the_results_keep_their_order(run):
    assert run("pairs.py") == [
        "2 to the power of 10 is 1024",
        "3 to the power of 7 is 2187",
        "5 to the power of 5 is 3125",
        "7 to the power of 3 is 343",
        "10 to the power of 2 is 100",
    ]


def test_a_folder_is_counted_file_by_file_with_the_totals_at_the_end(run, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"one\ntwo\r\nthree")
    (folder / "b.md").write_bytes("größer\n\n".encode())
    (folder / "empty.txt").write_bytes(b"")
    (folder / "picture.png").write_bytes(b"no text")
    assert run("count_folder.py", folder) == [
        "a.txt: lines: 3 characters: 11",
        "b.md: lines: 2 characters: 6",
        "empty.txt: lines: 0 characters: 0",
        "3 files, 5 lines, 17 characters",
    ]


def test_without_a_folder_the_standard_library_is_counted(run):
    *files, total = run("count_folder.py")
    assert any(line.startswith("argparse.py: lines: ") for line in files)
    assert total.startswith(f"{len(files)} files, ")


def test_texts_counted_the_old_way_are_counted_as_the_command_counts_them(run, tmp_path):
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"one\ntwo\r\nthree")
    (folder / "deep" / "b.10w").write_bytes("größer\r\n\r\n".encode() * 1000)
    (folder / "c.md").write_bytes(b"of another kind")
    result = tmp_path / "result.txt"
    assert run("count_pool.py", folder, result) == [f"2 files, 2003 lines, 6011 characters: {result}"]
    *lines, last = result.read_text(encoding="utf-8").splitlines()
    assert lines == [
        f"{folder}/a.txt lines: 3 characters: 11",
        f"{folder}/deep/b.10w lines: 2000 characters: 6000",
        "total lines: 2003 characters: 6011",
    ]
    assert last.startswith("time: ")
    command = [sys.executable, "-m", "allcores", "count", str(folder)]
    counted = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=50, check=True).stdout
    assert counted.splitlines()[:2] == lines[:2]


def test_counters_lose_no_step_when_they_are_guarded():
    without, with_lock = lines_of(EXAMPLES / "guarded_counters.py", [2000])
    assert re.fullmatch(r"Without a lock: \d+ of 8000 steps are lost", without)
    assert with_lock == "With a lock:    0 of 8000 steps are lost"


def test_what_goes_through_a_bounded_buffer_comes_out_of_it():
    assert lines_of(EXAMPLES / "bounded_buffer.py", [301]) == [
        "301 numbers went through 8 places; they add up to 45150, as they should: 45150"
    ]


PAGE = EXAMPLES.parent / "docs" / "process-and-sync.md"


def test_the_programs_in_the_page_on_processes_and_locks_say_what_it_says(tmp_path):
    programs = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    said = []
    for program in programs:
        script = tmp_path / "program.py"
        script.write_text(program, encoding="utf-8")
        done = subprocess.run([sys.executable, script], capture_output=True, encoding="utf-8", timeout=50, check=False)
        assert done.returncode == 0, done.stderr
        said.append((done.stdout + done.stderr).splitlines())
    process, lock, task = said
    assert process[:2] == ["144", "ZeroDivisionError('division by zero')"]
    assert re.match(r"Process-3 \(pid \d+\) was ended by SIGKILL before sleep had come to its end", process[2])
    assert "what it guards may be half done: time to repair it" in lock
    assert any("LockRecovered: a lock was recovered: it was held by process " in line for line in lock)
    assert task == ["100"]
