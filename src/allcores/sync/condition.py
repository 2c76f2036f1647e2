"""`Condition`: that of `multiprocessing`, which does not wait for sleepers that have died."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

from allcores.sync.lock import Lock, RLock
from allcores.sync.memory import KIND, Record, core_of, new_record
from allcores.sync.travel import Shared
from allcores.sync.waiting import Berth, deadline_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Condition"]


class _Core:
    """A condition's words. All are written under the condition's lock.

    Attributes:
        waiting, woken: the claims of those that wait; the second is put there by who wakes them.
        last_ticket: the number of the last one to begin to wait, in `slab.longs`; they are woken in that order.
    """

    __slots__ = ("__weakref__", "last_ticket", "record", "slab", "waiting", "woken")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.slab = record.slab
        self.waiting = record.claim(KIND.WAITING)
        self.woken = record.claim(KIND.WOKEN)
        self.last_ticket = record.byte // 8

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
        return self._lock.__enter__()  # type: ignore[no-any-return]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.__exit__(kind, error, traceback)

    @property
    def recovered(self) -> bool:
        """Whether this process has the condition's lock from a holder that has died with it; see `Lock.recovered`."""
        return getattr(self._lock, "recovered", False)

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, sleep until notified, and acquire the lock again.

        Args:
            timeout: seconds to sleep at most; None for as long as it takes.

        Returns:
            Whether it was notified; False when the time ran out.

        Raises:
            AssertionError: the calling thread does not hold the lock.
        """
        if not _is_owned(self._lock):
            raise AssertionError("must acquire() condition before using wait()")
        core = self._core
        longs = core.slab.longs
        deadline = deadline_of(timeout)
        with Berth(core.slab, core.waiting) as berth:
            longs[core.slab.ticket_at(berth.slot)] = longs[core.last_ticket] = longs[core.last_ticket] + 1
            depth = _release_all(self._lock)
            try:
                berth.sleep(lambda: berth.claim != core.waiting, deadline)
            except BaseException:
                self._acquire_again(depth, berth)
                if berth.claim == core.woken:
                    self.notify()  # what this thread was woken for is still to be done
                raise
            self._acquire_again(depth, berth)
            return berth.claim == core.woken

    def _acquire_again(self, depth: Any, berth: Berth) -> None:
        try:
            _acquire_again(self._lock, depth)
        except BaseException:
            berth.keep()  # without the lock: a notification may be on its way
            raise

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
        if not _is_owned(self._lock):
            raise AssertionError("lock is not owned")
        slab, core = self._core.slab, self._core
        sleepers = slab.claims(core.waiting)
        if not sleepers:
            return
        sleepers.sort(key=lambda slot: slab.longs[slab.ticket_at(slot)])
        with slab.gate:  # so that no slot is given to somebody else just now, its owner having died
            for slot in sleepers:
                if n > 0 and slab.alive(slot) and slab.words[slot] == core.waiting:
                    slab.words[slot] = core.woken
                    slab.ring(slot)
                    n -= 1

    def notify_all(self) -> None:
        """Wake all who wait."""
        self.notify(sys.maxsize)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self._lock}, {len(self._core.slab.claims(self._core.waiting))})>"

    # What the standard library's own tests look at to see that nobody sleeps any more

    @property
    def _sleeping_count(self) -> _Count:
        return _Count(len(self._core.slab.claims(self._core.waiting)))

    @property
    def _woken_count(self) -> _Count:
        return _Count(0)

    _wait_semaphore = _woken_count


class _Count:
    def __init__(self, value: int) -> None:
        self._value = value

    def get_value(self) -> int:
        return self._value


# Locks of any kind. Those of multiprocessing, and ours, tell by `_semlock` who has them.


def _is_owned(lock: Any) -> bool:
    if hasattr(lock, "_semlock"):
        return lock._semlock._is_mine()  # type: ignore[no-any-return]
    if hasattr(lock, "_is_owned"):
        return lock._is_owned()  # type: ignore[no-any-return]
    if lock.acquire(False):
        lock.release()
        return False
    return True


def _release_all(lock: Any) -> Any:
    if isinstance(lock, Lock):
        depth = 1
    elif hasattr(lock, "_semlock"):
        depth = lock._semlock._count()
    elif hasattr(lock, "_release_save"):
        return lock._release_save()
    else:
        depth = 1
    for _ in range(depth):
        lock.release()
    return depth


def _acquire_again(lock: Any, depth: Any) -> None:
    if not hasattr(lock, "_semlock") and hasattr(lock, "_acquire_restore"):
        lock._acquire_restore(depth)
        return
    for _ in range(depth):
        lock.acquire()
