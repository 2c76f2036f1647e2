"""The tasks of a storm, and what may become of each."""

from __future__ import annotations

import os
import random
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_RECORD = struct.Struct("<I")


class Task(NamedTuple):
    """One task.

    Attributes:
        index: its number in the storm.
        kind: a key of `KINDS`.
        amount: bytes or milliseconds, as the kind has it.
        journal: the file that counts executions.
        load: an argument of some size.
    """

    index: int
    kind: str
    amount: int
    journal: str
    load: Any = None


class TwoArguments(Exception):
    """Cannot be unpickled as it pickles itself."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")
        self.pair = (first, second)


class Mute(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Base(BaseException):
    """No Exception."""


_journals: dict[tuple[str, int], int] = {}


def run(task: Task) -> Any:
    """Write into the journal that the task is being run, then do what its kind asks for."""
    key = task.journal, os.getpid()
    if key not in _journals:
        _journals[key] = os.open(task.journal, os.O_WRONLY | os.O_APPEND)
    os.write(_journals[key], _RECORD.pack(task.index))
    return KINDS[task.kind](task)


def run_star(*fields: Any) -> Any:
    """`run`, for starmap."""
    return run(Task(*fields))


def executions(journal: str, tasks: int) -> list[int]:
    """How often each task has been run."""
    counts = [0] * tasks
    with open(journal, "rb") as file:
        for (index,) in _RECORD.iter_unpack(file.read()):
            counts[index] += 1
    return counts


def value(task: Task) -> Any:
    """What the task returns when nothing happens to it."""
    index = task.index
    shapes = (index * 7, index * 2**70, f"result {index}", index / 3, (index, [index]), {"index": index}, None, True)
    return shapes[index % len(shapes)]


def _plain(task: Task) -> Any:
    return value(task)


def _number(task: Task) -> int:
    return task.index


def _sleep(task: Task) -> Any:
    time.sleep(task.amount / 1000)
    return value(task)


def _compute(task: Task) -> Any:
    end = time.perf_counter() + task.amount / 1000
    while time.perf_counter() < end:
        pass
    return value(task)


def _large_result(task: Task) -> bytes:
    return task.index.to_bytes(4, "little") * (task.amount // 4)


def _large_argument(task: Task) -> Any:
    assert len(task.load) == task.amount
    return value(task)


def _array(task: Task) -> Any:
    assert (task.load == task.index).all()
    return np.add(task.load, 1, out=task.load)  # in place: in the segment that it came in


def _shared(task: Task) -> Any:
    task.load[task.index % 100] = 0  # seen by tasks of this worker only, and the rest by nobody
    assert (task.load[100:] == SHARED[100:]).all()
    return value(task)


def _raise(task: Task) -> Any:
    raise (
        ValueError(task.index),
        TwoArguments(task.index, 2),
        Mute(),
        SystemExit(task.index),
        Base(task.index),
        StopIteration(task.index),
        GeneratorExit(),
        OSError(task.index, threading.Lock()),
    )[task.index % 8]


def _unpicklable(task: Task) -> Any:
    return threading.Lock() if task.index % 2 else (item for item in ())


def _hang(task: Task) -> Any:
    if task.index % 2:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)
    return value(task)


def _devour(task: Task) -> Any:
    load = bytearray(task.amount)
    for position in range(0, task.amount, 4096):
        load[position] = 1
    time.sleep(30)
    return value(task)


def _die(task: Task) -> Any:
    which = task.index % 3
    if which == 0:
        os._exit(3)
    os.kill(os.getpid(), (signal.SIGKILL, signal.SIGABRT)[which - 1])
    time.sleep(10)


def _leave_process(task: Task) -> Any:
    subprocess.Popen(["sleep", f"{ORPHAN_SECONDS}"], start_new_session=bool(task.index % 2))
    return value(task)


def _talk(task: Task) -> Any:
    import logging
    import warnings

    print(f"task {task.index} speaks")
    logging.getLogger("storm").warning("task %d warns", task.index)
    warnings.warn(f"task {task.index}", stacklevel=1)
    return value(task)


#: What tasks of the kind "shared" are given by `Pool.share`.
SHARED = np.arange(100_000)

#: Seconds that an orphan sleeps; no other process on the machine is likely to sleep as long.
ORPHAN_SECONDS = 86397

KINDS: dict[str, Callable[[Task], Any]] = {
    "plain": _plain,
    "number": _number,
    "sleep": _sleep,
    "compute": _compute,
    "large result": _large_result,
    "large argument": _large_argument,
    "array": _array,
    "shared": _shared,
    "raise": _raise,
    "unpicklable": _unpicklable,
    "hang": _hang,
    "devour": _devour,
    "die": _die,
    "leave process": _leave_process,
    "talk": _talk,
}

_WEIGHTS = {
    "plain": 600,
    "number": 250,
    "sleep": 40,
    "compute": 40,
    "large result": 10,
    "large argument": 10,
    "array": 10,
    "shared": 20,
    "raise": 20,
    "unpicklable": 6,
    "hang": 0.5,
    "devour": 0.3,
    "die": 3,
    "leave process": 1,
    "talk": 3,
}


def draw(chance: random.Random, index: int, journal: str) -> Task:
    """A random task."""
    kind = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    amount, load = 0, None
    if kind in ("sleep", "compute"):
        amount = chance.choice((1, 1, 2, 5))
    elif kind in ("large result", "large argument"):
        amount = 4 * chance.choice((1_000, 20_000, 100_000, 500_000))
        load = bytes(amount) if kind == "large argument" else None
    elif kind == "array":
        amount = chance.choice((100, 20_000, 100_000, 300_000))
        load = np.full(amount, index)
    elif kind == "devour":
        amount = 400_000_000
    return Task(index, kind, amount, journal, load)
