"""How permits of a semaphore are waited for, and given back for the dead.

A semaphore has no owner: who has called `acquire` may end without harm to anybody, and somebody else may call
`release`. In a `with` block, though, a permit belongs to the block, and is given back when the process dies in it.
Such permits are claimed in a slot, in two steps, as the semaphore itself cannot tell who has taken from it:

    enter: TRYING, take, PERMIT        exit: TRYING, post, look at the flags, unclaim

A dead process that says PERMIT has had one, certainly: it is given back. One that says TRYING has died within a
microsecond or so of taking or giving one, and may have had it or not. That can be told where *all* permits are taken
by `with` blocks: of the first value, those that are neither there nor with somebody alive are lost. As for locks (see
`keeper`), all this is not to be seen in one instant, so it is looked at behind the gate, with LOOK set, and believed
only if no TRACE was left and the claims of the living were the same before and after.

Where `acquire` and `release` are called as well the semaphore is *mixed*, and there is no such sum. Then the permit
of a process that dies while TRYING stays lost, if it had one. Never is there one too many.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from allcores.engine.barrier import barrier
from allcores.sync.keeper import SLICE
from allcores.sync.memory import KIND, Record
from allcores.sync.native import SEMAPHORE, fence

__all__ = ["PermitKeeper"]

_RINGS = 1 << 20

#: Seconds between two looks of those that do not sleep, but try and try again.
_LOOK_PAUSE = 0.001


class PermitKeeper:
    """The slower half of a semaphore in this process. Any thread and any signal handler may call its methods.

    Args:
        record: the semaphore's place.
        value: its first value, where it is new; else None.
        maximum: what it may count to.

    Attributes:
        trying, permit: the claims.
        flags: where its flags are, in `slab.words`; 0 if there is nothing to see to when a permit is given back.
    """

    def __init__(self, record: Record, value: int | None, maximum: int) -> None:
        self.slab = record.slab
        self.record = record
        self.semaphore = record.semaphore(0, value, SEMAPHORE, maximum)
        self.trying = record.claim(KIND.TRYING)
        self.permit = record.claim(KIND.PERMIT)
        self.flags = record.word
        self._bell = record.semaphore(1, 0 if value is not None else None, SEMAPHORE, _RINGS)
        self._waiters = record.byte
        self._look = record.byte + 1
        self._trace = record.byte + 4
        self._mixed = record.byte + 5
        self._first = record.word + 2
        self._looked = 0.0
        if value is not None:
            self.slab.words[self._first] = value

    def mix(self) -> None:
        """From now on permits may be taken and given without a claim."""
        if not self.slab.raw[self._mixed]:
            with self.slab.gate:  # nobody is counting at this moment
                self.slab.raw[self._mixed] = 1

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take a permit that belongs to nobody."""
        return self._wait(lambda: 1 if self.semaphore.acquire(False) else 0, block, timeout) != 0

    def enter(self) -> int:
        """Take a permit for a `with` block; returns the slot that claims it."""
        return self._wait(self._try, True, None)

    def _try(self) -> int:
        slab = self.slab
        slot = slab.slot()
        slab.words[slot] = self.trying
        is_taken = False
        try:
            if self.semaphore.acquire(False):
                slab.words[slot] = self.permit
                is_taken = True
                return slot
        finally:
            if not is_taken:
                self.unclaim(slot)
        return 0

    def unclaim(self, slot: int) -> None:
        """Give a slot back."""
        self.slab.words[slot] = 0
        self.slab.free.append(slot)

    def _wait(self, take: Callable[[], int], block: bool, timeout: float | None) -> int:
        slot = take() or self._give_back_and(take)
        if slot or not block or (timeout is not None and timeout <= 0):
            return slot
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self.slab.raw[self._waiters] = 1
            fence()
            slot = take() or self._give_back_and(take)
            pause = SLICE if deadline is None else min(SLICE, deadline - time.monotonic())
            if slot or pause <= 0:
                if not self.semaphore._is_zero():
                    self._ring()  # there was one ring, and there may have been more permits
                return slot
            self._bell.acquire(True, pause)

    # Those of the dead

    def _give_back_and(self, take: Callable[[], int]) -> int:
        now = time.monotonic()
        if now - self._looked < _LOOK_PAUSE:
            return 0
        self._looked = now
        if not self._dead():
            return 0
        with self.slab.gate:
            self._give_back()
        return take()

    def _dead(self) -> list[int]:
        slab = self.slab
        return [slot for claim in (self.trying, self.permit) for slot in slab.claims(claim) if not slab.alive(slot)]

    def _give_back(self) -> None:
        """Give back what the dead have had; the gate is ours.

        Each step leaves evidence for whoever goes on if we die after it, and never gives anything twice.
        """
        words, dead = self.slab.words, self._dead()
        for slot in dead:
            if words[slot] == self.permit:
                words[slot] = self.trying
                self._post()
        lost = 0 if self.slab.raw[self._mixed] else self._count_lost()
        if lost is None:
            return  # it cannot be told now
        for _ in range(lost):
            self._post()
        for slot in dead:
            words[slot] = 0

    def _post(self) -> None:
        self.semaphore.release()
        self._ring()

    def _count_lost(self) -> int | None:
        """How many permits are neither there nor with somebody alive; None when that cannot be told now."""
        raw, slab = self.slab.raw, self.slab
        raw[self._trace] = 0
        raw[self._look] = 1
        try:
            barrier()
            before = self._living()
            barrier()
            value = self.semaphore._get_value()
            barrier()
            after = self._living()
            barrier()
            if before is None or before != after or raw[self._trace] or raw[self._mixed]:
                return None
            return max(0, slab.words[self._first] - value - len(before))
        finally:
            raw[self._look] = 0

    def _living(self) -> list[int] | None:
        """Who alive has a permit; None while somebody is taking or giving one."""
        slab = self.slab
        if any(slab.alive(slot) for slot in slab.claims(self.trying)):
            return None
        return [slot for slot in slab.claims(self.permit) if slab.alive(slot)]

    # Waking

    def see_to_flags(self) -> None:
        """After a permit was given back, and before its claim is taken away: leave a trace, wake a waiter."""
        raw = self.slab.raw
        if raw[self._look]:
            raw[self._trace] = 1
        if raw[self._waiters]:
            raw[self._waiters] = 0
            self._ring()

    def _ring(self) -> None:
        if self._bell._is_zero():
            self._bell.release()
