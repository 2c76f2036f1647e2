"""`Condition`: that of `multiprocessing`, which does not wait for sleepers that have died."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

from allcores.sync.claims import Kind
from allcores.sync.lock import Lock, RLock
from allcores.sync.memory import Slab
from allcores.sync.records import Record, core_of, new_record
from allcores.sync.travel import Shared
from allcores.sync.waiting import Berth, deadline_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Condition"]


class _Core:
    """A condition's words. All are written under the condition's lock.

    Attributes:
        sleeping, woken: the claims of those that sleep; the second is put there by who wakes them.
        last_ticket: the number of the last one to begin to wait, in `slab.longs`; they are woken in that order.
        sleepers: in `slab.words`, how many sleep, and those that have died sleeping.
    """

    __slots__ = ("__weakref__", "last_ticket", "record", "slab", "sleepers", "sleeping", "woken")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.slab = record.slab
        self.sleeping = record.claim(Kind.SLEEPING)
        self.woken = record.claim(Kind.WOKEN)
        self.last_ticket = record.byte // 8
        self.sleepers = record.word + 2

    def forked(self) -> None:
        pass


class Condition(Shared):
    """A condition variable for processes and threads: `multiprocessing.Condition`.

    It can be passed to tasks of a pool and to processes. Sleepers that have died are passed over: `notify` wakes
    that many living ones, and never waits for an answer.

    Args:
        lock: a `Lock` or `RLock`, of allcores or of the standard library; None for a new `RLock`.
    """

    def __init__(self, lock: Any = None) -> None:
        self._set_up(new_record(), RLock() if lock is None else lock)

    def _set_up(self, record: Record, lock: Any) -> None:
        self._core = core_of(record, _Core)
        self._record = self._core.record
        self._lock = lock
        self._holding = _holding(lock)
        self.acquire = lock.acquire
        self.release = lock.release

    def _luggage(self) -> tuple[Any, ...]:
        return (self._lock,)

    @classmethod
    def _unpack(cls, record: Record, luggage: tuple[Any, ...]) -> Any:
        condition = cls.__new__(cls)
        condition._set_up(record, *luggage)
        return condition

    def __enter__(self) -> bool:
        return self.acquire()  # type: ignore[no-any-return]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    @property
    def recovered(self) -> bool:
        """Whether this process has the condition's lock from a holder that has died with it; see `Lock.recovered`."""
        return bool(getattr(self._lock, "recovered", False))

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, sleep until notified, and acquire the lock again.

        Args:
            timeout: seconds to sleep at most; None for as long as it takes.

        Returns:
            Whether it was notified; False when the time ran out.

        Raises:
            AssertionError: the calling thread does not hold the lock.
        """
        if not self._holding.is_mine():
            raise AssertionError("must acquire() condition before using wait()")
        core = self._core
        longs, words = core.slab.longs, core.slab.words
        deadline = deadline_of(timeout)
        longs[core.last_ticket] = ticket = longs[core.last_ticket] + 1
        words[core.sleepers] += 1
        with Berth(core.slab, core.sleeping, ticket) as berth:
            depth = self._holding.release_all()
            try:
                berth.sleep(lambda: berth.claim != core.sleeping, deadline)
            except BaseException:
                self._acquire_again(depth, berth)
                if berth.claim == core.woken:
                    self.notify()  # what this thread was woken for is still to be done
                raise
            self._acquire_again(depth, berth)
            return bool(berth.claim == core.woken)

    def _acquire_again(self, depth: Any, berth: Berth) -> None:
        try:
            self._holding.acquire_again(depth)
        except BaseException:
            berth.keep()  # without the lock: a notification may be on its way
            raise
        core = self._core
        core.slab.words[core.sleepers] -= 1

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        """Wait until a predicate holds, which is called with the lock held.

        Args:
            predicate: called before each wait.
            timeout: seconds to wait at most; None for as long as it takes.

        Returns:
            What the predicate returned last.
        """
        deadline = deadline_of(timeout)
        while not (result := predicate()):
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                break
            self.wait(remaining)
        return result

    def notify(self, n: int = 1) -> None:
        """Wake those that have waited longest.

        Args:
            n: how many at most.

        Raises:
            AssertionError: the calling thread does not hold the lock.
        """
        if not self._holding.is_mine():
            raise AssertionError("lock is not owned")
        core = self._core
        slab = core.slab
        if not slab.words[core.sleepers]:
            return
        sleepers = slab.claims(core.sleeping)
        if len(sleepers) > n:
            sleepers = self._first(sleepers, n)
        for slot in sleepers:
            slab.words[slot] = core.woken
        self._holding.wake(slab, sleepers)

    def _first(self, sleepers: list[int], n: int) -> list[int]:
        """Those of the sleepers that live and have slept longest."""
        slab = self._core.slab
        sleepers.sort(key=lambda slot: slab.longs[slab.ticket_at(slot)])
        chosen: list[int] = []
        for slot in sleepers:
            if len(chosen) >= n:
                break
            if slab.alive(slot):
                chosen.append(slot)
            else:
                slab.words[slot] = 0
        return chosen

    def notify_all(self) -> None:
        """Wake all who wait."""
        self.notify(sys.maxsize)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self._lock}, {len(self._core.slab.claims(self._core.sleeping))})>"

    # What the standard library's own tests look at to see that nobody sleeps any more

    @property
    def _sleeping_count(self) -> _Count:
        return _Count(len(self._core.slab.claims(self._core.sleeping)))

    @property
    def _woken_count(self) -> _Count:
        return _Count(0)

    _wait_semaphore = _woken_count


class _Count:
    def __init__(self, value: int) -> None:
        self._value = value

    def get_value(self) -> int:
        return self._value


# What a condition asks of its lock, for locks of each kind


class _Holding:
    """Any lock at all, taken for one that is not recursive."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock

    def is_mine(self) -> bool:
        """Whether this thread holds the lock; or somebody does, where the lock knows no better."""
        if self._lock.acquire(False):
            self._lock.release()
            return False
        return True

    def release_all(self) -> Any:
        """Release the lock, however often this thread has acquired it; returns what `acquire_again` wants."""
        self._lock.release()

    def acquire_again(self, state: Any) -> None:
        """Hold the lock as before."""
        self._lock.acquire()

    def wake(self, slab: Slab, slots: list[int]) -> None:
        """Ring the bells of sleepers that have been woken."""
        for slot in slots:
            slab.ring(slot)


