"""A lock's ordinary case: nobody else has it, nobody waits, nobody has died. Each line is paid for by every use.

It is there twice, with the same steps: in C (`mutex.c`), and for where that was not compiled, in Python. A program
may have processes of both kinds. The environment variable ``ALLCORES_LOCKS=python`` forces the second.

    acquire: claim, try            (failed: unclaim, and on in the keeper)
    release: post, look at the flags, unclaim
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module

from allcores.sync.native import RECURSIVE, SEMAPHORE, counting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.sync.keeper import LockKeeper

__all__ = ["NotEnlisted", "Ways", "make_mutex", "ordinary_ways"]

#: A lock's acquire and release, and what makes them forget what they know of this process, in a forked child.
Ways = tuple[Callable[..., bool], Callable[[], None], Callable[[], None]]


def _compiled() -> Any:
    if os.environ.get("ALLCORES_LOCKS") == "python":
        return None
    try:
        return import_module("allcores.sync._mutex")
    except ImportError:
        return None


_mutex = _compiled()


def make_mutex(address: int, flags: int, is_recursive: bool) -> Any:
    """What operates a lock's semaphore, and knows which thread of this process has the lock.

    Args:
        address: where the semaphore is.
        flags: where the flags are that are looked at on release.
        is_recursive: whether the lock belongs to a thread, which may acquire it repeatedly.
    """
    if _mutex is not None:
        return _mutex.Mutex(address, flags, is_recursive)
    return counting(address, RECURSIVE if is_recursive else SEMAPHORE, 1)


def ordinary_ways(keeper: LockKeeper) -> Ways:
    """How a lock is acquired and released, by a keeper's leave."""
    if _mutex is not None:
        return _in_c(keeper)
    return _recursive(keeper) if keeper.is_recursive else _plain(keeper)


def _in_c(keeper: LockKeeper) -> Ways:
    mutex = keeper.semaphore

    def acquire_slowly(block: bool, timeout: float | None) -> bool:
        is_got = mutex.try_as_enlisted()
        if is_got is None:
            keeper.enlist()
            mutex.enlist(keeper.claims_address)
            is_got = mutex.try_as_enlisted()
        if is_got:
            return True
        is_got = keeper.acquire(block, timeout)
        if is_got:
            mutex.hold(not keeper.is_adopted)
        return is_got

    ways = _mutex.Ways(mutex, acquire_slowly, keeper.release, keeper.see_to_flags)
    return ways.acquire, ways.release, mutex._after_fork


# In Python. Closures, since what they capture is at hand sooner than attributes.


class NotEnlisted(Exception):
    """This process has no slot for the lock yet."""


def _not_enlisted(*_: object) -> Any:
    raise NotEnlisted


def _plain(keeper: LockKeeper) -> Ways:
    take, post = keeper.semaphore.acquire, keeper.semaphore.release
    words, flags, trace = keeper.slab.words, keeper.flags, keeper.trace
    claim: Callable[[], None] = _not_enlisted
    unclaim: Callable[[bool], bool] = _not_enlisted
    is_unclaimed: Callable[[], bool] = _not_enlisted
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
        claims = keeper.enlist()
        claim, unclaim, is_unclaimed = claims.release, claims.acquire, claims._is_zero
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
            try:
                if words[flags]:
                    words[trace] = 1
                    keeper.see_to_flags()
            finally:
                unclaim(False)

    def forget() -> None:
        nonlocal claim, unclaim, is_unclaimed, held
        claim = unclaim = is_unclaimed = _not_enlisted
        held = False

    return acquire, release, forget


def _recursive(keeper: LockKeeper) -> Ways:
    take, post = keeper.semaphore.acquire, keeper.semaphore.release
    is_mine, count = keeper.semaphore._is_mine, keeper.semaphore._count
    words, flags, trace = keeper.slab.words, keeper.flags, keeper.trace
    claim: Callable[[], None] = _not_enlisted
    unclaim: Callable[[bool], bool] = _not_enlisted

    def acquire(block: bool = True, timeout: float | None = None) -> bool:
        nonlocal claim, unclaim
        if is_mine():
            return take(False)  # type: ignore[no-any-return]
        try:
            claim()
            if take(False):
                return True
        except NotEnlisted:
            pass
        except BaseException:
            keeper.give_up()
            raise
        else:
            unclaim(False)
            return keeper.acquire(block, timeout)
        claims = keeper.enlist()
        claim, unclaim = claims.release, claims.acquire
        return acquire(block, timeout)

    def release() -> None:
        if not is_mine():
            keeper.release()
        elif count() > 1:
            post()
        else:
            try:
                post()
            finally:
                try:
                    if words[flags]:
                        words[trace] = 1
                        keeper.see_to_flags()
                finally:
                    unclaim(False)

    def forget() -> None:
        nonlocal claim, unclaim
        claim = unclaim = _not_enlisted

    return acquire, release, forget
