"""The options of ``allcores count``: which files, how they are read, what comes out."""

from __future__ import annotations

import csv
import ctypes
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from allcores import cli
from command_line import COMMAND, allcores, make, without_time
from count_corpus import NAMES


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the test's files, also the current one: paths stay short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path.resolve()


def rows_of(*arguments: str, code: int = 0, **options: Any) -> list[dict[str, Any]]:
    """The rows of a count as JSON Lines on standard output."""
    done = allcores("count", "--format", "jsonl", *arguments, **options)
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def paths_of(*arguments: str, **options: Any) -> list[str]:
    return [row["path"] for row in rows_of(*arguments, **options)]


# -- which files -------------------------------------------------------------------------------------------


def test_all_hidden_exclude_and_patterns_choose_files() -> None:
    for name in ("d/a.txt", "d/b.py", "d/c", "d/.d.txt", "d/e/f.txt", "d/e/g.py", "d/.h/i.txt"):
        make(name)
    assert paths_of("d") == ["d/a.txt", "d/e/f.txt"]
    assert paths_of("d", "--all") == ["d/a.txt", "d/b.py", "d/c", "d/e/f.txt", "d/e/g.py"]
    assert paths_of("d", "--hidden") == ["d/.d.txt", "d/.h/i.txt", "d/a.txt", "d/e/f.txt"]
    assert paths_of("d", "--all", "--exclude", "e", "--exclude", "*.txt") == ["d/b.py", "d/c"]
    assert paths_of("d", "--include", "e/*.py") == ["d/e/g.py"]


def test_paths_may_stand_before_and_after_options() -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        make(name)
    assert paths_of("a.txt", "-j", "1", "b.txt", "--binary", "c.txt") == ["a.txt", "b.txt", "c.txt"]
    make("-x.txt")
    assert paths_of("a.txt", "--", "-x.txt") == ["-x.txt", "a.txt"]


def test_gitignore_is_followed_if_asked() -> None:
    make("d/.gitignore", "build\n*.log\n")
    for name in ("d/a.txt", "d/b.log", "d/build/c.txt"):
        make(name)
    assert paths_of("d", "--all") == ["d/a.txt", "d/b.log", "d/build/c.txt"]
    done = allcores("count", "d", "--all", "--gitignore")
    assert without_time(done.stdout) == [
        "d/a.txt lines: 1 characters: 4",
        "total lines: 1 characters: 4 files: 1 failed: 0",
        "left out: files ignored by .gitignore: 1; folders ignored by .gitignore: 1; hidden files: 1"
        " (--hidden counts what is hidden)",
    ]


def test_links_are_followed_if_asked() -> None:
    make("away/a.txt")
    os.makedirs("d")
    os.symlink("../away", "d/link")
    os.symlink("..", "d/loop")
    assert "link" not in allcores("count", "d", "--format", "jsonl").stdout
    assert paths_of("d", "--follow") == ["d/link/a.txt"]


def test_what_two_ways_lead_to_is_counted_under_its_own_name_whatever_was_made_first() -> None:
    os.mkdir("d")
    os.symlink("m", "d/a link")
    make("d/m/a.txt")
    os.symlink("m", "d/z link")
    assert paths_of("d", "--follow") == ["d/m/a.txt"]


