"""Sleeping until another process says so: what events, conditions and barriers have in common.

Who is about to sleep puts a claim into a slot of its own and sleeps on that slot's bell. Who wakes others finds
them by their claims, among them those of processes that have died meanwhile, which do no harm: nobody waits for a
sleeper to answer. A bell may ring without need, and a ring may be lost with who was to give it; so a sleeper always
looks whether he is really meant, and does so by himself from time to time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from allcores.sync.memory import Slab
from allcores.sync.native import fence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["NAP", "Berth", "deadline_of"]

#: Seconds that a sleeper sleeps at most before it looks by itself. It only matters where the waker was killed after
#: it had said that others are to wake, and before it rang.
NAP = 0.05


def deadline_of(timeout: float | None) -> float | None:
    """When a timeout that begins now ends, on the monotonic clock."""
    return None if timeout is None else time.monotonic() + timeout


class Berth:
    """A slot in which this thread sleeps; a context manager.

    Args:
        slab: where the slot is.
        claim: what is put into it.
        ticket: a number that goes with it.

    Attributes:
        slot: where the claim is, in ``slab.words``.
    """

    __slots__ = ("_bell", "_is_kept", "_slab", "slot")

    def __init__(self, slab: Slab, claim: int, ticket: int = 0) -> None:
        self._slab = slab
        self._is_kept = False
        self.slot = slab.slot()
        self._bell = slab.bell(self.slot)
        while self._bell.acquire(False):
            pass  # rings for who had the slot before
        slab.longs[slab.ticket_at(self.slot)] = ticket
        slab.words[self.slot] = claim
        fence()  # whoever wakes others from now on sees the claim

    @property
    def claim(self) -> int:
        """What the slot says now."""
        return self._slab.words[self.slot]

    def sleep(self, is_over: Callable[[], Any], deadline: float | None, nap: float = NAP) -> bool:
        """Sleep until `is_over()`, which is asked again and again, or until the deadline.

        Returns:
            Whether it was over in time.
        """
        while not is_over():
            pause = nap if deadline is None else min(nap, deadline - time.monotonic())
            if pause <= 0:
                return False
            self._bell.acquire(True, pause)
        return True

    def keep(self) -> None:
        """Let nobody else have the slot afterwards: somebody may still write to it."""
        self._is_kept = True

    def __enter__(self) -> Berth:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._slab.words[self.slot] = 0
        if not self._is_kept:
            self._slab.free.append(self.slot)
