"""`Semaphore`, `BoundedSemaphore`: those of `multiprocessing`, whose `with` blocks give back what the dead have taken.

What is here is the ordinary case; what happens otherwise is in `permits`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from allcores.sync.native import most_permits
from allcores.sync.permits import PermitKeeper
from allcores.sync.records import Record, core_of, new_record
from allcores.sync.travel import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["BoundedSemaphore", "Semaphore"]


class _Core:
    """A semaphore as this process has it; its copies share it."""

    __slots__ = ("__weakref__", "acquire", "enter", "forked", "keeper", "leave", "release")

    def __init__(self, record: Record, value: int | None, maximum: int) -> None:
        self.keeper = PermitKeeper(record, value, maximum)
        self.acquire, self.release = _unowned(self.keeper)
        self.enter, self.leave, self.forked = _of_blocks(self.keeper, self.release)


def _unowned(keeper: PermitKeeper) -> tuple[Callable[..., bool], Callable[[], None]]:
    """`acquire` and `release`."""
    words, flags, trace = keeper.slab.words, keeper.flags, keeper.trace
    take, post = keeper.semaphore.acquire, keeper.semaphore.release
    count, uncount = keeper.taken.release, keeper.taken.acquire
    acquire_slowly, see_to_flags = keeper.acquire, keeper.see_to_flags

    def acquire(block: bool = True, timeout: float | None = None) -> bool:
        count()
        if take(False):
            return True
        uncount(False)
        return acquire_slowly(block, timeout)

    def release() -> None:
        post()
        try:
            if words[flags]:
                words[trace] = 1
                see_to_flags()
        finally:
            uncount(False)

    return acquire, release


def _of_blocks(
    keeper: PermitKeeper, release: Callable[[], None]
) -> tuple[Callable[[], bool], Callable[[], None], Callable[[], None]]:
    """What is done on entering a block, on leaving it, and after a fork."""
    words, flags, trace = keeper.slab.words, keeper.flags, keeper.trace
    trying, permit = keeper.trying, keeper.permit
    pop, push = keeper.slab.free.pop, keeper.slab.free.append
    take, post = keeper.semaphore.acquire, keeper.semaphore.release
    enter_slowly, see_to_flags = keeper.enter, keeper.see_to_flags
    entered: list[int] = []  # the claims of this process's blocks; permits are all alike

    def enter() -> bool:
        try:
            slot = pop()
        except IndexError:
            slot = 0
        if slot:
            try:
                words[slot] = trying
                if take(False):
                    words[slot] = permit
                    entered.append(slot)
                    return True
            except BaseException:
                if words[slot] == permit:  # it was entered
                    leave()
                else:
                    words[slot] = 0
                    push(slot)
                raise
            words[slot] = 0
            push(slot)
        entered.append(enter_slowly())
        return True

    def leave() -> None:
        try:
            slot = entered.pop()
        except IndexError:  # entered before a fork, in the parent
            release()
            return
        words[slot] = trying
        try:
            post()
        finally:
            try:
                if words[flags]:
                    words[trace] = 1
                    see_to_flags()
            finally:
                words[slot] = 0
                push(slot)

    return enter, leave, entered.clear


class Semaphore(Shared):
    """A semaphore for processes and threads: `multiprocessing.Semaphore`.

    It can be passed to tasks of a pool and to processes. A semaphore has no owner, so a permit that was taken with
    `acquire` stays taken when its taker dies. One that was taken by a ``with`` block is given back when the process
    dies in the block.

    Args:
        value: how many permits there are at first.

    Raises:
        TypeError, ValueError: for a value that is no number from 0 to what the platform can count to.
    """

    def __init__(self, value: int = 1) -> None:
        self._start(value, most_permits())

    def _start(self, value: int, maximum: int) -> None:
        if not isinstance(value, int):
            raise TypeError(f"a semaphore's value must be a whole number, not {value!r}")
        if not 0 <= value <= most_permits():
            raise ValueError(f"a semaphore's value must be from 0 to {most_permits()}, not {value}")
        self._set_up(new_record(), value, maximum)

    def _set_up(self, record: Record, value: int | None, maximum: int) -> None:
        core = core_of(record, lambda record: _Core(record, value, maximum))
        self._core = core
        self._record = core.keeper.record
        self._maximum = maximum
        if type(self).acquire is Semaphore.acquire:  # unless a subclass has its own
            self.acquire = core.acquire  # type: ignore[method-assign]
            self.release = core.release  # type: ignore[method-assign]

    def _luggage(self) -> tuple[Any, ...]:
        return (self._maximum,)

    @classmethod
    def _unpack(cls, record: Record, luggage: tuple[Any, ...]) -> Any:
        semaphore = cls.__new__(cls)
        semaphore._set_up(record, None, *luggage)
        return semaphore

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take a permit.

        Args:
            block: whether to wait for one.
            timeout: seconds to wait at most; None for as long as it takes.

        Returns:
            Whether one was got.
        """
        return self._core.acquire(block, timeout)  # type: ignore[no-any-return]

    def release(self) -> None:
        """Give a permit, which need not be one that was taken before.

        Raises:
            ValueError: there are as many as there may be.
        """
        self._core.release()

    def __enter__(self) -> bool:
        return self._core.enter()  # type: ignore[no-any-return]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._core.leave()

    def get_value(self) -> int:
        """How many permits there are now."""
        return self._core.keeper.value()  # type: ignore[no-any-return]

    def locked(self) -> bool:
        """Whether there is no permit to be had now."""
        return self._core.keeper.semaphore._is_zero()  # type: ignore[no-any-return]

    @property
    def _semlock(self) -> Any:
        return self._core.keeper.semaphore

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(value={self.get_value()})>"


class BoundedSemaphore(Semaphore):
    """A `Semaphore` that never has more permits than at first: then `release` raises a `ValueError`.

    Args:
        value: how many permits there are at first, and at most.
    """

    def __init__(self, value: int = 1) -> None:
        self._start(value, value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(value={self.get_value()}, maxvalue={self._maximum})>"
