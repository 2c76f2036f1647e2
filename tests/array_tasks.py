"""Functions for workers in the tests of large buffers, importable from everywhere."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np

from allcores.engine.parcels import LEAST

#: Numbers enough for a segment.
MANY = LEAST // 4

_kept: list[Any] = []


def numbers(first: int, count: int = MANY) -> Any:
    return np.arange(first, first + count, dtype="i8")


def same(value: Any) -> Any:
    return value


def total(array: Any) -> int:
    return int(array.sum())


def item(array: Any, n: int) -> int:
    return int(array[n])


def item_slowly(array: Any, n: int) -> int:
    time.sleep(0.02)
    return int(array[n])


def nap(seconds: float, value: Any) -> Any:
    time.sleep(seconds)
    return value


def keep(array: Any) -> None:
    _kept.append(array)


def kept_firsts() -> list[int]:
    return [int(array[0]) for array in _kept]


def kept_item(n: int) -> int:
    return int(_kept[-1][n])


def number_or_die(n: int) -> Any:
    if n < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return numbers(n)


def die_with(array: Any) -> None:
    assert len(array)
    os.kill(os.getpid(), signal.SIGKILL)


def fork_and_total(array: Any) -> int:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return int(array.sum())


class Unloadable:
    """Can be pickled, and not unpickled."""

    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise RuntimeError("this cannot be loaded")
