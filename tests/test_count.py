"""The counting job as a library: its counts, its selection, its order."""

from __future__ import annotations

import io
import os
import shutil
import sysconfig
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allcores import Pool, WorkerDied
from allcores.jobs.count import (
    FileCount,
    FileFailure,
    InvalidText,
    Selection,
    Totals,
    count_file,
    count_paths,
    count_selection,
)
from allcores.jobs.count.kernel import count_blocks

SHARED_TEXT = Path(__file__).parents[2] / "shared" / "data" / "text"
BOM = "\ufeff"


# -- what is expected: Python's own text mode --------------------------------------------------------------


def expected_of(lines: list[str]) -> tuple[int, int]:
    """Lines and characters of what readlines() gave."""
    byte_order_mark = bool(lines) and lines[0].startswith(BOM)
    return len(lines), sum(len(line.removesuffix("\n")) for line in lines) - byte_order_mark


def expected_by_readlines(path: str | Path) -> tuple[int, int] | None:
    """What a plain serial loop has for one file; None where it cannot decode it."""
    try:
        with open(path, encoding="utf-8") as file:
            return expected_of(file.readlines())
    except UnicodeDecodeError:
        return None


def assert_agrees_with_readlines(rows: Iterable[FileCount | FileFailure], paths: list[str]) -> None:
    """Each path has its row, in order, and each row says what readlines() says."""
    counted = {row.path: None if isinstance(row, FileFailure) else row[1:] for row in rows}
    assert list(counted) == sorted(paths, key=os.fsencode)
    assert counted == {path: expected_by_readlines(path) for path in paths}


def files_below(folder: str | Path, ending: str) -> list[str]:
    return [
        os.path.join(parent, name)
        for parent, folders, names in os.walk(folder)
        if not folders.sort()  # type: ignore[func-returns-value]
        for name in names
        if name.endswith(ending) and not os.path.islink(os.path.join(parent, name))
    ]


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(2) as pool:
        yield pool


# -- real trees --------------------------------------------------------------------------------------------


def test_the_standard_library_agrees_file_by_file_with_readlines(pool: Pool) -> None:
    library = sysconfig.get_path("stdlib")
    folders = [
        os.path.join(library, name)
        for name in sorted(os.listdir(library))
        if name not in {"site-packages", "dist-packages"} and os.path.isdir(os.path.join(library, name))
    ]
    paths = [path for folder in folders for path in files_below(folder, ".py")]
    assert len(paths) > 100
    assert_agrees_with_readlines(count_paths(folders, include=["*.py"], pool=pool), paths)


@pytest.mark.skipif(not SHARED_TEXT.is_dir(), reason="the Linux documentation is not beside the project")
@pytest.mark.parametrize("ending", [".txt", ".rst"])
def test_the_linux_documentation_agrees_file_by_file_with_readlines(pool: Pool, ending: str) -> None:
    rows = count_paths([SHARED_TEXT], include=[f"*{ending}"], pool=pool)
    assert_agrees_with_readlines(rows, files_below(SHARED_TEXT, ending))


def test_a_made_up_tree_of_every_kind_of_text_agrees_with_readlines(tmp_path: Path, pool: Pool) -> None:
    texts = [
        b"",
        b"no end",
        b"\n",
        b"\r",
        b"\r\n",
        b"unix\nlines\n",
        b"old\rmac\r",
        b"dos\r\nlines\r\n",
        b"mixed\n\r\n\r\r\nends",
        "天地玄黄\n宇宙洪荒\n".encode() * 9000,
        ("naïve " * 40 + "\r\n").encode() * 2000,
        b"plain ascii, and a lot of it\n" * 20_000,
        "form\ffeed, next\x85line, separators\x1c\x1d\x1e\u2028\u2029 end no line".encode(),
        "\ufeffmarked\n".encode(),
        "\ufeff".encode(),
        "🙂".encode() * 100_000,
        b"\xff\xfe not utf-8",
        b"cut short \xe5\xa4",
        b"nul \0 byte\n",
    ]
    for number in range(400):
        folder = tmp_path / f"folder {number % 7}" / f"{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.txt").write_bytes(texts[number % len(texts)])
    assert_agrees_with_readlines(count_paths([tmp_path], pool=pool), files_below(tmp_path, ".txt"))


# -- the kernel --------------------------------------------------------------------------------------------