def lose_privileges() -> None:
    """A superuser may read everything, unless it cannot any more."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability)  # PR_CAPBSET_DROP; fails, as it should, for those who have none


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="gives up capabilities")
def test_what_may_not_be_read_is_named_and_the_rest_is_counted() -> None:
    for name in ("d/a.txt", "d/locked.txt", "d/no entry/b.txt", "d/no list/c.txt"):
        make(name)
    os.chmod("d/locked.txt", 0)
    os.chmod("d/no entry", 0o600)
    os.chmod("d/no list", 0o300)
    rows = rows_of("d", "d/no list/c.txt", code=1, preexec_fn=lose_privileges)
    os.chmod("d/no entry", 0o700)
    os.chmod("d/no list", 0o700)
    assert {row["path"]: row.get("error") for row in rows} == {
        "d/a.txt": None,
        "d/locked.txt": "permission denied",
        "d/no entry/b.txt": "permission denied",
        "d/no list": "the folder cannot be listed: permission denied",
        "d/no list/c.txt": None,
    }


@pytest.mark.parametrize(("option", "end"), [(["-0"], b"\0"), ([], b"\n")])
def test_a_list_of_paths_is_read_from_a_file_or_from_standard_input(option: list[str], end: bytes) -> None:
    names = [name for name in NAMES if option or b"\n" not in name]
    for name in names:
        make(name)
    make("more/b.txt")
    listed = end.join(names) + end
    expected = sorted([*map(os.fsdecode, names), "more/b.txt"], key=os.fsencode)
    assert paths_of("more", "--files-from", "-", *option, stdin=listed) == expected
    Path("list").write_bytes(listed.rstrip(end))
    assert paths_of("more", "--files-from", "list", *option) == expected


def test_an_empty_list_matches_nothing_and_one_with_missing_files_names_them() -> None:
    done = allcores("count", "--files-from", "-", stdin="")
    assert done.returncode == 1
    assert done.stderr == "allcores count: the list of paths is empty\n"
    make("a.txt")
    done = allcores("count", "--files-from", "-", stdin="a.txt\ngone.txt\n")
    assert (done.returncode, done.stderr) == (1, "allcores count: gone.txt: no such file or directory\n")
    assert done.stdout.startswith("a.txt lines: 1 characters: 4\n")


def test_an_empty_name_between_two_nuls_is_a_failure_and_an_empty_line_is_nothing() -> None:
    make("a.txt")
    done = allcores("count", "--files-from", "-", "-0", stdin=b"a.txt\0\0")
    assert (done.returncode, done.stderr) == (1, 'allcores count: "": no such file or directory\n')
    done = allcores("count", "--files-from", "-", stdin="\na.txt\n\n")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("find"), reason="there is no find here")
def test_what_find_prints_can_be_counted() -> None:
    for name in NAMES:
        make(b"d/" + name)
    done = subprocess.run(
        f"find d -type f -print0 | {sys.executable} -m allcores count --files-from - -0",
        shell=True,
        capture_output=True,
        check=True,
        timeout=50,
    )
    assert f"files: {len(NAMES)} failed: 0".encode() in done.stdout


def test_addresses_are_counted() -> None:
    pytest.importorskip("fsspec")
    with zipfile.ZipFile("archive.zip", "w") as file:
        file.writestr("d/a.txt", "one\ntwo")
    done = allcores("count", "zip://d::archive.zip")
    assert done.stdout.startswith("zip://d/a.txt::archive.zip lines: 2 characters: 6\n")


# -- how they are read -------------------------------------------------------------------------------------


def test_another_encoding_is_named_or_guessed() -> None:
    text = "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。\n" * 3
    make("old.txt", text.encode("gb18030"))
    make("new.txt", text)
    (row,) = rows_of("old.txt", "--encoding", "GBK")
    assert row == {"path": "old.txt", "lines": 3, "characters": 60, "bytes": 123, "encoding": "gbk"}
    assert [(row["characters"], row["encoding"]) for row in rows_of("old.txt", "new.txt", "--encoding", "auto")] == [
        (60, "utf-8"),
        (60, "gb18030"),
    ]
    done = allcores("count", "old.txt", "new.txt", "--encoding", "auto")
    assert without_time(done.stdout)[:2] == [
        "new.txt lines: 3 characters: 60 encoding: utf-8",
        "old.txt lines: 3 characters: 60 encoding: gb18030",
    ]
    done = allcores("count", "old.txt", "--encoding", "auto", "--format", "table")
    assert done.stdout.splitlines()[:2] == [
        "        lines       characters  encoding        path",
        "            3               60  gb18030         old.txt",
    ]


def test_wrong_bytes_are_replaced_or_ignored_if_asked() -> None:
    make("a.txt", b"a\xff\xfeb\n")
    assert rows_of("a.txt", "--errors", "replace")[0]["characters"] == 4
    assert rows_of("a.txt", "--errors", "ignore")[0]["characters"] == 2
    assert "error" in rows_of("a.txt", code=1)[0]


def test_binary_files_are_named_left_out_and_counted_if_asked_for() -> None:
    make("d/a.txt")
    make("d/b.txt", b"a\0b\n")
    done = allcores("count", "d")
    assert (done.returncode, done.stderr) == (
        0,
        "allcores count: d/b.txt: left out as binary: it has a NUL near its start\n",
    )
    assert without_time(done.stdout) == [
        "d/a.txt lines: 1 characters: 4",
        "total lines: 1 characters: 4 files: 1 failed: 0 binary: 1",
    ]
    assert rows_of("d")[1] == {"path": "d/b.txt", "error": "binary: it has a NUL near its start", "binary": True}
    assert rows_of("d", "--binary")[1]["characters"] == 3


# -- what comes out ----------------------------------------------------------------------------------------


@pytest.fixture
def tree() -> None:
    """Three folders with files of different sizes, one of which fails and one of which is binary."""
    make("d/a.txt", "x\n" * 10)
    make("d/b.md", "yyyyyyyy\n" * 3)
    make("d/e/c.txt", "é\n" * 20)
    make("d/e/d", "zz\n" * 5)
    make("d/f/bad.txt", b"\xff")
    make("d/f/binary.txt", b"\0")


def test_rows_are_sorted_by_what_is_asked_for_the_largest_first(tree: None) -> None:
    failing = ["d/f/bad.txt", "d/f/binary.txt"]
    for key, order in {
        "lines": ["d/e/c.txt", "d/a.txt", "d/e/d", "d/b.md"],
        "characters": ["d/b.md", "d/e/c.txt", "d/a.txt", "d/e/d"],
        "bytes": ["d/e/c.txt", "d/b.md", "d/a.txt", "d/e/d"],
        "path": ["d/a.txt", "d/b.md", "d/e/c.txt", "d/e/d"],
    }.items():
        assert paths_of("d", "--all", "--sort", key, code=1) == [*order, *failing]
        assert paths_of("d", "--all", "--sort", key, "--top", "2", code=1) == [*order[:2], *failing]
    assert paths_of("d", "--all", "--top", "1", code=1) == ["d/e/c.txt", *failing]


def test_the_totals_are_those_of_all_files_even_if_only_the_top_is_shown(tree: None) -> None:
    done = allcores("count", "d", "--all", "--top", "1")
    assert without_time(done.stdout) == [
        "d/e/c.txt lines: 20 characters: 20",
        "total lines: 38 characters: 64 files: 4 failed: 1 binary: 1",
    ]


def test_sums_by_folder_and_by_ending(tree: None) -> None:
    by_folder = [
        {"folder": "d", "files": 2, "lines": 13, "characters": 34, "bytes": 47},
        {"folder": "d/e", "files": 2, "lines": 25, "characters": 30, "bytes": 75},
    ]
    assert rows_of("d", "--all", "--by-dir", code=1) == by_folder
    assert rows_of("d", "--all", "--by-dir", "--sort", "lines", code=1) == by_folder[::-1]
    assert rows_of("d", "--all", "--by-dir", "--top", "1", code=1) == by_folder[1:]
    assert rows_of("d", "--all", "--by-ext", "--sort", "files", code=1) == [
        {"ending": ".txt", "files": 2, "lines": 30, "characters": 30, "bytes": 80},
        {"ending": "", "files": 1, "lines": 5, "characters": 10, "bytes": 15},
        {"ending": ".md", "files": 1, "lines": 3, "characters": 24, "bytes": 27},
    ]
    assert without_time(allcores("count", "d", "--all", "--by-ext", "--format", "table").stdout) == [
        "        lines       characters      files  ending",
        "            5               10          1  (none)",
        "            3               24          1  .md",
        "           30               30          2  .txt",
        "           38               64          4  total",
        "not counted: 1 failed, 1 binary",
    ]
    assert "d/e lines: 25 characters: 30 files: 2\n" in allcores("count", "d", "--all", "--by-dir").stdout


def test_sums_can_be_written_to_a_file(tree: None) -> None:
    allcores("count", "d", "--all", "--by-ext", "-o", "sums.csv")
    with open("sums.csv", newline="") as file:
        assert list(csv.reader(file))[:2] == [
            ["ending", "files", "lines", "characters", "bytes"],
            ["", "1", "5", "10", "15"],
        ]


def test_formats_for_programs_have_standard_output_for_themselves(tree: None) -> None:
    done = allcores("count", "d", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["path"] for row in rows] == ["d/a.txt", "d/e/c.txt", "d/f/bad.txt", "d/f/binary.txt"]
    assert done.stderr.splitlines() == [
        "allcores count: d/f/bad.txt: not UTF-8: invalid start byte at byte 0",
        "allcores count: d/f/binary.txt: left out as binary: it has a NUL near its start",
        "left out: files with other names: 2 (--all counts them)",
    ]


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_what_is_printed_for_programs_can_be_read_back_whatever_the_locale(format: str) -> None:
    for name in NAMES:
        make(b"d/" + name)
    with open(f"out.{format}", "wb") as file:
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        command = [*COMMAND, "count", "d", "--format", format]
        subprocess.run(command, stdout=file, env=environment, check=True, timeout=50)
    expected = {b"d/" + name: 1 for name in NAMES}
    assert read_back(format) == expected


def test_the_format_of_a_file_can_be_told_apart_from_its_name(tree: None) -> None:
    allcores("count", "d/a.txt", "-o", "rows.data", "--format", "jsonl")
    assert json.loads(Path("rows.data").read_text())["lines"] == 10
    allcores("count", "d/a.txt", "-o", "rows.csv", "--format", "text")
    assert Path("rows.csv").read_text().startswith("d/a.txt lines: 10 characters: 10\n")
    allcores("count", "d/a.txt", "-o", "rows.ndjson")
    assert json.loads(Path("rows.ndjson").read_text())["lines"] == 10


@pytest.mark.parametrize("format", ["jsonl", "csv", "text", "parquet"])
def test_every_name_can_be_read_back_from_every_format(format: str) -> None:
    for name in NAMES:
        make(b"d/" + name, "a\nb")
        make(b"d/bad " + name[:240], b"\xff")
    done = allcores("count", "d", "-o", f"out.{format}")
    assert done.returncode == 1
    expected = {b"d/" + name: 2 for name in NAMES} | {b"d/bad " + name[:240]: None for name in NAMES}
    if any(len(name) > 240 for name in NAMES):  # the longest has lost its ending
        expected = {path: lines for path, lines in expected.items() if path.endswith(b".txt")}
    assert read_back(format) == expected


def read_back(format: str) -> dict[bytes, int | None]:
    """Lines by path, the way that docs/count.md shows for each format."""
    if format == "jsonl":
        with open("out.jsonl", encoding="utf-8") as file:
            return {os.fsencode(row["path"]): row.get("lines") for row in map(json.loads, file)}
    if format == "csv":
        with open("out.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
            return {
                os.fsencode(row["path"]): int(row["lines"]) if row["lines"] else None for row in csv.DictReader(file)
            }
    if format == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        rows = parquet.read_table("out.parquet").to_pylist()
        return {row["path_bytes"] or row["path"].encode(): row["lines"] for row in rows}
    from test_cli import TEXT_ROW

    found: dict[bytes, int | None] = {}
    with open("out.text", encoding="utf-8", newline="\n") as file:
        for line in file:
            if row := TEXT_ROW.fullmatch(line.rstrip("\n")):
                path = json.loads(row[1]) if row[1].startswith('"') else row[1]
                found[os.fsencode(path)] = int(row[2]) if row[2] else None
    return found


def test_parquet_has_types_and_is_there_whole_or_not_at_all(tree: None) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    done = allcores("count", "d", "-o", "rows.parquet")
    assert done.returncode == 1
    table = parquet.read_table("rows.parquet")
    assert table.column_names == ["path", "lines", "characters", "bytes", "encoding", "note", "error", "path_bytes"]
    assert str(table.schema.field("lines").type) == "int64"
    assert table.column("lines").to_pylist() == [10, 20, None, None]
    before = Path("rows.parquet").read_bytes()
    full_disk = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    program = (
        f"{full_disk}import sys; from allcores.cli import main; sys.exit(main(['count', 'd', '-o', 'rows.parquet']))"
    )
    done_full = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50)
    assert done_full.returncode == 1
    assert done_full.stderr.splitlines()[-1] == "allcores count: cannot write rows.parquet: File too large"
    assert Path("rows.parquet").read_bytes() == before
    assert sorted(os.listdir()) == ["d", "rows.parquet"]


def test_without_pyarrow_the_error_names_what_installs_it(tree: None) -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from allcores.cli import main; main(['count', 'd', '-o', 'rows.parquet'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 2
    assert "writing Parquet needs pyarrow: pip install 'allcores[parquet]'" in done.stderr
    assert os.listdir() == ["d"]


def test_a_result_in_the_list_of_files_is_refused() -> None:
    make("a.txt")
    make("out.csv", "the old result\n")
    done = allcores("count", "--files-from", "-", "-o", "out.csv", stdin="a.txt\nout.csv\n")
    assert done.returncode == 2
    assert "out.csv is to be counted: the result would overwrite it" in done.stderr
    assert Path("out.csv").read_text() == "the old result\n"


PEAKS = """
import re, resource, sys
from allcores.cli import main
code = main(sys.argv[1:])
# What getrusage has of this process it has from before exec, too.
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1], file=sys.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""


