"""How permits of a semaphore are waited for, and given back for the dead.

A semaphore has no owner: who has called `acquire` may end without harm to anybody, and somebody else may call
`release`. In a `with` block, though, a permit belongs to the block, and is given back when the process dies in it.
Such permits are claimed in a slot, in two steps, as the semaphore itself cannot tell who has taken from it:

    enter: TRYING, take, PERMIT        exit: TRYING, post, look at the flags, unclaim

A dead process that says PERMIT has had one, certainly: it is given back. One that says TRYING has died within a
microsecond of taking or giving one, and may have had it or not. That is found by counting:

    permits at first - permits there now - those of blocks - those taken by `acquire` = lost

For the last of these, a second semaphore counts `acquire` up, before it takes, and `release` down, after it has
given and has left a trace. In between it counts one too many, so there may seem to be fewer lost than there are, but
never more: at worst a permit stays lost, and never is there one too many. As for locks (see `keeper`) all this is not
to be seen in one instant. So it is looked at behind the gate, with LOOK set, and believed only if nobody alive was
TRYING, no TRACE was left, and the claims were the same before and after. The count is read before and after, and the
greater one used: an `acquire` that was seen in the value has been counted before, and a `release` that hides that
from the second reading has left its trace.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from allcores.engine.barrier import barrier
from allcores.sync.claims import Kind
from allcores.sync.keeper import SLICE
from allcores.sync.native import SEMAPHORE, fence
from allcores.sync.records import Record

__all__ = ["PermitKeeper"]

_RINGS = 1 << 20

#: Where the count of permits taken by `acquire` begins; it may fall below, as `release` needs no `acquire`.
_NONE_TAKEN = 1 << 30
_MOST_TAKEN = (1 << 31) - 1

#: How often to count again while some are under way between `acquire` and the count of it.
_COUNTS = 20

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
        taken: counts permits taken by `acquire` and not given back by `release`, from `_NONE_TAKEN`.
        flags: where its flags are, in `slab.words`; 0 if there is nothing to see to when a permit is given back.
        trace: where a trace is left for who counts permits, in `slab.words`.
    """

    def __init__(self, record: Record, value: int | None, maximum: int) -> None:
        self.slab = record.slab
        self.record = record
        self.semaphore = record.semaphore(0, value, SEMAPHORE, maximum)
        self.trying = record.claim(Kind.TRYING)
        self.permit = record.claim(Kind.PERMIT)
        self.flags = record.word
        self.trace = record.word + 1
        is_new = value is not None
        self._bell = record.semaphore(1, 0 if is_new else None, SEMAPHORE, _RINGS)
        self.taken = record.semaphore(2, _NONE_TAKEN if is_new else None, SEMAPHORE, _MOST_TAKEN)
        self._waiters = record.byte
        self._look = record.byte + 1
        self._first = record.word + 2
        self._looked = 0.0
        self._undecided = 0
        if value is not None:
            self.slab.words[self._first] = value

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take a permit that belongs to nobody."""
        return self._wait(self._take, block, timeout) != 0

    def _take(self) -> int:
        self.taken.release()
        if self.semaphore.acquire(False):
            return 1
        self.taken.acquire(False)
        return 0

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

    def value(self) -> int:
        """How many permits there are, those of the dead included."""
        self._give_back_and(lambda: 0)
        return self.semaphore._get_value()  # type: ignore[no-any-return]

    # Those of the dead

    def _give_back_and(self, take: Callable[[], int]) -> int:
        now = time.monotonic()
        if now - self._looked < _LOOK_PAUSE:
            return 0
        self._looked = now
        if not self._dead():
            return 0
        self.slab.gate.run(self._give_back)
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
        lost, is_certain = self._count_lost()
        for _ in range(min(lost, len(dead))):
            self._post()
        self._undecided += 1
        if is_certain or self._undecided > _COUNTS:
            self._undecided = 0
            for slot in dead:
                words[slot] = 0

    def _post(self) -> None:
        self.semaphore.release()
        self._ring()

    def _count_lost(self) -> tuple[int, bool]:
        """How many permits are neither there nor taken, and whether that is certain; at least so many are."""
        raw = self.slab.raw
        self.slab.words[self.trace] = 0
        raw[self._look] = 1
        try:
            barrier()
            before = self._holders()
            barrier()
            taken = self.taken._get_value()
            value = self.semaphore._get_value()
            taken = max(taken, self.taken._get_value()) - _NONE_TAKEN
            barrier()
            after = self._holders()
            barrier()
            if before is None or before != after or self.slab.words[self.trace]:
                return 0, False
            return max(0, self.slab.words[self._first] - value - len(before) - taken), taken == 0
        finally:
            raw[self._look] = 0

    def _holders(self) -> list[int] | None:
        """Who has a permit in a block; None while somebody alive is taking or giving one.

        Among them may be some that have died just now: theirs will be given back when they are found.
        """
        slab = self.slab
        snapshot = slab.snapshot()  # one for both: between two, one might go from this claim to that, and not be seen
        if any(slab.alive(slot) for slot in slab.found(snapshot, self.trying)):
            return None
        return slab.found(snapshot, self.permit)

    # Waking

    def see_to_flags(self) -> None:
        """After a permit was given back, and a trace left, and before its claim is taken away: wake a waiter."""
        raw = self.slab.raw
        if raw[self._waiters]:
            raw[self._waiters] = 0
            self._ring()

    def _ring(self) -> None:
        if self._bell._is_zero():
            self._bell.release()
