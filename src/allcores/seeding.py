"""Random seeds for tasks: each task its own, the same for any number of workers."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Seeds"]


class Seeds:
    """Numbers tasks, and seeds the generators before each.

    A task's seed is a digest (BLAKE2b) of the pool's seed and of the task's number, which counts the calls of the
    pool, and the items in each. So it depends on the order in which the program makes calls, and on nothing else.

    Args:
        seed: the pool's.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._calls = itertools.count()

    def seeded(self, target: Callable[..., Any], star: bool) -> Callable[..., Any]:
        """A function of ``(seed, item)`` that seeds the generators and calls `target` with the item."""
        return _Seeded(target, star)

    def number(self, items: Iterable[Any]) -> Iterator[tuple[str, Any]]:
        """Pair each item of one call with its seed."""
        call = next(self._calls)
        return ((f"{self._seed}/{call}/{index}", item) for index, item in enumerate(items))


class _Seeded:
    def __init__(self, target: Callable[..., Any], star: bool) -> None:
        self.target = target
        self.star = star
        self.__qualname__ = getattr(target, "__qualname__", type(target).__qualname__)

    def __call__(self, numbered: tuple[str, Any]) -> Any:
        key, item = numbered
        import hashlib

        digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
        random.seed(digest)
        numpy = _numpy()
        if numpy is not None:
            numpy.random.seed([int.from_bytes(digest[at : at + 4], "big") for at in range(0, 16, 4)])
        return self.target(*item) if self.star else self.target(item)


def _numpy() -> Any:
    """NumPy, also where only the task is going to import it; None where there is none."""
    try:
        import numpy
    except ImportError:
        return None
    return numpy


class SeededCall:
    """`_Seeded` for a call with arguments of its own."""

    def __init__(self, target: Callable[..., Any]) -> None:
        self._seeded = _Seeded(_apply, True)
        self._target = target
        self.__qualname__ = getattr(target, "__qualname__", type(target).__qualname__)

    def __call__(self, key: str, /, *args: Any, **kwds: Any) -> Any:
        return self._seeded((key, (self._target, args, kwds)))


def _apply(target: Callable[..., Any], args: tuple[Any, ...], kwds: dict[str, Any]) -> Any:
    return target(*args, **kwds)
