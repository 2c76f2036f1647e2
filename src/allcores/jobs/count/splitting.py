"""One huge file in slices that add up to the whole.

A cut never goes through a character, nor between a CR and its LF: it is moved behind them. So each slice is a
text by itself; valid ones make a valid whole, and counts are sums. Only the last slice's open line is a line.

Each slice is read by whoever is free, so the file is looked at once more every time. If it is not the same
file, or not as long as when it was cut up, the slices do not fit together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from .blocks import BYTES_OF_A_VERDICT, NO_LIMIT, verdict_on_front
from .files import Reading
from .opening import open_regular, system_reason
from .outcomes import COUNTED, UNCHANGED, Outcome
from .progress import Progress
from .tasks import Task, count_slice

__all__ = ["WORTH_SPLITTING", "Slice", "SplitFile", "cut", "join"]

# A slice is some milliseconds of work, so that all workers end at about the same time.
_SLICE_SIZE = 16 * 1024 * 1024
WORTH_SPLITTING = 2 * _SLICE_SIZE

_LF, _CR = b"\n\r"


class SplitFile:
    """A file whose slices are counted by many.

    Args:
        path: a regular file, as far as is known.
        reading: how to read it: as UTF-8.
        finish: takes what the whole comes to, once; as `join` has it. Returns the tasks that follow from it.
        progress: where to note down what is done.
    """

    def __init__(
        self,
        path: str,
        reading: Reading,
        finish: Callable[[Outcome | str | None], Iterable[Task]],
        progress: Progress,
    ) -> None:
        self._path = path
        self._progress = progress
        self._reading = reading
        self._finish = finish
        self._slices: list[Slice] = []
        self._outcomes: list[Outcome | str] = []
        self._size = 0
        self._awaited = 1  # the cutting counts as one
        self._is_spoiled = False

    def tasks(self) -> Iterator[Task]:
        """A task for each slice; the cutting goes on as they are drawn."""
        try:
            descriptor = open_regular(self._path)
        except OSError as error:
            yield from self._finish(system_reason(error))
            return
        try:
            status = os.fstat(descriptor)
            self._size = status.st_size
            identity = status.st_dev, status.st_ino
            front = os.pread(descriptor, BYTES_OF_A_VERDICT, 0) if self._reading.looks_for_nul else b""
            if binary := verdict_on_front(front):
                yield from self._finish(binary)
                return
            for piece in cut(descriptor, status.st_size):
                if self._is_spoiled:
                    break
                yield self._task(piece, identity)
        except OSError as error:
            self._add((0, 0), system_reason(error))
        finally:
            os.close(descriptor)
        yield from self._one_less()

    def _task(self, piece: Slice, identity: tuple[int, int]) -> Task:
        number = self._add(piece, "no result came")
        self._awaited += 1

        def finish(outcome: Outcome | str) -> Iterable[Task]:
            self._outcomes[number] = outcome
            if isinstance(outcome, str) or outcome[0] != COUNTED:
                self._is_spoiled = True
            else:
                self._progress.bytes += outcome[4]
            return self._one_less()

        return Task(count_slice, (self._path, identity, *piece), finish, lose=finish)

    def _add(self, piece: Slice, outcome: Outcome | str) -> int:
        self._slices.append(piece)
        self._outcomes.append(outcome)
        return len(self._slices) - 1

    def _one_less(self) -> Iterable[Task]:
        self._awaited -= 1
        if self._awaited:
            return ()
        whole = join(list(zip(self._slices, self._outcomes, strict=True)))
        if isinstance(whole, tuple) and whole[0] == COUNTED and whole[4] != self._size:
            whole = (COUNTED, self._size, *whole[2:])  # it has grown
        return self._finish(whole)


Slice = tuple[int, int]
"""Where the bytes start and where they stop, if the file does not end before."""


def cut(descriptor: int, size: int, slice_size: int = _SLICE_SIZE) -> Iterator[Slice]:
    """Cut up an open file.

    Args:
        descriptor: the file.
        size: how many bytes it is said to have. The last slice goes on to wherever it ends.
        slice_size: about how many a slice is to have, at least four.
    """
    start = 0
    for near in range(slice_size, size - slice_size // 2, slice_size):
        stop = _cut_near(descriptor, near)
        yield start, stop
        start = stop
    yield start, NO_LIMIT


def join(slices: list[tuple[Slice, Outcome | str]]) -> Outcome | str | None:
    """What all slices of a file say together, each with what it came to, in their order.

    Returns:
        An outcome; the reason why there is none; or None if the file was shortened after it had been cut up.
    """
    line_ends = characters = size = open_line = 0
    for (start, stop), outcome in slices:
        if isinstance(outcome, str) or outcome[0] != COUNTED:
            return outcome
        if outcome[4] < stop - start and stop != NO_LIMIT:
            return None
        line_ends += outcome[2]
        characters += outcome[3]
        size += outcome[4]
        if outcome[4]:
            open_line = outcome[5]
    return COUNTED, UNCHANGED, line_ends, characters, size, open_line


def _cut_near(descriptor: int, position: int) -> int:
    # A character that begins before the position has at most three bytes from it on.
    before, *after = os.pread(descriptor, 4, position - 1) or b"\0"
    if before == _CR and after and after[0] == _LF:
        return position + 1
    for byte in after:
        if byte & 0xC0 != 0x80:
            break
        position += 1
    return position
