"""How a lock is waited for, and taken over when its holder has died.

A lock is a semaphore with the value 1 (free) or 0 (held), and nothing else decides who has it: what `ordinary.py` does
in the ordinary case is one atomic operation of the C library. But a semaphore does not know who has taken it. So
each process that uses a lock has a slot for it (see `memory`), with a *count of claims*: it counts up before it
tries the lock, and down once it has given it back, or has failed to get it:

    acquire: claim, try            (failed: unclaim)
    release: post, look at the flags, unclaim

The count is a semaphore too, so that threads and signal handlers need not know of each other. **A live process that
has the lock therefore claims it, at every instant**, wherever it is killed or paused. The reverse does not hold: it
may also just be trying.

*A lock is abandoned* if its semaphore is 0 and no live process claims it. Who waits looks for that every few
milliseconds. Claims and semaphore cannot be read in one instant, though, and somebody alive may take the lock and
give it back between two looks. So whoever is to decide (behind the slab's gate: one at a time) sets the flag LOOK,
and everybody who gives the lock back leaves a TRACE before he takes his claim away. It is abandoned if

    TRACE = 0, LOOK = 1;  nobody alive claims it;  the semaphore is 0;  nobody alive claims it;  TRACE is still 0

Proof: suppose that somebody alive had it when the semaphore was read. His claim was not there at the first look at
his count, so he made it later, after LOOK was set; it was not there at the second, so he had taken it away, and left
a TRACE before. Between the steps there is a barrier for all processes, for processors that reorder. A waiter that
finds the lock abandoned has made a claim of its own before, so whoever comes next sees him, and the semaphore simply
stays 0: nobody can slip in.

Waiting happens on a second semaphore, the *bell*, and without a claim: a waiter that dies, or is stopped, is in
nobody's way. Who gives the lock back rings if the flag WAITERS says so. A ring that is lost (with who should have
heard it, or rung) costs the others one slice of waiting.

The standard's lock may be released by others than its holder. Then the holder's claim is taken away for him, behind
the gate.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from threading import get_ident

from allcores.engine.barrier import barrier
from allcores.errors import LockRecovered
from allcores.sync.claims import Kind
from allcores.sync.memory import Slab
from allcores.sync.native import SEMAPHORE, fence, init_semaphore, post
from allcores.sync.ordinary import make_mutex
from allcores.sync.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SLICE", "LockKeeper"]

#: Seconds that a waiter sleeps at most before it looks whether the holder lives. With a pidfd a look costs 2 µs.
SLICE = 0.005

#: How often a waiter looks whether the lock is free before it sleeps: for some 3 µs, less than a sleep and a waking
#: take. Two processes that contend for short sections lost up to 40 % without, eight gain and lose nothing.
_SPINS = 100

#: Seconds between two looks of those that do not sleep, but try and try again.
_LOOK_PAUSE = 0.001

_RINGS = _CLAIMS = 1 << 20


class LockKeeper:
    """The slower half of a lock in this process: waiting, taking over, releasing for others.

    Any thread and any signal handler may call its methods. A lock that was taken over is *adopted*: its C type has
    not seen it acquired, so until it is released its holder is known here.

    Args:
        record: the lock's place.
        is_recursive: whether it belongs to a thread, which may acquire it repeatedly.
        is_new: whether nobody knows the lock yet.

    Attributes:
        semaphore: is the lock.
        flags: where its flags are, in `slab.words`; 0 if there is nothing to see to on release.
        trace: where a trace is left for who looks whether the lock is abandoned, in `slab.words`.
        is_quiet: whether to take over without a warning.
    """

    _slot = 0

    def __init__(self, record: Record, is_recursive: bool, is_new: bool) -> None:
        self.slab = record.slab
        self.record = record
        self.is_recursive = is_recursive
        if is_new:
            init_semaphore(record.address, 1)
        self.semaphore = make_mutex(record.address, record.slab.address + record.byte, is_recursive)
        self.flags = record.word
        self.trace = record.word + 1
        self.is_quiet = False
        self._claim = record.claim(Kind.LOCK)
        self._claims: Any = None
        self._pid = 0
        self._is_adopted = False
        self._adopter = 0
        self._depth = 0
        self._bell = record.semaphore(1, 0 if is_new else None, SEMAPHORE, _RINGS)
        self._waiters = record.byte
        self._look = record.byte + 1
        self._rings = record.byte + 2
        self._looked = 0.0
        self._to_ring: list[tuple[Slab, int]] = []

    def __del__(self, getpid: Callable[[], int] = os.getpid) -> None:
        # A forked child may collect its copy before it has been told that the slot is the parent's.
        if self._slot and self._pid == getpid() and self._claims._is_zero():  # else it is held, and stays held
            self.slab.words[self._slot] = 0
            self.slab.free.append(self._slot)

    def enlist(self) -> Any:
        """Have a slot for the lock.

        Returns:
            The `SemLock` that counts this process's claims.
        """
        if not self._slot:
            slab = self.slab
            slot = slab.slot()
            claims = slab.count(slot)
            slab.words[slot] = self._claim
            if self._slot:  # another thread was first
                slab.words[slot] = 0
                slab.free.append(slot)
            else:
                self._slot, self._claims, self._pid = slot, claims, os.getpid()
        return self._claims

    @property
    def claims_address(self) -> int:
        """Where the claims are counted, once there is a slot."""
        return self.slab.count_address(self._slot)

    # Acquiring

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Get the lock, waiting for it if need be.

        Returns:
            Whether it was got. If so, `is_adopted` tells whether it was taken over.
        """
        if self._is_adopters():
            self._depth += 1
            return True
        is_got = self._try() or self._take_over_if_abandoned()
        if is_got or not block or (timeout is not None and timeout <= 0):
            return is_got
        deadline = None if timeout is None else time.monotonic() + timeout
        is_held, raw = self.semaphore._is_zero, self.slab.raw
        has_slept = False
        while True:
            for _ in range(_SPINS):
                if not is_held() and self._try():
                    if has_slept:
                        raw[self._waiters] = 1  # the ring was for one, and more may sleep
                    return True
            raw[self._waiters] = 1
            fence()  # whoever releases it from now on sees that, or we see his release
            is_got = self._try() or self._take_over_if_abandoned()
            pause = SLICE if deadline is None else min(SLICE, deadline - time.monotonic())
            if is_got or pause <= 0:
                return is_got
            self._bell.acquire(True, pause)
            has_slept = True

    def _try(self) -> bool:
        try:
            self._claims.release()
            if self.semaphore.acquire(False):
                return True
        except BaseException:
            self.give_up()
            raise
        self._claims.acquire(False)
        return False

    def give_up(self) -> None:
        """An exception has struck while the lock was claimed and tried: nobody knows whether it was got.

        A recursive one knows by itself. Another that was got is abandoned now, and will be taken over.
        """
        if self.is_recursive and self.semaphore._is_mine():
            self.semaphore.release()
        if self._claims is not None:  # else it was interrupted on its way to enlisting
            self._claims.acquire(False)

    # Taking over

    def _take_over_if_abandoned(self) -> bool:
        now = time.monotonic()
        if now - self._looked < _LOOK_PAUSE:
            return False
        self._looked = now
        if self._claimants():
            return False
        try:
            is_got: bool
            is_got, dead = self.slab.gate.run(self._take_over)
            if is_got and self._is_adopted and not self.is_quiet:
                _tell(dead)
            return is_got
        except BaseException:  # one that has struck, or a filter that makes the warning an error
            if self.is_adopted and self._adopter == get_ident():
                self.release()
            raise

    def _take_over(self) -> tuple[bool, list[int]]:
        slab = self.slab
        is_got = False
        try:
            self._claims.release()
            if self._is_abandoned():
                is_got = True
                self._is_adopted, self._adopter, self._depth = True, get_ident(), 1
                dead = [slot for slot in slab.claims(self._claim) if not slab.alive(slot)]
                pids = [slab.pid(slot) for slot in dead if not slab.count(slot)._is_zero()]
                for slot in dead:
                    slab.words[slot] = 0
                return True, pids
            is_got = self.semaphore.acquire(False)
        finally:
            if not is_got:
                self._claims.acquire(False)
        return is_got, []

    def _is_abandoned(self) -> bool:
        """Whether nobody alive has the lock; this thread has claimed it."""
        raw = self.slab.raw
        self.slab.words[self.trace] = 0
        raw[self._look] = 1
        try:
            barrier()
            is_disproved = self._is_claimed_by_others()
            barrier()
            is_disproved = is_disproved or not self.semaphore._is_zero()
            barrier()
            is_disproved = is_disproved or self._is_claimed_by_others()
            barrier()
            return not is_disproved and not self.slab.words[self.trace]
        finally:
            raw[self._look] = 0

    def _is_claimed_by_others(self) -> bool:
        return self._claims._get_value() > 1 or any(slot != self._slot for slot in self._claimants())

    def _claimants(self) -> list[int]:
        """The slots of the living that claim the lock."""
        return [slot for slot in self._claims_made() if self.slab.alive(slot)]

    def _claims_made(self) -> list[int]:
        """The same, and those of the dead."""
        slab = self.slab
        return [slot for slot in slab.claims(self._claim) if not slab.count(slot)._is_zero()]

    # Releasing

    def release(self) -> None:
        """Release a lock that was adopted, or that others hold.

        Raises:
            ValueError: nobody holds it.
            AssertionError: it is recursive, and this thread does not hold it.
        """
        if self.is_adopted and (self._is_adopters() or not self.is_recursive):
            self._depth -= 1
            if self._depth == 0:
                self._is_adopted = False
                try:
                    post(self.record.address)
                    self.see_to_flags()
                finally:
                    self.slab.words[self.trace] = 1
                    self._claims.acquire(False)
        elif self.is_recursive:
            self.semaphore.release()  # which raises
        else:
            self.slab.gate.run(self._release_for_holder)
            self.see_to_flags()

    def _release_for_holder(self) -> None:
        if self.semaphore._is_zero():
            self._disclaim()
        self.semaphore.release()  # which raises if nobody holds it

    def _disclaim(self) -> None:
        """Take the holder's claim away, if it can be told from those of others that are just trying.

        Claims of the dead count: the holder may be one, and who tries then must not be taken for him.
        """
        for _ in range(10):
            claimants = self._claims_made()
            if len(claimants) == 1 and claimants == self._claims_made():
                self.slab.count(claimants[0]).acquire(False)
            if len(claimants) < 2:
                return
            time.sleep(0.0001)

    def see_to_flags(self) -> None:
        """After the lock was given back, and a trace left, and before the claim to it is taken away: wake a waiter."""
        raw = self.slab.raw
        if raw[self._rings]:
            raw[self._rings] = 0
            while self._to_ring:
                slab, slot = self._to_ring.pop()
                slab.ring(slot)
        if raw[self._waiters]:
            raw[self._waiters] = 0
            if self._bell._is_zero():
                self._bell.release()

    def ring_on_release(self, slab: Slab, slots: list[int]) -> None:
        """Let bells ring when this process, which holds the lock, gives it back.

        Who was woken at once would find the lock held, and have to sleep again.
        """
        self._to_ring += [(slab, slot) for slot in slots]
        self.slab.raw[self._rings] = 1

    # Who holds it

    @property
    def is_adopted(self) -> bool:
        """Whether this process holds the lock by having taken it over."""
        if self._is_adopted and self._claims._is_zero():
            self._is_adopted = False  # somebody else has released it
        return self._is_adopted

    def _is_adopters(self) -> bool:
        return self._is_adopted and self.is_recursive and self._adopter == get_ident() and self.is_adopted

    def is_mine(self) -> bool:
        """Whether this thread has acquired the lock."""
        if self._is_adopted and self.is_adopted:
            return self._adopter == get_ident()
        return self.semaphore._is_mine()  # type: ignore[no-any-return]

    def count(self) -> int:
        """How often the thread that holds the lock has acquired it, if that is one of this process."""
        return self._depth if self.is_adopted else self.semaphore._count()

    def forked(self) -> None:
        """In a forked child: it is the parent that holds the lock, if anybody does."""
        self._slot, self._claims = 0, None
        self._is_adopted = False
        self._to_ring.clear()
        self.semaphore._after_fork()


def _tell(dead: list[int]) -> None:
    """Warn whoever has called us, from outside of this package, of the dead."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame, level = frame.f_back, level + 1
    warnings.warn(LockRecovered(dead[-1] if dead else None), stacklevel=level)