class _HoldingOfThreading(_Holding):
    """A lock of `threading` that knows who holds it."""

    def is_mine(self) -> bool:
        return self._lock._is_owned()  # type: ignore[no-any-return]

    def release_all(self) -> Any:
        return self._lock._release_save()

    def acquire_again(self, state: Any) -> None:
        self._lock._acquire_restore(state)


class _HoldingOfMultiprocessing(_Holding):
    """A lock of `multiprocessing`."""

    def is_mine(self) -> bool:
        return self._lock._semlock._is_mine()  # type: ignore[no-any-return]

    def release_all(self) -> int:
        depth: int = self._lock._semlock._count()
        for _ in range(depth):
            self._lock.release()
        return depth

    def acquire_again(self, state: int) -> None:
        for _ in range(state):
            self._lock.acquire()


class _HoldingOfOurs(_HoldingOfMultiprocessing):
    """One of our own."""

    def __init__(self, lock: Lock | RLock) -> None:
        super().__init__(lock)
        self.is_mine = lock._is_mine  # type: ignore[method-assign]
        self.wake = lock._ring_on_release  # type: ignore[method-assign]


def _holding(lock: Any) -> _Holding:
    if isinstance(lock, (Lock, RLock)):
        return _HoldingOfOurs(lock)
    if hasattr(lock, "_semlock"):
        return _HoldingOfMultiprocessing(lock)
    if hasattr(lock, "_release_save"):
        return _HoldingOfThreading(lock)
    return _Holding(lock)
