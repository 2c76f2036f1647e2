"""`Barrier`: that of `multiprocessing`, which breaks when a party has died, instead of waiting for it.

Who arrives says so by a claim; the last to arrive, or who breaks the barrier, says in its place what has become of
it. All that happens under a lock, which is a recovered one when somebody has died in the midst of it: then the
barrier breaks as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import BrokenBarrierError

from allcores.sync.claims import Kind
from allcores.sync.lock import RLock
from allcores.sync.records import Record, core_of, new_record
from allcores.sync.travel import Shared
from allcores.sync.waiting import Berth, deadline_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Barrier"]

#: Seconds that a party sleeps at most before it looks whether the others live.
_NAP = 0.01

#: Seconds that those who wait give a party that has died before it arrived to be replaced by another process.
#: Arbitrary: long enough for a process to be started, short enough that nobody takes it for a hang.
_GRACE = 1.0


class _Core:
    """A barrier's claims and words, and this process's part in it.

    Attributes:
        arrived, passed, broken: the claims of those that wait, or have waited.
        party: the claim of a process that has to do with the barrier.
        is_broken: where it says whether the barrier is broken, in `slab.words`.
        round: where the number of the round is, in `slab.longs`; who arrives has it for a ticket. It changes when the
            barrier opens or breaks, in one instant for all.
    """

    __slots__ = (
        *("__weakref__", "_part", "arrived", "broken", "is_broken", "party", "passed", "record", "round", "slab"),
    )

    def __init__(self, record: Record) -> None:
        self.record = record
        self.slab = record.slab
        self.arrived = record.claim(Kind.ARRIVED)
        self.passed = record.claim(Kind.PASSED)
        self.broken = record.claim(Kind.BROKEN)
        self.party = record.claim(Kind.PARTY)
        self.is_broken = record.word
        self.round = record.byte // 8 + 1
        self._part = 0

    def take_part(self) -> None:
        """From now on the barrier breaks if this process dies without having come to its end in good order."""
        if self._part:
            return
        from multiprocessing import util

        self._part = self.slab.slot()
        self.slab.words[self._part] = self.party
        self._leave_in_time()
        # A child of multiprocessing forgets, as it begins, what is to be done at its end; this is asked after that.
        util.register_after_fork(self, _Core._leave_in_time)

    def _leave_in_time(self) -> None:
        """Be a party until the end of the process, or until nothing here knows the barrier any more."""
        from multiprocessing import util

        if self._part:
            util.Finalize(self, _leave, (self.slab, self._part, self.slab.lives.me), exitpriority=0)

    def forked(self) -> None:
        self._part = 0


def _leave(slab: Any, slot: int, me: object) -> None:
    if slab.lives.me == me:
        slab.words[slot] = 0
        slab.free.append(slot)


class Barrier(Shared):
    """A place where a number of processes or threads wait for each other: `multiprocessing.Barrier`.

    It can be passed to tasks of a pool and to processes. If a process dies that waits in it, the others get a
    `BrokenBarrierError` at once. If one dies that has waited in it before, or to which it was passed, they get it when
    they have waited a second for another one in its place. One that comes to its end in good order is no party any
    more, and neither is one that has dropped the barrier.

    Args:
        parties: how many have to arrive.
        action: called by the last to arrive, before the others go on.
        timeout: for `wait` where it is given none.

    Raises:
        ValueError: `parties` is less than 1.
    """

    def __init__(self, parties: int, action: Callable[[], object] | None = None, timeout: float | None = None) -> None:
        if parties < 1:
            raise ValueError("parties must be > 0")
        self._set_up(new_record(), RLock(), parties, action, timeout)

    def _set_up(
        self, record: Record, lock: RLock, parties: int, action: Callable[[], object] | None, timeout: float | None
    ) -> None:
        self._core: _Core = core_of(record, _Core)
        self._record = self._core.record
        self._lock = lock
        lock._be_quiet()  # the barrier breaks, which says it all
        self._parties = parties
        self._action = action
        self._timeout = timeout

    def _luggage(self) -> tuple[Any, ...]:
        return self._lock, self._parties, self._action, self._timeout

    @classmethod
    def _unpack(cls, record: Record, luggage: tuple[Any, ...]) -> Any:
        barrier = cls.__new__(cls)
        barrier._set_up(record, *luggage)
        barrier.take_part()
        return barrier

    def take_part(self) -> None:
        """Count this process among the parties, which otherwise happens when it first waits or is passed the barrier.

        For one that was forked: if it dies before it has waited, the barrier breaks.
        """
        self._core.take_part()

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all parties have arrived.

        Args:
            timeout: seconds to wait at most; None for what the barrier was made with. When they have passed the
                barrier breaks.

        Returns:
            How many had arrived before.

        Raises:
            threading.BrokenBarrierError: the barrier was broken, before or meanwhile, or reset.
        """
        core = self._core
        deadline = deadline_of(self._timeout if timeout is None else timeout)
        self.take_part()
        with self._lock:
            if self.broken or self._has_lost_one(False):
                self._break()
                raise BrokenBarrierError
            others = core.slab.claims(core.arrived)
            if len(others) + 1 >= self._parties:
                self._let_pass(others)
                return len(others)
            berth = Berth(core.slab, core.arrived, core.slab.longs[core.round])
        with berth:
            self._sleep(berth, deadline)
            if berth.claim == core.broken:
                raise BrokenBarrierError
        return len(others)

    def _let_pass(self, others: list[int]) -> None:
        slab = self._core.slab
        if self._action is not None:
            try:
                self._action()
            except BaseException:
                self._break()
                raise
        slab.longs[self._core.round] += 1
        for slot in others:
            slab.words[slot] = self._core.passed
            slab.ring(slot)
        counted = {slab.owner(slot) for slot in others}  # one of them may have died only just now
        for slot in self._dead(self._core.party):
            if slab.owner(slot) not in counted:  # it went without them
                slab.words[slot] = 0

    def _sleep(self, berth: Berth, deadline: float | None) -> None:
        arrived = self._core.arrived
        patience = time.monotonic() + _GRACE

        def is_bereft() -> bool:
            return self._has_lost_one(time.monotonic() > patience)

        while berth.claim == arrived:
            try:
                is_over = berth.sleep(lambda: berth.claim != arrived or is_bereft(), deadline, _NAP)
            except BaseException:
                self._go_away(berth)
                raise
            with self._lock:
                if berth.claim == arrived and (not is_over or is_bereft()):
                    self._break()

    def _go_away(self, berth: Berth) -> None:
        """Arrive no more, unless the others have been let pass already."""
        try:
            with self._lock:
                if berth.claim == self._core.arrived:
                    self._core.slab.words[berth.slot] = 0
        except BaseException:
            berth.keep()  # without the lock: somebody may be about to let this one pass
            raise

    def _has_lost_one(self, is_late: bool) -> bool:
        """Whether a party has died for which the others would wait in vain.

        Args:
            is_late: whether one that died before it arrived has not been replaced in time.
        """
        if self._lock.recovered or self._dead(self._core.arrived):
            return True
        return is_late and bool(self._dead(self._core.party)) and self._living() < self._parties

    def _dead(self, claim: int) -> list[int]:
        slab = self._core.slab
        return [slot for slot in slab.claims(claim) if not slab.alive(slot)]

    def _living(self) -> int:
        """How many living processes have to do with the barrier."""
        slab = self._core.slab
        return sum(slab.alive(slot) for slot in slab.claims(self._core.party))

    def _break(self) -> None:
        core = self._core
        words = core.slab.words
        words[core.is_broken] = 1
        core.slab.longs[core.round] += 1
        for slot in (*self._dead(core.arrived), *self._dead(core.party)):
            words[slot] = 0
        for slot in core.slab.claims(core.arrived):
            words[slot] = core.broken
            core.slab.ring(slot)

    def reset(self) -> None:
        """Make the barrier empty and whole; those that wait get a `BrokenBarrierError`."""
        with self._lock:
            self._break()
            self._core.slab.words[self._core.is_broken] = 0

    def abort(self) -> None:
        """Break the barrier: those that wait, and those that come, get a `BrokenBarrierError` until it is reset."""
        with self._lock:
            self._break()

    @property
    def parties(self) -> int:
        """How many have to arrive."""
        return self._parties

    @property
    def n_waiting(self) -> int:
        """How many have arrived and wait."""
        slab, core = self._core.slab, self._core
        now = slab.longs[core.round]
        return sum(slab.longs[slab.ticket_at(slot)] == now for slot in slab.claims(core.arrived))

    @property
    def broken(self) -> bool:
        """Whether the barrier is broken."""
        return self._core.slab.words[self._core.is_broken] != 0

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"waiters={self.n_waiting}/{self.parties}"
        return f"<{type(self).__qualname__} at {id(self):#x}: {state}>"
