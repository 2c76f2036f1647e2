"""The command line, run as a program: what it prints, writes, leaves behind and returns."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import pty
import re
import resource
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from allcores.cli import main
from allcores.jobs.result_file import ResultFile, ResultFileError
from command_line import COMMAND, allcores, make, without_time


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the test's files, also the current one: paths stay short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path.resolve()


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal of 80 columns: the end that a person has, and the program's."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


# -- what it prints ----------------------------------------------------------------------------------------


def test_each_file_has_its_line_and_the_totals_and_the_time_follow() -> None:
    make("d/a.txt", "天地\n玄黄\n")
    make("d/e/b.10w", "one\r\ntwo")
    make("d/skipped.md")
    done = allcores("count", "d")
    assert done.returncode == 0
    assert done.stderr == ""
    *rows, time_line = done.stdout.splitlines()
    assert rows == [
        "d/a.txt lines: 2 characters: 4",
        "d/e/b.10w lines: 2 characters: 6",
        "total lines: 4 characters: 10 files: 2 failed: 0",
        "left out: files with other names: 1 (--all counts them)",
    ]
    assert re.fullmatch(r"time: \d+\.\d{3} s", time_line)


def test_the_output_is_the_same_for_any_number_of_workers() -> None:
    for number in range(40):
        make(f"d/{number}.txt", "é line\n" * (number * 1000 % 7000))
    for name in ("d/17-large.txt", "d/3-large.txt"):  # enough for workers
        make(name, "")
        os.truncate(name, 150 * 1024 * 1024)
    outputs = [without_time(allcores("count", "d", "--binary", "-j", jobs).stdout) for jobs in ("1", "2", "3")]
    assert len(outputs[0]) == 43
    assert outputs[0] == outputs[1] == outputs[2]


def test_include_may_be_repeated_and_replaces_the_default() -> None:
    for name in ("a.txt", "b.py", "c.md"):
        make(f"d/{name}")
    done = allcores("count", "d", "--include", "*.py", "--include=*.md")
    assert without_time(done.stdout)[:2] == ["d/b.py lines: 1 characters: 4", "d/c.md lines: 1 characters: 4"]


def test_files_that_fail_are_named_on_stderr_and_the_rest_is_counted() -> None:
    make("d/bad.txt", b"fine\nbut \xff\n")
    make("d/good.txt")
    os.mkfifo("fifo")
    os.symlink("gone", "dangling")
    done = allcores("count", "d", "fifo", "dangling", "nowhere")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "allcores count: d/bad.txt: not UTF-8: invalid start byte at byte 9",
        "allcores count: dangling: no such file or directory",
        "allcores count: fifo: a FIFO, not a regular file",
        "allcores count: nowhere: no such file or directory",
    ]
    assert without_time(done.stdout) == [
        "d/good.txt lines: 1 characters: 4",
        "total lines: 1 characters: 4 files: 1 failed: 4",
    ]


def test_names_that_the_terminal_cannot_show_do_not_end_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    make("天地.txt")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = allcores("count", ".")
    assert done.returncode == 0
    assert done.stdout.startswith("./\\u5929\\u5730.txt lines: 1 characters: 4\n")


def test_what_is_left_out_is_said() -> None:
    for name in ("a.txt", ".b.txt", ".c/d.txt"):
        make(f"d/{name}")
    os.symlink("a.txt", "d/link.txt")
    done = allcores("count", "d")
    assert done.returncode == 0
    assert (
        "left out: hidden files: 1; hidden folders: 1; links to files: 1 (--hidden counts what is hidden)\n"
        in done.stdout
    )
    assert "files: 3 failed: 0" in allcores("count", "d", "--hidden").stdout


def test_if_nothing_matches_it_says_what_was_looked_for_and_what_is_there() -> None:
    for number in range(3):
        make(f"d/{number}.py")
    make("d/readme")
    done = allcores("count", "d", "-o", "result.txt")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "allcores count: no file matches '*.txt' or '*.10w' below d",
        "  there are: 3 .py, 1 without an ending",
        "  to count those, say --include '*.py'; --all takes any name",
    ]
    assert not os.path.exists("result.txt")


def test_if_there_is_nothing_or_only_hidden_things_it_says_so() -> None:
    os.mkdir("d")
    assert "there are no files at all" in allcores("count", "d").stderr
    make("d/.a.txt")
    assert "left out: hidden files: 1 (--hidden counts what is hidden)" in allcores("count", "d").stderr


def read_screen(ours: int) -> str:
    """All that has been written to the terminal; its lines end in CR LF there."""
    fcntl.fcntl(ours, fcntl.F_SETFL, os.O_NONBLOCK)
    data = b""
    while True:
        try:
            data += os.read(ours, 1 << 16)
        except BlockingIOError:
            return data.decode().replace("\r\n", "\n")


def test_a_long_count_has_a_progress_bar_on_a_terminal_and_nothing_of_it_in_the_output(
    terminal: tuple[int, int],
) -> None:
    ours, theirs = terminal
    make("d/a.txt", "")
    os.truncate("d/a.txt", 1 << 42)
    with subprocess.Popen(
        [*COMMAND, "count", "d", "--binary"], stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        screen = ""

        def bar_has_moved() -> bool:
            nonlocal screen
            screen += read_screen(ours)
            return len(re.findall(r"counting: [\d.]+GB \[", screen)) > 1

        until(bar_has_moved)
        process.send_signal(signal.SIGINT)
        assert process.communicate()[0] == ""
    assert process.returncode == 130
    assert "0 files" in screen


def test_a_short_count_has_no_progress_bar_and_no_count_has_one_elsewhere(terminal: tuple[int, int]) -> None:
    make("d/a.txt")
    ours, theirs = terminal
    done = allcores("count", "d", stderr=theirs)
    assert read_screen(ours) == ""
    assert done.stdout.startswith("d/a.txt lines: 1 characters: 4\ntotal ")
    make("d/large.txt", "")
    os.truncate("d/large.txt", 200 << 20)
    assert allcores("count", "d", "--binary", "-j1", "--encoding", "gb18030").stderr == ""


def test_on_a_terminal_there_is_a_table(terminal: tuple[int, int]) -> None:
    for number in range(3):
        make(f"d/{number}.txt", "line\n" * 1000 * number)
    make("d/bad.txt", b"\xff")
    make("d/binary.txt", b"\0")
    ours, theirs = terminal
    done = allcores("count", "d", stdout=theirs, stderr=theirs)
    assert done.returncode == 1
    assert without_time(read_screen(ours)) == [
        "allcores count: d/bad.txt: not UTF-8: invalid start byte at byte 0",
        "allcores count: d/binary.txt: left out as binary: it has a NUL near its start",
        "        lines       characters  path",
        "            0                0  d/0.txt",
        "        1,000            4,000  d/1.txt",
        "        2,000            8,000  d/2.txt",
        "        3,000           12,000  total of 3 files",
        "not counted: 1 failed, 1 binary",
    ]


# -- usage -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["cuont"], "invalid choice: 'cuont'"),
        (["count"], "required: PATH"),
        (["count", "d", "-j", "0"], "invalid number value: '0'"),
        (["count", "d", "-j", "two"], "invalid number value: 'two'"),
        (["count", "d", "--include", ""], "an empty pattern matches nothing"),
        (["count", "d", "--encoding", "utf-9"], "there is no encoding called 'utf-9'"),
        (["count", "d", "--encoding", "rot13"], "'rot13' is not an encoding of text"),
        (["count", "d", "--errors", "lenient"], "invalid choice: 'lenient'"),
        (["count", "d", "-0"], "-0 is about the list that --files-from reads"),
        (["count", "--files-from", "no such list"], "cannot read no such list: No such file or directory"),
        (["count", "d", "--sort", "files"], "it needs --by-dir or --by-ext"),
        (["count", "d", "--by-dir", "--by-ext"], "not allowed with"),
        (["count", "d", "--format", "parquet"], "-o FILE.parquet"),
        (["count", "d", "--bogus"], "unrecognized arguments: --bogus"),
        (
            ["count", "d", "-o", "no/such/folder.txt"],
            "cannot write no/such/folder.txt: No such file or directory",
        ),
        (["count", "d", "-o", "d"], "overwrite it"),
        (["count", "d", "-o", "-"], "without -o, rows go to standard output"),
        (["count", "d", "-o", "/dev/null"], "cannot write /dev/null: not a regular file"),
        (
            ["count", "d", "-o", "result.json"],
            "no .json is written; let the name end in .csv, .jsonl, .parquet or .txt",
        ),
        (["count", "d/a.txt", "-o", "d/a.txt"], "d/a.txt is to be counted: the result would overwrite it"),
    ],
)
def test_wrong_usage_is_explained_with_exit_code_2(arguments: list[str], message: str) -> None:
    make("d/a.txt")
    done = allcores(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: allcores")
    assert message in done.stderr
    assert os.listdir() == ["d"]


def test_help_and_version_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["--help"], "count the lines and characters"),
        (["count", "--help"], "allcores count src --include '*.py'"),
        (["--version"], "allcores "),
        (["count", "--version"], "allcores "),
    ):
        with pytest.raises(SystemExit, match="0"):
            main(arguments)
        assert words in capsys.readouterr().out


def test_help_needs_neither_the_pool_nor_a_progress_bar() -> None:
    program = (
        "import sys, allcores.cli\n"
        "try: allcores.cli.main(['count', '--help'])\n"
        "except SystemExit: print(*sorted(sys.modules))"
    )
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = set(modules.splitlines()[-1].split())
    assert "allcores.jobs.count.command" in loaded
    assert not loaded & {"tqdm", "allcores.pool", "cloudpickle", "psutil", "numpy"}


# -- result files ------------------------------------------------------------------------------------------

# As docs/count.md has it.
TEXT_ROW = re.compile(r'("(?:[^"\\]|\\.)*"|[^"].*?) (?:lines: (\d+) characters: (\d+)|error: (.+))')

ODD_NAMES = [
    "=1+1.txt",
    "-dash.txt",
    '"quoted".txt',
    "comma,.txt",
    "line\nfeed.txt",
    "return\r.txt",
    "escape\x1b[31m.txt",
    " lines: 7 characters: 7",
    " error: none.txt",
    "separator\u2028.txt",
    "\ttab.txt",
    "total",
    "天地.txt",
    os.fsdecode(b"latin-\xe9.txt"),
]


def test_csv_has_a_row_for_each_file_whatever_its_name() -> None:
    for name in ODD_NAMES:
        make(name)
    make("bad.txt", b"\xff")
    done = allcores("count", "-o", "result.csv", "bad.txt", "--", *ODD_NAMES)
    assert done.returncode == 1
    with open("result.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    paths = [row["path"] for row in rows]
    assert sorted(map(os.path.normpath, paths)) == sorted([*ODD_NAMES, "bad.txt"])
    assert not any(path.startswith(("=", "+", "-", "@", "\t", "\r")) for path in paths)
    assert all(os.path.exists(path) for path in paths)
    counted = {"lines": "1", "characters": "4", "bytes": "5", "encoding": "utf-8", "note": "", "error": ""}
    failed = dict.fromkeys(counted, "") | {"error": "not UTF-8: invalid start byte at byte 0"}
    for row in rows:
        assert row == {"path": row["path"], **(failed if row["path"] == "bad.txt" else counted)}
    assert "./=1+1.txt" in paths


def test_json_lines_has_a_row_for_each_file_whatever_its_name() -> None:
    for name in ODD_NAMES:
        make(name)
    make("bad.txt", b"\xff")
    done = allcores("count", "-o", "result.jsonl", "bad.txt", "--", *ODD_NAMES)
    assert done.returncode == 1
    with open("result.jsonl", encoding="utf-8") as file:
        rows = list(map(json.loads, file))
    assert [row["path"] for row in rows] == sorted([*ODD_NAMES, "bad.txt"], key=os.fsencode)
    for row in rows:
        if row["path"] == "bad.txt":
            assert row == {"path": "bad.txt", "error": "not UTF-8: invalid start byte at byte 0"}
        else:
            assert row == {"path": row["path"], "lines": 1, "characters": 4, "bytes": 5, "encoding": "utf-8"}


def test_text_has_a_line_for_each_file_whatever_its_name() -> None:
    for name in ODD_NAMES:
        make(name)
    make("bad.txt", b"\xff")
    done = allcores("count", "-o", "result.txt", "bad.txt", "--", *ODD_NAMES)
    assert done.returncode == 1
    with open("result.txt", encoding="utf-8") as file:
        *lines, total = file.read().split("\n")[:-1]
    assert total == "total lines: 14 characters: 56 files: 14 failed: 1"
    assert not TEXT_ROW.fullmatch(total)
    paths = []
    for line in lines:
        row = TEXT_ROW.fullmatch(line)
        assert row
        path = json.loads(row[1]) if row[1].startswith('"') else row[1]
        paths.append(path)
        assert row.groups()[1:] == (
            (None, None, "not UTF-8: invalid start byte at byte 0") if path == "bad.txt" else ("1", "4", None)
        )
    assert paths == sorted([*ODD_NAMES, "bad.txt"], key=os.fsencode)
    assert without_time(done.stdout) == [total, "written: result.txt"]


def test_the_result_and_earlier_ones_of_its_name_are_not_counted() -> None:
    make("d/a.txt")
    for _ in range(2):
        done = allcores("count", "d", "-o", "d/result.txt", "--include", "*", "--hidden")
        assert done.returncode == 0
        assert Path("d/result.txt").read_text() == (
            "d/a.txt lines: 1 characters: 4\ntotal lines: 1 characters: 4 files: 1 failed: 0\n"
        )
    assert sorted(os.listdir("d")) == ["a.txt", "result.txt"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells where standard output goes")
def test_the_file_that_the_shell_sends_the_output_to_is_not_counted() -> None:
    make("d/a.txt")
    for _ in range(2):
        with open("d/result.txt", "w") as file:
            assert allcores("count", "d", stdout=file.fileno()).returncode == 0
        assert Path("d/result.txt").read_text().splitlines()[:2] == [
            "d/a.txt lines: 1 characters: 4",
            "total lines: 1 characters: 4 files: 1 failed: 0",
        ]
    with open("d/a.txt", "a") as file:
        done = allcores("count", "d/a.txt", stdout=file.fileno())
    assert done.returncode == 2
    assert "is where standard output goes" in done.stderr
    assert Path("d/a.txt").read_text() == "line\n"


def test_a_new_result_has_the_permissions_that_the_umask_leaves_and_an_old_one_keeps_its_own() -> None:
    make("d/a.txt")
    allcores("count", "d", "-o", "result.csv", umask=0o027)
    assert os.stat("result.csv").st_mode & 0o777 == 0o640
    os.chmod("result.csv", 0o604)
    allcores("count", "d", "-o", "result.csv", umask=0o077)
    assert os.stat("result.csv").st_mode & 0o777 == 0o604


def test_a_result_that_does_not_fit_on_the_disk_leaves_the_old_one_alone() -> None:
    for number in range(300):
        make(f"d/{number}.txt")
    make("result.csv", "the old result\n")

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = allcores("count", "d", "-j1", "-o", "result.csv", preexec_fn=small_disk)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "allcores count: cannot write result.csv: File too large\n"
    assert Path("result.csv").read_text() == "the old result\n"
    assert sorted(os.listdir()) == ["d", "result.csv"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device")
@pytest.mark.parametrize("files", [1, 3000])
def test_output_that_does_not_fit_is_an_error_in_one_line(files: int) -> None:
    for number in range(files):
        make(f"d/{number}.txt")
    with open("/dev/full", "w") as full:
        done = allcores("count", "d", stdout=full.fileno())
    assert done.returncode == 1
    assert done.stderr == "allcores count: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("stream", [1, 2])
def test_a_closed_standard_stream_does_not_end_the_count(stream: int) -> None:
    make("d/a.txt")
    make("d/bad.txt", b"\xff")
    done = allcores("count", "d", "-o", "result.csv", preexec_fn=lambda: os.close(stream))
    assert done.returncode == 1
    assert Path("result.csv").read_text().splitlines()[1] == "d/a.txt,1,4,5,utf-8,,"


@pytest.fixture(params=["without a name", "with a name"])
def part_file(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both places that an unfinished result can be kept in."""
    if request.param == "with a name":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("files always have names here")
    return str(request.param)


