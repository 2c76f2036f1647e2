"""The job: select, tie into bundles, have them counted, give out rows in order.

    Selection -> tie_bundles -> Flow -> Crew (this thread, threads, or a pool's workers)
                                     <- results
                  rows in order <-

The calling thread selects and keeps the accounts while workers count. It begins alone: most counts are done
before any worker could have started. When it has gone on for a while, or has met much to do, it gets workers. The
native kernel lets go of the interpreter's lock, so threads do, which start at once; what Python itself must
decode goes to a pool's processes.

Rows are the same for any number of workers of any kind. A worker that dies (killed for want of memory, say)
costs the files of its task, which become failures; the rest is counted.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterable
from importlib import import_module

from allcores.cpu import cpu_count

from .bundles import tie_bundles
from .crew import Alone, Crew, OnPool, OnThreads
from .decoding import UTF_8
from .files import PLAIN_READING, Reading, make_reading
from .flow import Flow
from .kernel import releases_lock
from .progress import Progress
from .rows import Row
from .selection import DEFAULT_INCLUDE, Selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from allcores.pool import Pool

__all__ = ["ENGINES", "count_batches", "count_paths", "count_selection"]

ENGINES = ("threads", "processes", "serial")

# How long to go on alone, in seconds: processes take as long to start, threads start at once.
_SECONDS_ALONE = {"threads": 0.005, "processes": 0.1}
# As many bytes of large files are worth workers at once: they would take longer than that.
_LARGE_BYTES_ALONE = {"threads": 32 * 1024 * 1024, "processes": 128 * 1024 * 1024}
# Remote files keep a thread waiting rather than a core busy.
_REMOTE_THREADS = 8


def count_paths(
    paths: Iterable[str | os.PathLike[str]],
    *,
    include: Iterable[str] = DEFAULT_INCLUDE,
    exclude: Iterable[str] = (),
    hidden: bool = False,
    gitignore: bool = False,
    follow: bool = False,
    encoding: str = UTF_8,
    errors: str = "strict",
    binary: bool = False,
    processes: int | None = None,
    engine: str | None = None,
    pool: Pool | None = None,
) -> Generator[Row, None, None]:
    """Count lines and characters of text files, on all cores.

        for row in count_paths(["docs"], include=["*.md"]):
            if isinstance(row, FileCount):
                print(row.path, row.lines, row.characters)

    Args:
        paths: files, counted whatever their names; folders, looked through to the bottom; and addresses that
            fsspec understands, such as ``s3://bucket/folder``.
        include: patterns for files below folders; one match is enough. ``["*"]`` takes every name.
        exclude: patterns for what is left out, files and folders; they overrule everything else.
        hidden: whether to take names below folders that begin with a dot.
        gitignore: whether to leave out what ``.gitignore`` files say.
        follow: whether to follow links below folders.
        encoding: any that Python knows; or ``"auto"``, for UTF-8 where a file is valid as such and else what its
            bytes look like.
        errors: what to do with bytes that are wrong: ``"strict"`` fails the file, ``"replace"`` counts a U+FFFD,
            ``"ignore"`` counts nothing.
        binary: whether to count files that have a NUL near the start, too.
        processes: the number of workers; left out, as many as there are cores. With 1, files are counted in
            the calling thread.
        engine: ``"threads"``, ``"processes"``, or ``"serial"`` for the calling thread; left out, what is best.
        pool: a pool of the caller's to count on, instead of a new one.

    Returns:
        A generator of `FileCount`; `FileFailure` for what could not be read or decoded; and `BinaryFile`: one for
        each file, sorted by the bytes of the paths. Its ``close()`` ends the work early.

    Raises:
        ValueError: an argument is out of its range.
        LookupError: there is no such encoding.
    """
    reading = make_reading(encoding, errors, binary)
    selection = Selection(paths, include=include, exclude=exclude, hidden=hidden, gitignore=gitignore, follow=follow)
    return count_selection(selection, reading, processes=processes, engine=engine, pool=pool)


def count_selection(
    selection: Selection,
    reading: Reading = PLAIN_READING,
    *,
    processes: int | None = None,
    engine: str | None = None,
    pool: Pool | None = None,
) -> Generator[Row, None, None]:
    """Count what a `Selection` finds, in its order; the arguments are those of `count_paths`."""
    return _singly(count_batches(selection, reading, processes=processes, engine=engine, pool=pool))


def _singly(batches: Generator[list[Row], None, None]) -> Generator[Row, None, None]:
    try:
        for batch in batches:
            yield from batch
    finally:
        batches.close()


def count_batches(
    selection: Selection,
    reading: Reading = PLAIN_READING,
    *,
    processes: int | None = None,
    engine: str | None = None,
    pool: Pool | None = None,
    progress: Progress | None = None,
) -> Generator[list[Row], None, None]:
    """The same, in lists of some hundred rows: to go through many rows quickly.

    A list may be empty: a sign of life while a large file is being counted, so that `progress`, which is kept up
    to date, can be looked at.
    """
    if processes is not None and processes < 1:
        raise ValueError(f"processes must be at least 1, not {processes}")
    if engine is not None and engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    if engine is None:
        in_threads = selection.is_remote or (releases_lock and reading.encoding == UTF_8)
        engine = "threads" if in_threads else "processes"
    workers = processes or (max(cpu_count(), _REMOTE_THREADS) if selection.is_remote else cpu_count())
    flow = Flow(tie_bundles(selection.runs()), reading, progress or Progress())
    if pool is not None:
        return _count(flow, OnPool(pool, workers, owned=False), None)
    return _count(flow, Alone(), None if workers == 1 or engine == "serial" else _Recruiting(engine, workers))


def _count(flow: Flow, crew: Crew, recruiting: _Recruiting | None) -> Generator[list[Row], None, None]:
    done = False
    try:
        while True:
            while crew.has_room() and (task := flow.next_task()):
                if recruiting and (recruits := recruiting.look(flow.large_bytes)):
                    crew, recruiting = recruits, None
                crew.submit(task)
            yield from flow.rows()
            if crew.is_idle():
                break
            flow.follow(crew.collect())
            yield []
        done = True
    finally:
        crew.dismiss(done=done)


class _Recruiting:
    """Getting workers, once it is seen that they are worth it.

    The pool's modules are imported by a thread of their own: the calling one goes on counting meanwhile.
    """

    def __init__(self, engine: str, workers: int) -> None:
        self._engine = engine
        self._workers = workers
        self._start = time.monotonic() + _SECONDS_ALONE[engine]
        self._importing: threading.Thread | None = None

    def look(self, large_bytes: int) -> Crew | None:
        """Get on with it; gives a crew as soon as there can be one."""
        if self._importing is None:
            if time.monotonic() < self._start and large_bytes < _LARGE_BYTES_ALONE[self._engine]:
                return None
            if self._engine == "threads":
                return OnThreads(self._workers)
            self._importing = threading.Thread(target=import_module, args=("allcores.pool",), daemon=True)
            self._importing.start()
        if self._importing.is_alive():
            return None
        from allcores.pool import Pool

        return OnPool(Pool(self._workers), self._workers, owned=True)
