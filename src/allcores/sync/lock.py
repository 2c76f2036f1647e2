"""`Lock` and `RLock`: those of `multiprocessing`, which outlive their holders.

What is here is the ordinary case, and each line of it is paid for by every use. How it holds together, and what
happens otherwise, is told in `keeper`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from allcores.sync.keeper import LockKeeper, NotEnlisted
from allcores.sync.records import Record, core_of, new_record
from allcores.sync.travel import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Lock", "RLock"]


class _Core:
    """A lock as this process has it; its copies share it.

    Attributes:
        acquire, release: as the user calls them.
        keeper: the slower half.
    """

    __slots__ = ("__weakref__", "_forget", "acquire", "keeper", "release")

    def __init__(self, record: Record, is_recursive: bool, is_new: bool) -> None:
        self.keeper = LockKeeper(record, is_recursive, is_new)
        make = _recursive if is_recursive else _plain
        self.acquire, self.release, self._forget = make(self.keeper)

    def forked(self) -> None:
        self._forget()
        self.keeper.forked()


# Closures, since what they capture is at hand sooner than attributes.

_Paths = tuple[Callable[..., bool], Callable[[], None], Callable[[], None]]


def _plain(keeper: LockKeeper) -> _Paths:
    take, post = keeper.semaphore.acquire, keeper.semaphore.release
    words, flags = keeper.slab.words, keeper.flags
    claim: Callable[[], None] = keeper.not_enlisted
    unclaim: Callable[[bool], bool] = keeper.not_enlisted
    is_unclaimed: Callable[[], bool] = keeper.not_enlisted
    held = False  # whether this process holds the lock, and has not adopted it

    def acquire(block: bool = True, timeout: float | None = None) -> bool:
        nonlocal claim, unclaim, is_unclaimed, held
        try:
            claim()
            if take(False):
                held = True
                return True
        except NotEnlisted:
            pass
        except BaseException:
            keeper.give_up()
            raise
        else:
            unclaim(False)
            is_got = keeper.acquire(block, timeout)
            if is_got:
                held = not keeper.is_adopted
            return is_got
        claim, unclaim, is_unclaimed = keeper.enlist()
        return acquire(block, timeout)

    def release() -> None:
        nonlocal held
        if not held or is_unclaimed():  # it is not ours; or was, and somebody else has released it
            held = False
            keeper.release()
            return
        held = False
        try:
            post()
        finally:
            if words[flags]:
                keeper.see_to_flags()
            unclaim(False)

    def forget() -> None:
        nonlocal claim, unclaim, is_unclaimed, held
        claim = unclaim = is_unclaimed = keeper.not_enlisted
        held = False

    return acquire, release, forget


def _recursive(keeper: LockKeeper) -> _Paths:
    take, post = keeper.semaphore.acquire, keeper.semaphore.release
    is_mine, count = keeper.semaphore._is_mine, keeper.semaphore._count
    words, flags = keeper.slab.words, keeper.flags
    claim: Callable[[], None] = keeper.not_enlisted
    unclaim: Callable[[bool], bool] = keeper.not_enlisted
    held = False

    def acquire(block: bool = True, timeout: float | None = None) -> bool:
        nonlocal claim, unclaim, held
        if held and is_mine():
            return take(False)  # type: ignore[no-any-return]
        try:
            claim()
            if take(False):
                held = True
                return True
        except NotEnlisted:
            pass
        except BaseException:
            keeper.give_up()
            raise
        else:
            unclaim(False)
            is_got = keeper.acquire(block, timeout)
            if is_got:
                held = not keeper.is_adopted
            return is_got
        claim, unclaim, _ = keeper.enlist()
        return acquire(block, timeout)

    def release() -> None:
        nonlocal held
        if not held or not is_mine():
            keeper.release()
        elif count() > 1:
            post()
        else:
            held = False
            try:
                post()
            finally:
                if words[flags]:
                    keeper.see_to_flags()
                unclaim(False)

    def forget() -> None:
        nonlocal claim, unclaim, held
        claim = unclaim = keeper.not_enlisted
        held = False

    return acquire, release, forget


class _Mutex(Shared):
    _is_recursive: bool

    def __init__(self) -> None:
        self._set_up(new_record(), True)

    def _set_up(self, record: Record, is_new: bool) -> None:
        core = core_of(record, lambda record: _Core(record, self._is_recursive, is_new))
        self._core = core
        self._record = core.keeper.record
        self._is_mine = core.keeper.is_mine
        self._count = core.keeper.count
        self._ring_on_release = core.keeper.ring_on_release
        if type(self).acquire in _ACQUIRES:  # unless a subclass has its own
            self.acquire = core.acquire  # type: ignore[method-assign]
            self.release = core.release  # type: ignore[method-assign]

    @classmethod
    def _unpack(cls, record: Record, luggage: tuple[Any, ...]) -> Any:
        mutex = cls.__new__(cls)
        mutex._set_up(record, False)
        return mutex

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Get the lock.

        Args:
            block: whether to wait for it.
            timeout: seconds to wait at most; None for as long as it takes.

        Returns:
            Whether it was got.
        """
        return self._core.acquire(block, timeout)  # type: ignore[no-any-return]

    def release(self) -> None:
        """Give the lock back."""
        self._core.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    @property
    def recovered(self) -> bool:
        """Whether this process has the lock from a holder that has died with it.

        What the lock guards may then be half done. True from the `acquire` that got it until it is released; that
        `acquire` has also issued a `LockRecovered` warning.
        """
        return self._core.keeper.is_adopted  # type: ignore[no-any-return]

    def locked(self) -> bool:
        """Whether anybody holds the lock."""
        return self._core.keeper.semaphore._is_zero()  # type: ignore[no-any-return]

    def _be_quiet(self) -> None:
        """Take the lock over from the dead without a warning, in this process."""
        self._core.keeper.is_quiet = True

    # What the standard library's Condition, and its own tests, ask a lock

    @property
    def _semlock(self) -> Any:
        return self

    def _is_zero(self) -> bool:
        return self.locked()

    def _get_value(self) -> int:
        return 0 if self.locked() else 1

    def _owner(self) -> str:
        """Who holds the lock, in the standard library's words."""
        if self._is_mine():
            import threading
            from multiprocessing import process

            name = process.current_process().name
            thread = threading.current_thread().name
            return name if thread == "MainThread" else f"{name}|{thread}"
        if not self.locked():
            return "None"
        return "SomeOtherThread" if self._count() > 0 else "SomeOtherProcess"


class Lock(_Mutex):
    """A lock for processes and threads: `multiprocessing.Lock`, which outlives its holder.

    It can be passed to tasks of a pool and to processes. Any thread of any process may release it. When the process
    that holds it dies, the next in line gets it within milliseconds, with a `LockRecovered` warning, and finds
    `recovered` true. A thread that ends without releasing it keeps it held.
    """

    _is_recursive = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(owner={self._owner()})>"


class RLock(_Mutex):
    """A lock that its holder, a thread, may acquire again: `multiprocessing.RLock`, which outlives its holder.

    As `Lock`, but only the thread that holds it may release it, as often as it has acquired it.
    """

    _is_recursive = True

    def __repr__(self) -> str:
        owner = self._owner()
        count = self._count() if self._is_mine() else 0 if owner == "None" else "nonzero"
        return f"<{type(self).__name__}({owner}, {count})>"


_ACQUIRES = (_Mutex.acquire,)