def test_a_result_file_appears_on_commit_whole(here: Path, part_file: str) -> None:
    with ResultFile("result.txt") as result:
        result.write("a\n" * 10_000)
        assert not os.path.exists("result.txt")
        result.commit()
    assert Path("result.txt").read_text() == "a\n" * 10_000
    assert os.listdir() == ["result.txt"]


def test_a_result_file_without_commit_never_was(here: Path, part_file: str) -> None:
    make("result.txt", "old")
    with ResultFile("result.txt") as result:
        result.write("new" * 10_000)
    assert Path("result.txt").read_text() == "old"
    assert os.listdir() == ["result.txt"]


def test_a_result_file_that_is_a_link_stays_one(here: Path, part_file: str) -> None:
    os.mkdir("d")
    os.symlink("d/real.txt", "link.txt")
    with ResultFile("link.txt") as result:
        result.write("new")
        result.commit()
    assert os.readlink("link.txt") == "d/real.txt"
    assert Path("d/real.txt").read_text() == "new"


def test_a_result_file_that_cannot_get_its_name_leaves_nothing(here: Path, part_file: str) -> None:
    with ResultFile("result") as result:
        result.write("new")
        make("result/in the way")
        with pytest.raises(ResultFileError, match="cannot write result"):
            result.commit()
    assert os.listdir() == ["result"]
    assert os.listdir("result") == ["in the way"]