PIECES = [b"\r", b"\n", b"\r\n", b"a", b"word", b"\0", b"\x0c", b"\x1c", b"\x1e"]
PIECES += [text.encode() for text in ("é", "天", "🙂", "\x85", "\u2028", "\u2029", BOM)]
BROKEN_PIECES = [b"\x80", b"\xc3", b"\xe5\xa4", b"\xf0\x9f\x99", b"\xff", b"\xed\xa0\x80", b"\xc0\xaf"]


def in_gulps(data: bytes, gulps: Iterator[int]) -> Callable[[memoryview], int]:
    """A reader that gives at most as much at a time as the next gulp says."""
    stream = io.BytesIO(data)
    return lambda view: stream.readinto(view[: next(gulps, len(view))])


def strict_verdict(data: bytes) -> tuple[int, str] | None:
    """Where and why a strict decoder refuses the bytes; None if it does not."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start, error.reason
    return None


def assert_counts_like_text_mode(data: bytes, block_size: int, gulps: Iterator[int]) -> None:
    read_into, buffer = in_gulps(data, gulps), bytearray(block_size)
    if verdict := strict_verdict(data):
        with pytest.raises(InvalidText) as caught:
            count_blocks(read_into, buffer)
        assert (caught.value.offset, caught.value.reason) == verdict
    else:
        lines = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8").readlines()
        assert count_blocks(read_into, buffer) == expected_of(lines)


@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=40),
    block_size=st.integers(4, 12),
    gulps=st.lists(st.integers(1, 12)),
)
def test_text_counts_like_text_mode_wherever_it_is_cut(pieces: list[bytes], block_size: int, gulps: list[int]) -> None:
    assert_counts_like_text_mode(b"".join(pieces), block_size, iter(gulps))


@given(
    pieces=st.lists(st.sampled_from(PIECES + BROKEN_PIECES) | st.binary(max_size=3), max_size=30),
    block_size=st.integers(4, 12),
    gulps=st.lists(st.integers(1, 12)),
)
def test_any_bytes_are_judged_like_a_strict_decoder_judges_them(
    pieces: list[bytes], block_size: int, gulps: list[int]
) -> None:
    assert_counts_like_text_mode(b"".join(pieces), block_size, iter(gulps))


def test_every_cut_through_a_text_of_all_kinds_gives_the_same_counts() -> None:
    data = b"".join(PIECES) * 2
    for block_size in range(4, len(data) + 2):
        for first in range(1, block_size + 1):
            assert_counts_like_text_mode(data, block_size, iter([first]))


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"\x80", id="a continuation byte alone"),
        pytest.param(b"\xe5\xa4", id="a character cut short by the end"),
        pytest.param(b"\xe5\xa4a", id="a character cut short by another"),
        pytest.param(b"\xc0\xaf", id="an overlong form"),
        pytest.param(b"\xe0\x80\xaf", id="a longer overlong form"),
        pytest.param(b"\xed\xa0\x80", id="a surrogate"),
        pytest.param(b"\xf4\x90\x80\x80", id="beyond the last code point"),
        pytest.param(b"\xf8\x88\x80\x80\x80", id="a five-byte form"),
        pytest.param(b"\xff\xfea\0", id="UTF-16"),
    ],
)
def test_invalid_utf8_is_refused_where_a_strict_decoder_refuses_it(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(b"a good line\n" * 30_000 + bad)
    with pytest.raises(UnicodeDecodeError) as expected:
        path.read_text(encoding="utf-8")
    with pytest.raises(InvalidText) as caught:
        count_file(path)
    assert str(caught.value) == f"not UTF-8: {expected.value.reason} at byte {expected.value.start}"


def test_a_large_file_is_counted_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    tracemalloc.start()
    try:
        assert count_file(path) == FileCount(str(path), 1, 64 * 1024 * 1024)
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


def test_the_stated_size_is_not_believed() -> None:
    path = "/proc/self/status"
    if not os.path.exists(path):
        pytest.skip("no /proc here")
    assert os.stat(path).st_size == 0
    assert count_file(path).lines > 10


# -- one file ----------------------------------------------------------------------------------------------


def test_what_is_not_a_regular_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.txt")
    for path, kind in (
        (tmp_path / "fifo.txt", "FIFO"),
        (tmp_path, "folder"),
        ("/dev/null", "character device"),
    ):
        with pytest.raises(OSError, match=f"a {kind}, not a regular file"):
            count_file(path)


def test_a_file_that_turns_into_a_fifo_or_vanishes_after_it_was_found_is_a_failure(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("line\n")
    found = list(Selection([tmp_path]))
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b.txt").unlink()
    os.mkfifo(tmp_path / "b.txt")
    assert list(count_selection(found)) == [
        FileFailure(str(tmp_path / "a.txt"), "no such file or directory"),
        FileFailure(str(tmp_path / "b.txt"), "a FIFO, not a regular file"),
        FileCount(str(tmp_path / "c.txt"), 1, 4),
    ]


# -- selection ---------------------------------------------------------------------------------------------


def selected(*paths: str | Path, **options: Any) -> list[str]:
    return [item.path for item in Selection(paths, **options)]


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("line\n")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the test's files, also the current one: paths stay short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_text_files_are_taken_below_folders_and_any_file_that_is_named(here: Path) -> None:
    make(here, "d/a.txt", "d/e/b.10w", "d/e/c.py", "d/TXT", "named.py")
    assert selected("d", "named.py") == ["d/a.txt", "d/e/b.10w", "named.py"]


def test_patterns_replace_the_default_ones_and_match_names(here: Path) -> None:
    make(here, "d/a.txt", "d/b.md", "d/md/c.rst", "d/md/readme")
    assert selected("d", include=["*.md", "read*"]) == ["d/b.md", "d/md/readme"]
    assert selected("d", include=[]) == []


def test_paths_come_in_the_order_of_their_bytes(here: Path) -> None:
    make(here, "d/a/z.txt", "d/a.txt", "d/a-b/c.txt", "d/a0.txt", "d/é.txt", "d/b/1.txt", "d-e/x.txt")
    names = selected("d", "d-e")
    assert names == sorted(names, key=os.fsencode)
    assert len(names) == 7


def test_hidden_names_are_left_out_and_tallied_unless_asked_for_or_named(here: Path) -> None:
    make(here, "d/.a.txt", "d/.git/b.txt", "d/.irrelevant", "d/c.txt")
    selection = Selection(["d"])
    assert [item.path for item in selection] == ["d/c.txt"]
    assert selection.left_out == {"hidden files": 1, "hidden folders": 1}
    assert selected("d", hidden=True) == ["d/.a.txt", "d/.git/b.txt", "d/c.txt"]
    assert selected("d/.git", "d/.a.txt") == ["d/.a.txt", "d/.git/b.txt"]


def test_links_below_a_folder_are_not_followed_but_tallied_so_that_loops_end(here: Path) -> None:
    make(here, "d/a.txt", "elsewhere/b.txt")
    os.symlink("..", here / "d/loop")
    os.symlink("../elsewhere", here / "d/away.txt")
    os.symlink("a.txt", here / "d/same.txt")
    os.symlink("nowhere", here / "d/dangling.txt")
    selection = Selection(["d"])
    assert [item.path for item in selection] == ["d/a.txt"]
    assert selection.left_out == {"links to folders": 2, "links to files": 2}


def test_links_that_are_named_are_followed(here: Path) -> None:
    make(here, "real/a.txt")
    os.symlink("real", here / "folder")
    os.symlink("real/a.txt", here / "file")
    assert selected("folder") == ["folder/a.txt"]
    assert list(count_paths(["file"])) == [FileCount("file", 1, 4)]


def test_what_is_named_twice_or_also_reached_is_taken_once(here: Path) -> None:
    make(here, "d/a.txt", "d/e/b.txt", "d/e/c.py")
    assert selected("d", "d", here / "d") == ["d/a.txt", "d/e/b.txt"]
    assert selected("d/e/b.txt", "d", "d/e", "./d/e/b.txt", "d/e/c.py") == [
        "d/a.txt",
        "d/e/b.txt",
        "d/e/c.py",
    ]


def test_two_names_of_one_file_are_two_files(here: Path) -> None:
    make(here, "d/a.txt")
    os.link("d/a.txt", "d/b.txt")
    assert selected("d", "d/a.txt") == ["d/a.txt", "d/b.txt"]


def test_special_files_are_left_out_below_a_folder_and_a_failure_when_named(here: Path) -> None:
    make(here, "d/a.txt")
    os.mkfifo("d/fifo.txt")
    selection = Selection(["d"])
    assert [item.path for item in selection] == ["d/a.txt"]
    assert selection.left_out == {"FIFOs, sockets and devices": 1}
    assert list(count_paths(["d/fifo.txt"])) == [FileFailure("d/fifo.txt", "a FIFO, not a regular file")]


def test_a_folder_named_like_a_text_file_is_looked_through(here: Path) -> None:
    make(here, "d/folder.txt/a.txt")
    assert selected("d") == ["d/folder.txt/a.txt"]


def test_a_path_that_is_not_there_is_a_failure_and_the_rest_is_counted(here: Path) -> None:
    make(here, "a.txt")
    assert list(count_paths(["nowhere", "a.txt"])) == [
        FileCount("a.txt", 1, 4),
        FileFailure("nowhere", "no such file or directory"),
    ]


def test_a_folder_that_cannot_be_listed_is_a_failure_and_the_rest_is_counted(here: Path) -> None:
    make(here, "d/a.txt", "d/b/c.txt", "d/z.txt")
    items = iter(Selection(["d"]))
    first = next(items)
    shutil.rmtree("d/b")
    assert [first.path, *items] == [
        "d/a.txt",
        FileFailure("d/b", "the folder cannot be listed: no such file or directory"),
        ("d/z.txt", 5),
    ]


def test_excluded_files_are_passed_over_under_any_name_of_their_folder(here: Path) -> None:
    make(here, "d/a.txt", "d/result.txt")
    os.symlink("d", here / "link")
    assert selected("d", exclude=["link/result.txt"]) == ["d/a.txt"]


def test_what_no_pattern_matched_is_tallied_by_ending(here: Path) -> None:
    make(here, "d/a.py", "d/e/b.py", "d/c.md", "d/README")
    selection = Selection(["d"])
    assert list(selection) == []
    assert selection.unmatched_endings == {".py": 2, ".md": 1, "": 1}
    assert selection.folders == 2


# -- the job -----------------------------------------------------------------------------------------------


def test_rows_are_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text("é line\n" * (number * 20_000 % 300_000))
    rows = list(count_paths([tmp_path], processes=1))
    assert [row.path for row in rows] == sorted(row.path for row in rows)
    for processes in (2, 3):
        with Pool(processes) as pool:
            assert list(count_paths([tmp_path], pool=pool)) == rows


def test_work_that_is_worth_it_gets_a_pool_of_its_own(tmp_path: Path) -> None:
    size = 100 * 1024 * 1024
    for name in "abc":
        (tmp_path / f"{name}.txt").touch()
        os.truncate(tmp_path / f"{name}.txt", size)
    rows = list(count_paths([tmp_path], processes=2))
    assert rows == [FileCount(str(tmp_path / f"{name}.txt"), 1, size) for name in "abc"]


def test_rows_come_before_the_selection_has_ended(tmp_path: Path, pool: Pool) -> None:
    make(tmp_path, "a.txt")

    def endless() -> Iterator[Any]:
        (found,) = Selection([tmp_path])
        while True:
            yield found

    rows = count_selection(endless(), pool=pool)
    assert [next(rows) for _ in range(2000)] == [FileCount(str(tmp_path / "a.txt"), 1, 4)] * 2000


def test_fewer_than_one_worker_is_refused() -> None:
    with pytest.raises(ValueError, match="processes must be at least 1, not 0"):
        count_paths(["."], processes=0)


class PoolThatLosesATask:
    """Runs tasks where it stands, last drawn first, and reports one as lost with its worker."""

    def __init__(self, lost: int) -> None:
        self.lost = lost

    def imap_unordered(self, function: Any, tasks: Iterable[Any], chunksize: int) -> Iterator[Any]:
        self.function, self.tasks = function, list(tasks)
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self.tasks:
            raise StopIteration
        task = self.tasks.pop()
        if task[0] == self.lost:
            raise WorkerDied("worker 123 was killed by SIGKILL\nand more lines", exitcode=-9)
        return self.function(task)


def test_a_worker_that_dies_costs_the_files_of_its_bundle_and_says_so(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / f"{number:03}.txt").write_text("line\n")
    lossy: Any = PoolThatLosesATask(1)
    rows = list(count_paths([tmp_path], pool=lossy))
    assert [Path(row.path).name for row in rows] == [f"{number:03}.txt" for number in range(600)]
    failed = [row for row in rows if isinstance(row, FileFailure)]
    assert rows[256:512] == failed
    assert {row.reason for row in failed} == {"not counted: worker 123 was killed by SIGKILL"}


def test_totals_add_up_rows_and_keep_failures_apart() -> None:
    totals = Totals()
    for row in (FileCount("a", 2, 30), FileCount("b", 1, 4), FileFailure("c", "no")):
        totals.add(row)
    assert repr(totals) == "Totals(files=2, failed=1, lines=3, characters=34)"
