"""Making stores in shared memory visible, from one side only.

Parent and worker each store one word and then read the other's (see `channel`); without a fence between store and
load both could miss the other's store. A fence in the worker would be paid for by every task, so the parent, who
needs it rarely, uses membarrier(2): it makes the worker's core execute one.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable

__all__ = ["barrier", "register"]

_NUMBERS = {"x86_64": 324, "aarch64": 283, "riscv64": 283, "ppc64le": 365, "s390x": 356}
_GLOBAL = 1
_GLOBAL_EXPEDITED = 2
_REGISTER_GLOBAL_EXPEDITED = 4

_system_call: Callable[[int], int] | None = None


def register() -> None:
    """In a worker: let this process's cores be reached by the fast kind of barrier."""
    _membarrier(_REGISTER_GLOBAL_EXPEDITED)


def barrier() -> None:
    """Order every store and load of this process and of all registered ones around this moment."""
    if _membarrier(_GLOBAL_EXPEDITED) != 0 and _membarrier(_GLOBAL) != 0:
        time.sleep(0.001)  # a store buffer drains within nanoseconds; no kernel means no better way


def _membarrier(command: int) -> int:
    global _system_call
    if _system_call is None:
        _system_call = _find()
    return _system_call(command)


def _find() -> Callable[[int], int]:
    number = _NUMBERS.get(os.uname().machine) if sys.platform == "linux" else None
    if number is None:
        return lambda command: -1
    function = ctypes.CDLL(None).syscall
    return lambda command: int(function(number, command, 0, 0))
