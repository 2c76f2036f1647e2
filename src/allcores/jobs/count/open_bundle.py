"""A bundle on its way from files to rows: what its tasks' results mean, and which tasks follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from .blocks import NO_LIMIT
from .bundles import Bundle
from .decoding import UTF_8
from .files import AUTO, Reading, binary_reason
from .opening import special_kind, system_reason
from .outcomes import BINARY, COUNTED, FAILED, LARGE, NOT_REGULAR, UNCHANGED, Outcome
from .progress import Progress
from .rows import ROW_TYPES, BinaryFile, FileCount, FileFailure, Row
from .splitting import WORTH_SPLITTING, SplitFile
from .tasks import Task, count_runs, look_again
from .walk import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["OpenBundle"]

# Files of this size and more are not counted with their neighbours.
_LARGE = 1024 * 1024
# How many bytes of them make a task: some milliseconds of work.
_LARGE_BYTES_IN_A_TASK = 8 * 1024 * 1024


class OpenBundle:
    """A bundle and the rows that it has so far.

    Attributes:
        rows: one for each file and failure, in their order. Until `missing` is 0, some are None instead.
        missing: how many.
        large_bytes: the size of all files that had to be left out of the first task.
    """

    __slots__ = ("_places", "_progress", "_reading", "_runs", "large_bytes", "missing", "rows")

    def __init__(self, bundle: Bundle, reading: Reading, progress: Progress) -> None:
        self._reading = reading
        self._progress = progress
        self._runs = [item for item in bundle if isinstance(item, Run)]
        self.rows: list[Any] = []
        for item in bundle:
            if isinstance(item, Run):
                self.rows += [None] * len(item.names)
            else:
                self.rows.append(item)
        self._places = [place for place, row in enumerate(self.rows) if row is None]
        self.missing = len(self._places)
        self.large_bytes = 0

    def tasks(self) -> list[Task]:
        """What there is to do first: one task, if there are files."""
        return [self._count(self._runs, self._places, _LARGE)] if self._runs else []

    def _count(self, runs: list[Run], places: list[int], large: int) -> Task:
        def finish(outcomes: list[Any]) -> Iterable[Task]:
            self._progress.bytes += sum([outcome[4] for outcome in outcomes if outcome[0] == COUNTED])
            return self._settle(places, _paths_of(runs), outcomes)

        return Task(count_runs, (runs, self._reading, large), finish, self._loser(places, runs))

    def _settle(self, places: list[int], paths: list[str], outcomes: list[Any]) -> Iterable[Task]:
        """Make rows of outcomes, or of rows; returns the tasks for those of which none can be made yet."""
        large: list[tuple[int, str, int]] = []
        tasks: list[Iterable[Task]] = []
        rows, new_tuple = self.rows, tuple.__new__
        for place, path, outcome in zip(places, paths, outcomes, strict=True):
            # Nearly all are of this kind, a hundred thousand of them, so they do not go through functions of Python's.
            if outcome[0] == COUNTED and outcome[1] == UNCHANGED:
                row = (path, outcome[2] + outcome[5], outcome[3], outcome[4], UTF_8, None)
                rows[place] = new_tuple(FileCount, row)
                self.missing -= 1
            elif outcome[0] == LARGE:
                large.append((place, path, outcome[1]))
            else:
                tasks.append(self._settle_other(place, path, outcome))
        if large:
            self.large_bytes += sum(size for _, _, size in large)
            tasks.append(self._tasks_for_large(large))
        return chain.from_iterable(tasks)

    def _settle_other(self, place: int, path: str, outcome: Outcome | Row) -> Iterable[Task]:
        if isinstance(outcome, ROW_TYPES):
            self._progress.bytes += outcome.bytes if isinstance(outcome, FileCount) else 0
            self._put(place, outcome)
            return ()
        verdict, detail, line_ends, characters, size, open_line = outcome
        if verdict == COUNTED:
            note = f"it changed while it was read: {detail} bytes when it was opened, {size} read"
            self._put(place, FileCount(path, line_ends + open_line, characters, size, note=note))
        elif verdict == FAILED:
            self._put(place, FileFailure(path, system_reason(detail)))
        elif verdict == NOT_REGULAR:
            self._put(place, FileFailure(path, f"a {special_kind(detail)}, not a regular file"))
        elif verdict == BINARY and self._reading.encoding != AUTO:
            self._put(place, BinaryFile(path, binary_reason(detail)))
        else:
            return (self._look_again(place, path, outcome),)
        return ()

    def _look_again(self, place: int, path: str, seen: Outcome) -> Task:
        def finish(row: Row) -> Iterable[Task]:
            return self._settle_other(place, path, row)

        return Task(look_again, (path, self._reading, seen), finish, self._loser([place], [Run(None, [path])]))

    def _tasks_for_large(self, large: list[tuple[int, str, int]]) -> Iterator[Task]:
        """A task for each few of them, and several for a huge one."""
        places: list[int] = []
        paths: list[str] = []
        weight = 0
        for place, path, size in large:
            if size >= WORTH_SPLITTING and self._reading.is_utf_8:
                yield from self._split(place, path, size)
                continue
            if paths and weight + size > _LARGE_BYTES_IN_A_TASK:
                yield self._count([Run(None, paths)], places, NO_LIMIT)
                places, paths, weight = [], [], 0
            places.append(place)
            paths.append(path)
            weight += size
        if paths:
            yield self._count([Run(None, paths)], places, NO_LIMIT)

    def _split(self, place: int, path: str, size: int) -> Iterator[Task]:
        def finish(outcome: Outcome | str | None) -> Iterable[Task]:
            if outcome is None:
                return (self._count_changed(place, path, size),)
            return self._settle([place], [path], [FileFailure(path, outcome) if isinstance(outcome, str) else outcome])

        return SplitFile(path, self._reading, finish, self._progress).tasks()

    def _count_changed(self, place: int, path: str, size: int) -> Task:
        """Count a file in one go that has changed while it was counted in slices, and say so in its row."""
        runs = [Run(None, [path])]

        def finish(outcomes: list[Outcome | Row]) -> Iterable[Task]:
            (outcome,) = outcomes
            if not isinstance(outcome, ROW_TYPES) and outcome[0] == COUNTED:
                outcome = (COUNTED, size, *outcome[2:])
            return self._settle([place], [path], [outcome])

        return Task(count_runs, (runs, self._reading, NO_LIMIT), finish, self._loser([place], runs))

    def _put(self, place: int, row: Row) -> None:
        self.rows[place] = row
        self.missing -= 1

    def _loser(self, places: list[int], runs: list[Run]) -> Callable[[str], Iterable[Task]]:
        def lose(reason: str) -> Iterable[Task]:
            for place, path in zip(places, _paths_of(runs), strict=True):
                self._put(place, FileFailure(path, reason))
            return ()

        return lose


def _paths_of(runs: list[Run]) -> list[str]:
    return [path for run in runs for path in run.paths()]
