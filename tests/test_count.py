"""The counting job as a library: real trees, a tree of all corners, files that change, many ways to do the work."""

from __future__ import annotations

import os
import signal
import sysconfig
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from allcores import Pool
from allcores.jobs.count import (
    BinaryContent,
    BinaryFile,
    FileCount,
    FileFailure,
    InvalidText,
    Row,
    Selection,
    Totals,
    count_batches,
    count_file,
    count_paths,
    count_selection,
    job,
    make_reading,
)
from allcores.jobs.count.crew import Crew, OnThreads
from allcores.jobs.count.flow import Flow
from allcores.jobs.count.progress import Progress
from allcores.jobs.count.tasks import Task
from allcores.jobs.count.walk import Run
from count_corpus import Corpus
from count_expectations import BROKEN_PIECES, counts_of_bytes, counts_of_file, files_below, first_fault

SHARED_TEXT = Path(__file__).parents[2] / "shared" / "data" / "text"
MIB = 1024 * 1024


@pytest.fixture
def two_processes() -> Iterator[Pool]:
    with Pool(2) as pool:
        yield pool


@pytest.fixture(params=["processes", "threads", "serial"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """A pool of two, of each kind in turn."""
    with Pool(2, engine=request.param) as pool:
        yield pool


def threads_of_counts() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("allcores-count-")]


def make_sparse(path: Path, size: int) -> str:
    """A file of NULs that takes no room on the disk."""
    path.touch()
    os.truncate(path, size)
    return str(path)


# -- real trees --------------------------------------------------------------------------------------------


def assert_agrees_with_readlines(rows: Iterable[Row], paths: list[str]) -> None:
    """Each path has its row, in order, and each row says what readlines() says."""
    counted = {row.path: row[1:3] if isinstance(row, FileCount) else None for row in rows}
    assert list(counted) == sorted(paths, key=os.fsencode)
    assert counted == {path: counts_of_file(path) for path in paths}


def test_the_standard_library_agrees_file_by_file_with_readlines(two_processes: Pool) -> None:
    library = sysconfig.get_path("stdlib")
    folders = [
        os.path.join(library, name)
        for name in sorted(os.listdir(library))
        if name not in {"site-packages", "dist-packages"} and os.path.isdir(os.path.join(library, name))
    ]
    paths = [path for folder in folders for path in files_below(folder, ".py")]
    assert len(paths) > 100
    assert_agrees_with_readlines(count_paths(folders, include=["*.py"], hidden=True, pool=two_processes), paths)


@pytest.mark.skipif(not SHARED_TEXT.is_dir(), reason="the Linux documentation is not beside the project")
@pytest.mark.parametrize("ending", [".txt", ".rst"])
def test_the_linux_documentation_agrees_file_by_file_with_readlines(ending: str) -> None:
    assert_agrees_with_readlines(count_paths([SHARED_TEXT], include=[f"*{ending}"]), files_below(SHARED_TEXT, ending))


# -- a tree of all corners ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    corpus = Corpus(tmp_path_factory.mktemp("corpus"))
    corpus.build()
    return corpus


def summary(row: Row) -> Any:
    """A row as the corpus has it."""
    if isinstance(row, FileCount):
        return row.lines, row.characters
    return "binary" if isinstance(row, BinaryFile) else "invalid"


def test_every_corner_is_counted_or_named_as_it_should_be(corpus: Corpus, pool: Pool) -> None:
    selection = Selection([corpus.root])
    rows = list(count_selection(selection, pool=pool))
    assert {row.path: summary(row) for row in rows} == corpus.expected
    assert [row.path for row in rows] == sorted(corpus.expected, key=os.fsencode)
    for row in rows:
        if isinstance(row, FileCount):
            assert (row.bytes, row.encoding, row.note) == (os.stat(row.path).st_size, "utf-8", None)
    left_out = {"links to files": 3, "links to folders": 2, "FIFOs, sockets and devices": 2}
    assert selection.tally.left_out == left_out
    assert sum(left_out.values()) == len(corpus.objects)


def test_without_a_pool_the_rows_are_the_same(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(count_paths([corpus.root], processes=1))
    assert {row.path: summary(row) for row in rows} == corpus.expected
    monkeypatch.setattr(job, "_SECONDS_ALONE", {"threads": 0, "processes": 0})
    for engine in ("processes", "threads", "serial"):
        assert list(count_paths([corpus.root], processes=2, engine=engine)) == rows
    assert not threads_of_counts()


def test_what_is_wrong_with_a_file_is_said_as_the_decoder_says_it(corpus: Corpus) -> None:
    failures = [row for row in count_paths([corpus.root / "invalid"]) if isinstance(row, FileFailure)]
    assert len(failures) == 4 * len(BROKEN_PIECES)
    for failure in failures:
        fault = first_fault(Path(failure.path).read_bytes())
        assert fault is not None
        assert failure.reason == f"not UTF-8: {fault[1]} at byte {fault[0]}"


def test_binary_files_are_counted_as_text_if_asked_for(corpus: Corpus) -> None:
    rows = list(count_paths([corpus.root / "binaries"], binary=True))
    assert {row.path: None if isinstance(row, FileFailure) else row[1:3] for row in rows} == {
        str(path): counts_of_bytes(path.read_bytes()) for path in (corpus.root / "binaries").iterdir()
    }


@pytest.mark.parametrize("errors", ["replace", "ignore"])
def test_wrong_bytes_are_replaced_or_ignored_like_the_decoder_does_it(corpus: Corpus, errors: str) -> None:
    rows = list(count_paths([corpus.root / "invalid"], errors=errors))
    assert len(rows) == 4 * len(BROKEN_PIECES)
    for row in rows:
        assert isinstance(row, FileCount)
        assert row[1:3] == counts_of_bytes(Path(row.path).read_bytes(), errors=errors), row.path


def test_one_file_is_counted_like_many(corpus: Corpus) -> None:
    for path, expected in corpus.expected.items():
        if expected == "binary":
            with pytest.raises(BinaryContent):
                count_file(path)
        elif expected == "invalid":
            with pytest.raises(InvalidText):
                count_file(path)
        else:
            assert count_file(path)[1:3] == expected


def test_what_is_not_a_regular_file_is_never_opened(corpus: Corpus, tmp_path: Path) -> None:
    for path, kind in (
        (corpus.root / "objects/fifo.txt", "FIFO"),
        (tmp_path, "folder"),
        ("/dev/null", "character device"),
    ):
        with pytest.raises(OSError, match=f"a {kind}, not a regular file"):
            count_file(path)
    named = [corpus.root / "objects/fifo.txt", corpus.root / "objects/socket.txt", "/dev/zero"]
    assert [row.reason for row in count_paths(named) if isinstance(row, FileFailure)] == [
        "a character device, not a regular file",
        "a FIFO, not a regular file",
        "a socket, not a regular file",
    ]


# -- huge files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["天地\r\n玄黄，", "plain text with words\r\n", "🙂\r", "é\n"], ids=ascii)
def test_a_huge_file_counted_in_slices_has_the_counts_of_its_pieces(tmp_path: Path, pool: Pool, text: str) -> None:
    """Text of an odd length again and again: cuts fall on every byte of it, in slices of 16 MiB."""
    path = tmp_path / "huge.txt"
    unit = text.encode() * 10_000 + b"x"
    times = 70 * MIB // len(unit)
    with path.open("wb") as file:
        for _ in range(times):
            file.write(unit)
    counts = counts_of_bytes(unit + b"\n")
    assert counts is not None
    # Each unit ends in an open line, which the next one goes on with.
    lines = times * (counts[0] - 1) + 1
    (row,) = count_paths([path], pool=pool)
    assert row == FileCount(str(path), lines, times * counts[1], times * len(unit))


def test_a_fault_in_a_huge_file_is_found_where_it_is(tmp_path: Path, two_processes: Pool) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        for _ in range(70):
            file.write("天".encode() * (MIB // 3) + b"\n")
        file.seek(40 * MIB + 7)
        file.write(b"\xff")
    fault = first_fault(path.read_bytes())
    assert fault is not None
    for pool in (two_processes, None):
        (row,) = count_paths([path], pool=pool)
        assert row == FileFailure(str(path), f"not UTF-8: {fault[1]} at byte {fault[0]}")


def test_a_huge_file_with_a_nul_at_its_start_is_binary(tmp_path: Path) -> None:
    path = make_sparse(tmp_path / "huge.txt", 100 * MIB)
    assert list(count_paths([path])) == [BinaryFile(path, "binary: it has a NUL near its start")]
    assert list(count_paths([path], binary=True)) == [FileCount(path, 1, 100 * MIB, 100 * MIB)]


def test_a_large_file_is_counted_in_little_memory(tmp_path: Path) -> None:
    path = make_sparse(tmp_path / "large.txt", 64 * MIB)
    tracemalloc.start()
    try:
        assert count_file(path, binary=True) == FileCount(path, 1, 64 * MIB, 64 * MIB)
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


# -- files that change -------------------------------------------------------------------------------------


def test_a_file_that_turns_into_a_fifo_or_vanishes_after_it_was_found_is_a_failure(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("line\n")
    rows = count_selection(SelectionThatIsInterrupted(tmp_path, "a.txt", "b.txt"))
    assert list(rows) == [
        FileFailure(str(tmp_path / "a.txt"), "no such file or directory"),
        FileFailure(str(tmp_path / "b.txt"), "a FIFO, not a regular file"),
        FileCount(str(tmp_path / "c.txt"), 1, 4, 5),
    ]


class SelectionThatIsInterrupted(Selection):
    """Once files are found, one of them is removed and another becomes a FIFO."""

    def __init__(self, folder: Path, vanishes: str, turns: str) -> None:
        super().__init__([folder])
        self.vanishes, self.turns = folder / vanishes, folder / turns

    def runs(self) -> Iterator[Any]:
        found = list(super().runs())
        self.vanishes.unlink()
        self.turns.unlink()
        os.mkfifo(self.turns)
        return iter(found)


@pytest.mark.parametrize("engine", ["processes", "threads", "serial"])
@pytest.mark.parametrize("size", [5 * MIB, 400 * MIB], ids=["shrinks", "grows"])
def test_a_huge_file_that_changes_while_it_is_counted_is_counted_as_it_is_then(
    tmp_path: Path, engine: str, size: int
) -> None:
    path = make_sparse(tmp_path / "huge.txt", 300 * MIB)
    batches = count_batches(Selection([path]), make_reading(binary=True), engine=engine, processes=2)
    rows: list[Row] = []
    for number, batch in enumerate(batches):
        rows += batch
        if number == 2:
            os.truncate(path, size)
    assert rows == [
        FileCount(
            path,
            1,
            size,
            size,
            note=f"it changed while it was read: {300 * MIB} bytes when it was opened, {size} read",
        )
    ]


def test_a_huge_file_that_is_replaced_while_it_is_counted_is_a_failure(tmp_path: Path) -> None:
    path = make_sparse(tmp_path / "huge.txt", 300 * MIB)
    other = make_sparse(tmp_path / "other", 300 * MIB)
    batches = count_batches(Selection([path]), make_reading(binary=True), engine="serial")
    rows: list[Row] = []
    for number, batch in enumerate(batches):
        rows += batch
        if number == 3:
            os.replace(other, path)
    assert rows == [FileFailure(path, "it was replaced by another file while it was read")]


# -- the work ----------------------------------------------------------------------------------------------


def test_rows_come_before_the_selection_has_ended(tmp_path: Path, pool: Pool) -> None:
    (tmp_path / "a.txt").write_text("line\n")

    class Endless(Selection):
        def runs(self) -> Iterator[Any]:
            (run,) = super().runs()
            while True:
                yield run

    rows = count_selection(Endless([tmp_path]), pool=pool)
    assert [next(rows) for _ in range(2000)] == [FileCount(str(tmp_path / "a.txt"), 1, 4, 5)] * 2000
    rows.close()


@pytest.mark.parametrize("engine", ["threads", "processes", "serial"])
def test_workers_of_the_kind_asked_for_are_recruited_for_work_that_takes_long(tmp_path: Path, engine: str) -> None:
    path = make_sparse(tmp_path / "huge.txt", 1 << 42)
    batches = count_batches(Selection([path]), make_reading(binary=True), engine=engine, processes=2)
    started = time.monotonic()
    templates = {child.pid for child in psutil.Process().children(recursive=True)}  # of earlier tests
    seen = set()
    while next(batches) == [] and time.monotonic() < started + (0.3 if engine == "serial" else 20):
        if threads_of_counts():
            seen.add("threads")
        if {child.pid for child in psutil.Process().children(recursive=True)} - templates:
            seen.add("processes")
        if engine in seen:
            break
    batches.close()
    assert seen == ({engine} if engine != "serial" else set())


def test_a_pool_can_be_used_again_after_a_count_was_given_up(tmp_path: Path, pool: Pool) -> None:
    paths = [make_sparse(tmp_path / f"{number}.txt", 33 * MIB) for number in range(6)]
    rows = count_paths(paths, binary=True, pool=pool)
    assert next(rows).path == min(paths)
    rows.close()
    assert len(list(count_paths(paths[:2], binary=True, pool=pool))) == 2


def test_a_file_that_takes_long_holds_back_a_bounded_number_of_others(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("line\n")
    drawn = 0

    def endless() -> Iterator[Any]:
        nonlocal drawn
        while True:
            drawn += 1
            yield [Run(str(tmp_path), ["a.txt"])]

    flow = Flow(endless(), make_reading(), Progress())
    slow = flow.next_task()
    assert slow is not None
    while task := flow.next_task():
        flow.follow(task.finish(task.function(*task.arguments)))
    assert 100 < drawn < 1000
    assert list(flow.rows()) == []
    flow.follow(slow.finish(slow.function(*slow.arguments)))
    assert len(list(flow.rows())) == drawn
    assert flow.next_task()


def test_workers_that_are_killed_cost_the_file_they_count_and_the_rest_is_counted(tmp_path: Path) -> None:
    huge = make_sparse(tmp_path / "huge.txt", 1 << 42)
    for name in ("a", "z"):
        (tmp_path / f"{name}.txt").write_text("line\n")
    rows: list[Row] = []
    with Pool(2) as pool:
        for number, batch in enumerate(count_batches(Selection([tmp_path]), make_reading(binary=True), pool=pool)):
            rows += batch
            if number % 20 == 19:  # one that waited for work when it was killed has cost nothing: again
                for worker in pool.stats().workers:
                    if worker.alive and worker.pid:
                        with suppress(ProcessLookupError):
                            os.kill(worker.pid, signal.SIGKILL)
    assert [row.path for row in rows] == [str(tmp_path / "a.txt"), huge, str(tmp_path / "z.txt")]
    assert [type(row) for row in rows] == [FileCount, FileFailure, FileCount]
    assert isinstance(rows[1], FileFailure)
    assert rows[1].reason.startswith("not counted: the worker (pid ")


def do(crew: Crew, functions: list[Callable[[], Any]]) -> list[Any]:
    """Have them called; gives each one's result, or the reason for which there is none."""
    ends: list[Any] = []

    def note(end: Any) -> tuple[Task, ...]:
        ends.append(end)
        return ()

    for function in functions:
        crew.submit(Task(function, (), note, note))
    while not crew.is_idle():
        assert list(crew.collect()) == []
    return ends


def test_a_thread_without_memory_costs_its_task_and_any_other_error_is_the_callers() -> None:
    crew = OnThreads(1)
    assert do(crew, [lambda: 1, lambda: bytes(1 << 62), lambda: 2]) == [1, "not counted: MemoryError", 2]
    with pytest.raises(ZeroDivisionError):
        do(crew, [lambda: 1 // 0])
    assert do(crew, [lambda: 3]) == [3]
    crew.dismiss(done=True)
    assert not threads_of_counts()


def test_threads_that_are_given_up_end_after_the_task_at_hand() -> None:
    crew = OnThreads(1)
    began, may_end, done = threading.Event(), threading.Event(), []

    def wait() -> None:
        began.set()
        may_end.wait(20)

    for function in (wait, lambda: done.append(1)):
        crew.submit(Task(function, (), lambda _: (), lambda _: ()))
    assert began.wait(20)
    (thread,) = threads_of_counts()
    crew.dismiss(done=False)
    may_end.set()
    thread.join(20)
    assert not thread.is_alive()
    assert done == []


def test_progress_tells_files_and_bytes(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.txt").write_text("line\n")
    make_sparse(tmp_path / "huge.txt", 100 * MIB)
    progress = Progress()
    seen = [progress.bytes for _ in count_batches(Selection([tmp_path]), make_reading(binary=True), progress=progress)]
    assert (progress.files, progress.bytes) == (11, 50 + 100 * MIB)
    assert sorted(seen) == seen
    assert len(set(seen)) > 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"processes": 0}, ValueError, "processes must be at least 1, not 0"),
        ({"engine": "magic"}, ValueError, "engine must be one of threads, processes, serial, not 'magic'"),
        ({"errors": "lenient"}, ValueError, "errors must be one of strict, replace, ignore, not 'lenient'"),
        ({"encoding": "utf-9"}, LookupError, "there is no encoding called 'utf-9'"),
        ({"encoding": "base64"}, LookupError, "'base64' is not an encoding of text"),
    ],
)
def test_arguments_out_of_their_range_are_refused(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        count_paths(["."], **options)


def test_totals_add_up_rows_and_keep_failures_apart() -> None:
    totals = Totals()
    for row in (FileCount("a", 2, 30, 33), FileCount("b", 1, 4, 5), FileFailure("c", "no"), BinaryFile("d", "no")):
        totals.add(row)
    assert repr(totals) == "Totals(files=2, failed=1, binary=1, lines=3, characters=34, bytes=38)"
