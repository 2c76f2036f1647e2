"""Functions that the pool's tests send to workers.

They stand in a module of their own that imports nothing heavy: a worker imports it, and not pytest.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any


def square(x: Any) -> Any:
    return x * x


def identity(x: Any) -> Any:
    return x


def pair(a: Any, b: Any = "default") -> tuple[Any, Any]:
    return (a, b)


def everything(*args: Any, **kwds: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwds


def fail_on_three(x: int) -> int:
    if x == 3:
        raise ValueError(f"cannot take {x}")
    return x


def fail_odd(x: int) -> int:
    if x % 2:
        raise KeyError(x)
    return x


def raise_it(error: BaseException) -> None:
    raise error


def inner_frame() -> None:
    raise LookupError("deep down")  # the line that tracebacks must show


def sleep_and_return(seconds: float, value: Any = None) -> Any:
    time.sleep(seconds)
    return value


def sleep_first(values: list[int]) -> int:
    time.sleep(0.001)
    return values[0]


def pid(_: Any = None) -> int:
    return os.getpid()


def pid_slowly(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def thread_name(_: Any = None) -> str:
    return threading.current_thread().name


def same_size(data: bytes) -> bytes:
    return data[::-1]


def make_bytes(count: int) -> bytes:
    return b"x" * count


def touch_and_sleep(path: str, seconds: float) -> None:
    with open(path, "w"):
        pass
    time.sleep(seconds)


def append_line(path: str, line: str) -> None:
    with open(path, "a") as file:
        file.write(line + "\n")


def fail_times(path: str, times: int) -> int:
    """Fail the first `times` times that it is called with this path; how often it was called, then."""
    append_line(path, "called")
    with open(path) as file:
        calls = len(file.readlines())
    if calls <= times:
        raise OSError(f"attempt {calls}")
    return calls


# What initializers leave behind.

state: dict[str, Any] = {}


def remember(**values: Any) -> None:
    state.update(values)


def remember_positional(*values: Any) -> None:
    state["values"] = values


def recall(name: str) -> Any:
    return state.get(name)


def count_initialisations(path: str) -> None:
    append_line(path, str(os.getpid()))


# Objects of multiprocessing, as arguments and as initializers' arguments.


def put_in(queue: Any, value: Any) -> None:
    queue.put(value)


def put_in_remembered(value: Any) -> None:
    state["values"][0].put(value)


def add_to(value: Any, times: int) -> None:
    for _ in range(times):
        with value.get_lock():
            value.value += 1


def add_under_lock(lock: Any, path: str, times: int) -> None:
    """Add to the number in a file, which goes wrong unless the lock keeps others out."""
    for _ in range(times):
        with lock:
            with open(path) as file:
                number = int(file.read() or 0)
            with open(path, "w") as file:
                file.write(str(number + 1))


def set_event(event: Any) -> None:
    event.set()


# Exceptions with constructors that a pickle cannot call.


class TwoArguments(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class KeywordOnly(Exception):
    def __init__(self, *, path: str) -> None:
        super().__init__(path)
        self.path = path


class HoldsLock(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text, threading.Lock())


class RaisesInStr(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def raise_two_arguments(_: Any = None) -> None:
    raise TwoArguments(404, "not found")


def raise_keyword_only(_: Any = None) -> None:
    raise KeywordOnly(path="/nowhere")


def raise_holding_lock(_: Any = None) -> None:
    raise HoldsLock("locked")


def raise_without_text(_: Any = None) -> None:
    raise RaisesInStr("ignored")


def raise_system_exit(code: int) -> None:
    raise SystemExit(code)


def raise_keyboard_interrupt(_: Any = None) -> None:
    raise KeyboardInterrupt


def raise_stop_iteration(_: Any = None) -> None:
    raise StopIteration("from the task")


def raise_chained(_: Any = None) -> None:
    try:
        raise KeyError("first")
    except KeyError as error:
        raise ValueError("second") from error


def unpicklable_result(_: Any = None) -> Any:
    return {"fine": 1, "lock": threading.Lock()}


class RefusesToLoad:
    """Can be pickled, and not unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse, ()


def _refuse() -> None:
    raise RuntimeError("refuses to be unpickled")


def result_that_refuses_to_load(_: Any = None) -> RefusesToLoad:
    return RefusesToLoad()


class Counter:
    """Has methods to be sent."""

    def __init__(self, start: int) -> None:
        self.start = start

    def add(self, number: int) -> int:
        return self.start + number

    @classmethod
    def name_of_class(cls, _: Any = None) -> str:
        return cls.__name__

    @staticmethod
    def twice(number: int) -> int:
        return 2 * number

    def __call__(self, number: int) -> int:
        return self.start * number
