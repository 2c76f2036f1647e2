"""The parent's accounts: what is to be done next, and which rows can be given out.

Bundles are drawn while there is nothing else to do; tasks that follow from results come first. A bundle is given
out when all its rows are there and all bundles before it have been, so rows keep the order of the selection.
Everything here happens in the thread that asks for rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from .bundles import Bundle
from .files import Reading
from .open_bundle import OpenBundle
from .progress import Progress
from .rows import Row
from .tasks import Task

__all__ = ["Flow"]

# A file that takes long holds back the rows after it; so many bundles may wait for it.
_OPEN_BUNDLES = 256


class Flow:
    """Everything that is to be counted.

    Args:
        bundles: the files; drawn as tasks are asked for.
        reading: how to read them.
        progress: where to note down what is done.
    """

    def __init__(self, bundles: Iterator[Bundle], reading: Reading, progress: Progress) -> None:
        self._bundles = bundles
        self._reading = reading
        self._progress = progress
        self._following: deque[Iterator[Task]] = deque()
        self._open: deque[OpenBundle] = deque()

    @property
    def large_bytes(self) -> int:
        """The size of all large files that were met and whose rows have not been given out."""
        return sum(bundle.large_bytes for bundle in self._open)

    def next_task(self) -> Task | None:
        """What is to be done next; None if there is nothing until another task has ended."""
        while True:
            while self._following:
                if task := next(self._following[0], None):
                    return task
                self._following.popleft()
            if len(self._open) >= _OPEN_BUNDLES or (bundle := next(self._bundles, None)) is None:
                return None
            self._open.append(OpenBundle(bundle, self._reading, self._progress))
            self.follow(self._open[-1].tasks())

    def follow(self, tasks: Iterable[Task]) -> None:
        """Take tasks that follow from a result. They are drawn when they are needed."""
        if tasks:
            self._following.append(iter(tasks))

    def rows(self) -> Iterator[list[Row]]:
        """The rows that can be given out, a bundle at a time, each once."""
        while self._open and not self._open[0].missing:
            rows = self._open.popleft().rows
            self._progress.files += len(rows)
            yield rows