def peaks(*arguments: str, kernel: str = "auto") -> list[int]:
    """The largest memory that a command line's process has, and that a process has which it starts, in KiB."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("no /proc here")
    environment = {**os.environ, "ALLCORES_COUNT_KERNEL": kernel}
    done = subprocess.run(
        [sys.executable, "-c", PEAKS, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        check=True,
        timeout=50,
    )
    return [int(size) for size in done.stderr.split()]


def test_many_small_files_take_little_memory() -> None:
    for folder in range(40):
        for number in range(250):
            make(f"d/{folder}/{number}.txt", b"")
    assert max(peaks("count", "d")) < 60_000  # the interpreter alone takes some 15,000


@pytest.mark.parametrize("kernel", ["python", "auto"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_huge_file_takes_little_memory(kernel: str, jobs: str) -> None:
    make("huge.txt", b"")
    os.truncate("huge.txt", 1 << 28)
    assert max(peaks("count", "huge.txt", "--binary", "-j", jobs, kernel=kernel)) < 60_000


def test_help_is_worth_reading() -> None:
    done = subprocess.run([*COMMAND, "count", "--help"], capture_output=True, text=True, check=True, timeout=50)
    for words in ("which files:", "how they are read:", "what comes out:", "examples:", "exit code:", "--gitignore"):
        assert words in done.stdout


def test_the_commands_in_the_docs_are_understood() -> None:
    docs = Path(__file__).parents[1] / "docs" / "count.md"
    commands = [
        shlex.split(line.partition("allcores count")[2].partition(" | ")[0], comments=True)
        for line in docs.read_text(encoding="utf-8").splitlines()
        if line.startswith(("allcores count", "find ", "$ allcores count"))
    ]
    assert len(commands) > 8
    for arguments in commands:
        options = cli._parse("count", ["count", *arguments])
        assert options.paths or options.files_from
