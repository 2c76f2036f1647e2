"""The parent's view of a worker's control block: what has begun, what is written, what may not begin."""

from __future__ import annotations

import mmap
import os

from allcores.engine import channel as ch
from allcores.engine.barrier import barrier
from allcores.engine.batch import Batch
from allcores.engine.segments import anonymous_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ControlBlock"]


class ControlBlock:
    """Shared memory of one worker; `engine.channel` has its layout.

    Attributes:
        fd: for the worker; closed by `handed_over`.

    Raises:
        OSError: there is no shared memory to be had.
    """

    __slots__ = ("_file", "_halves", "_printed", "_words", "fd")

    def __init__(self) -> None:
        self.fd = anonymous_file(ch.CONTROL_SIZE)
        try:
            self._file = mmap.mmap(self.fd, ch.CONTROL_SIZE)
        except BaseException:
            os.close(self.fd)
            raise
        middle = ch.HALVES_AT + ch.HALF_SIZE
        with memoryview(self._file) as block:
            self._words = block[: ch.HALVES_AT].cast("Q")
            self._halves = (block[ch.HALVES_AT : middle], block[middle:])
        self._words[ch.LIMIT] = ch.NO_LIMIT
        self._printed = 0

    def close(self) -> None:
        """Unmap it, whoever may still hold this object (a traceback, say)."""
        for view in (self._words, *self._halves):
            view.release()
        self._file.close()

    def printed(self) -> bool:
        """Whether the worker has printed something since this was last asked."""
        count: int = self._words[ch.PRINTED]
        if count == self._printed:
            return False
        self._printed = count
        return True

    def part(self, batch: Batch, position: int) -> memoryview:
        """What stands in a batch's half, from where it has been read up to a position."""
        return self._halves[batch.half][batch.consumed : position]

    def written(self, batch: Batch) -> tuple[int, int]:
        """What the worker has written to the half of a batch: up to which byte, and in which format."""
        words = self._words
        column, position = words[ch.FORMAT], words[ch.WRITTEN]
        claim = words[ch.CLAIM]
        if batch.half < 0 or not batch.first <= claim <= batch.first + batch.count:
            return 0, 0  # the words tell of another batch
        return (8 * (claim - batch.first), column) if column else (position, 0)

    def begun(self, batch: Batch) -> int:
        """How many tasks of a batch have begun."""
        try:
            claim = self._words[ch.CLAIM] - batch.first + 1
        except ValueError:  # closed meanwhile
            return batch.count
        return min(max(claim, 0), batch.count)

    def finished(self, batch: Batch) -> bool:
        """Whether all tasks of a batch are done."""
        claim: int = self._words[ch.CLAIM]
        return claim >= batch.first + batch.count

    def forbid(self) -> None:
        """Let no task begin that has not; after this `begun` is final."""
        words = self._words
        words[ch.LIMIT] = words[ch.CLAIM] + 1
        barrier()

    def allow(self) -> None:
        """Let tasks begin again."""
        self._words[ch.LIMIT] = ch.NO_LIMIT

    def running_since(self) -> float | None:
        """When the task that runs began, where that is recorded."""
        started: Any = self._words[ch.STARTED]
        return started / 1e9 if started else None