# -- ending early ------------------------------------------------------------------------------------------


@pytest.fixture(params=["threads", "processes", "serial"])
def long_count(here: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A count that takes long, into a result file, in a process group of its own as a shell would have it."""
    make("result.csv", "the old result\n")
    for name in ("d/a.txt", "d/b.txt"):
        make(name, "")
        os.truncate(name, 1 << 40)
    process = subprocess.Popen(
        [*COMMAND, "count", "d", "--binary", "-j2", "--engine", request.param, "-o", "result.csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until(lambda: any(has_open(pid, here / "d/a.txt") for pid in processes_in(here)))
        yield process
    finally:
        for pid in processes_in(here):
            os.kill(pid, signal.SIGKILL)
        process.communicate()


def processes_in(folder: Path) -> list[int]:
    """The processes that work in a folder, this one excepted: a program and all that it has started."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and link(f"/proc/{pid}/cwd") == str(folder)]


def has_open(pid: int, path: Path) -> bool:
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:  # the process has ended
        return False
    return any(link(f"/proc/{pid}/fd/{name}") == str(path) for name in names)


def link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize(
    ("number", "code", "message"),
    [(signal.SIGINT, 130, "allcores count: interrupted\n"), (signal.SIGTERM, 143, "")],
)
def test_a_count_that_is_stopped_ends_at_once_and_leaves_nothing_behind(
    here: Path, long_count: subprocess.Popen[str], number: signal.Signals, code: int, message: str
) -> None:
    if number == signal.SIGINT:
        os.killpg(long_count.pid, number)  # as a terminal does
    else:
        long_count.send_signal(number)
    output, errors = long_count.communicate(timeout=30)
    assert (long_count.returncode, output, errors) == (code, "", message)
    until(lambda: not processes_in(here), seconds=5)
    assert Path("result.csv").read_text() == "the old result\n"
    assert sorted(os.listdir()) == ["d", "result.csv"]


def test_a_reader_that_has_seen_enough_ends_the_count_quietly() -> None:
    for number in range(5000):
        make(f"d/{number}.txt")
    with subprocess.Popen(
        [*COMMAND, "count", "d"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "d/0.txt lines: 1 characters: 4\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
