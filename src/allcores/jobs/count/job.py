"""The job: select, tie into bundles, count them on a pool, give the rows in order.

    Selection -> tie_bundles -> Pool.imap_unordered(count_bundle) -> rows in order
    (in the pool's feeding thread)         (workers)                 (the caller)

Bundles finish in any order; rows come out in the order of the selection, as soon as every row before them is
known. So the result is the same for any number of workers, and the caller sees it grow.

A worker that dies (killed for want of memory, say) costs the files of its bundle: they come as failures, at
the end of the wait, since the pool's error does not tell which bundle it was. The rest is counted.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from allcores.cpu import cpu_count

from .bundles import Bundle, Outcome, count_bundle, tie_bundles
from .rows import FileCount, FileFailure, Row
from .selection import DEFAULT_INCLUDE, Found, Selection

if TYPE_CHECKING:
    from allcores.errors import WorkerDied
    from allcores.pool import Pool

__all__ = ["count_paths", "count_selection"]

# Less work than this one process finishes before workers that have yet to start: some tenths of a second.
_WEIGHT_WORTH_A_POOL = 256 * 1024 * 1024

_Result = TypeVar("_Result")


def count_paths(
    paths: Iterable[str | os.PathLike[str]],
    *,
    include: Iterable[str] = DEFAULT_INCLUDE,
    hidden: bool = False,
    processes: int | None = None,
    pool: Pool | None = None,
) -> Generator[Row, None, None]:
    """Count lines and characters of UTF-8 files, on all cores.

        for row in count_paths(["docs"], include=["*.md"]):
            if isinstance(row, FileCount):
                print(row.path, row.lines, row.characters)

    Args:
        paths: files, counted whatever their names, and folders, looked through to the bottom.
        include: shell patterns for the names of files below folders; one match is enough.
        hidden: whether to take names below folders that begin with a dot.
        processes: the number of workers; left out, as many as there are cores. With 1, or for work so small
            that it is done before a worker has started, the files are counted in this process.
        pool: a pool of the caller's to count on, instead of a new one.

    Returns:
        A generator of `FileCount`, or `FileFailure` for what could not be read or decoded: one for each
        file, sorted by the bytes of the paths. Its ``close()`` ends the work early.

    Raises:
        ValueError: `processes` is less than 1.
    """
    selection = Selection(paths, include=include, hidden=hidden)
    return count_selection(selection, processes=processes, pool=pool)


def count_selection(
    selection: Iterable[Found | FileFailure], *, processes: int | None = None, pool: Pool | None = None
) -> Generator[Row, None, None]:
    """Count what a `Selection` finds, in its order; the arguments are those of `count_paths`."""
    if processes is not None and processes < 1:
        raise ValueError(f"processes must be at least 1, not {processes}")
    return _count(tie_bundles(selection), processes, pool)


def _count(bundles: Iterator[Bundle], processes: int | None, pool: Pool | None) -> Generator[Row, None, None]:
    if pool is not None:
        yield from _count_on(pool, bundles)
        return
    head: list[Bundle] = []
    if (processes or cpu_count()) > 1:
        weight = 0
        for bundle in bundles:
            head.append(bundle)
            weight += bundle.weight
            if weight > _WEIGHT_WORTH_A_POOL and len(head) > 1:
                from allcores.pool import Pool

                with Pool(processes) as own_pool:
                    yield from _count_on(own_pool, chain(head, bundles))
                return
    for bundle in chain(head, bundles):
        yield from _rows(bundle, count_bundle((0, bundle.paths()))[1])


def _count_on(pool: Pool, bundles: Iterable[Bundle]) -> Iterator[Row]:
    sent: dict[int, Bundle] = {}  # the pool's feeding thread puts in, this one takes out

    def tasks() -> Iterator[tuple[int, list[str]]]:
        for number, bundle in enumerate(bundles):
            sent[number] = bundle
            yield number, bundle.paths()

    finished: dict[int, list[Outcome]] = {}
    following = 0
    deaths: list[WorkerDied] = []
    for number, outcomes in _surviving(pool.imap_unordered(count_bundle, tasks(), chunksize=1), deaths):
        finished[number] = outcomes
        while following in finished:
            yield from _rows(sent.pop(following), finished.pop(following))
            following += 1
    for number in sorted(sent):
        bundle = sent.pop(number)
        yield from _rows(bundle, finished.get(number) or [_epitaph(deaths)] * len(bundle.paths()))


def _surviving(results: Iterator[_Result], deaths: list[WorkerDied]) -> Iterator[_Result]:
    """The results that there are; workers' deaths are noted down and passed over."""
    from allcores.errors import WorkerDied

    while True:
        try:
            yield next(results)
        except StopIteration:
            return
        except WorkerDied as death:
            deaths.append(death)


def _epitaph(deaths: list[WorkerDied]) -> str:
    cause = str(deaths[-1]).partition("\n")[0] if deaths else "no result came"
    return f"not counted: {cause}"


def _rows(bundle: Bundle, outcomes: list[Outcome]) -> Iterator[Row]:
    """Put outcomes to their paths, and failures found on the way to their places."""
    following = iter(outcomes)
    for item in bundle.items:
        if isinstance(item, FileFailure):
            yield item
            continue
        outcome = next(following)
        yield FileFailure(item, outcome) if isinstance(outcome, str) else FileCount(item, *outcome)
