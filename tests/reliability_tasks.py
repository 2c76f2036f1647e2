"""Functions that the reliability tests send to workers: they die, stop, hang, eat memory and start processes.

They stand in a module of their own that imports nothing heavy: a worker imports it, and not pytest.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

#: How a worker can go: each with the exit code that it leaves.
DEATHS = {
    "SIGKILL": -signal.SIGKILL,
    "SIGSEGV": -signal.SIGSEGV,
    "SIGABRT": -signal.SIGABRT,
    "SIGTERM": -signal.SIGTERM,
    "_exit": 7,
}


#: A lock of the program's; what a fork inherits is a copy of its state, locked for good.
program_lock = threading.Lock()


def same(x: Any) -> Any:
    return x


def take_program_lock() -> bool:
    """Whether the lock can be had."""
    if not program_lock.acquire(timeout=1.0):
        return False
    program_lock.release()
    return True


def mark(path: str, text: object) -> None:
    """Append a line in one write, so that lines of several processes never mix."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{text}\n".encode())
    os.close(fd)


def marks(path: str) -> list[str]:
    """The lines that were marked so far."""
    return Path(path).read_text().splitlines() if os.path.exists(path) else []


def die(how: str) -> None:
    """End this process in one of the ways of `DEATHS`, for real."""
    if how == "_exit":
        os._exit(7)
    elif how == "SIGSEGV":
        ctypes.string_at(0)
    elif how == "SIGABRT":
        os.abort()
    else:
        os.kill(os.getpid(), getattr(signal, how))
        time.sleep(30)


def result_of(kind: str, x: int) -> Any:
    """A right result of each kind that travels in a way of its own."""
    if kind == "int":
        return x * 3
    if kind == "float":
        return x / 4
    if kind == "str":
        return f"result {x}"
    if kind == "object":
        return {"x": x, "set": {x}}
    return x.to_bytes(8, "little") * 12_500  # "large": over what fits in the shared half


def work_or_die(path: str, x: int, victims: tuple[int, ...], how: str, kind: str) -> Any:
    """Mark that the task has begun; then die if its number says so."""
    mark(path, x)
    if x in victims:
        die(how)
    return result_of(kind, x)


def work_or_die_packed(arguments: tuple[str, int, tuple[int, ...], str, str]) -> Any:
    return work_or_die(*arguments)


def die_times(path: str, times: int, how: str = "SIGKILL") -> int:
    """Die the first `times` times that it is called with this path; how often it was called, then."""
    mark(path, "called")
    calls = len(marks(path))
    if calls <= times:
        die(how)
    return calls


def fail_times(path: str, times: int, error: type[BaseException] = OSError) -> int:
    mark(path, "called")
    calls = len(marks(path))
    if calls <= times:
        raise error(f"attempt {calls}")
    return calls


def sleep_times(path: str, times: int, seconds: float) -> int:
    mark(path, "called")
    calls = len(marks(path))
    if calls <= times:
        time.sleep(seconds)
    return calls


def talk_and_die(lines: int, how: str) -> None:
    for number in range(lines):
        print(f"line {number}", file=sys.stderr)
    die(how)


def eat_and_die(size: int) -> None:
    hog = bytearray(size)
    hog[::4096] = b"x" * len(hog[::4096])
    die("SIGKILL")


def eat(size: int, seconds: float = 30.0) -> int:
    """Occupy memory, touching every page, and hold it for a while."""
    hog = bytearray(size)
    hog[::4096] = b"x" * len(hog[::4096])
    time.sleep(seconds)
    return len(hog)


def eat_in_child(size: int, seconds: float = 30.0) -> int:
    """Let a process started from here do that."""
    code = f"import time; hog = bytearray({size}); hog[::4096] = b'x' * len(hog[::4096]); time.sleep({seconds})"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode


def limit_address_space(size: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def nap(seconds: float, value: Any = None) -> Any:
    time.sleep(seconds)
    return value


def nap_and_mark(path: str, text: object, seconds: float) -> object:
    mark(path, text)
    time.sleep(seconds)
    return text


def pid(_: Any = None) -> int:
    return os.getpid()


def mark_pid_and_nap(path: str, seconds: float) -> int:
    mark(path, os.getpid())
    time.sleep(seconds)
    return os.getpid()


def stop_myself(seconds: float = 0.0) -> str:
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(seconds)
    return "continued"


def ignore_sigterm_and_nap(seconds: float) -> float:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(seconds)
    return seconds


def mark_on_sigterm(path: str, seconds: float) -> None:
    def clean_up(*_: object) -> None:
        mark(path, "cleaned up")
        os._exit(0)

    signal.signal(signal.SIGTERM, clean_up)
    mark(path, "ready")
    time.sleep(seconds)


def hold_the_interpreter(seconds: int) -> int:
    """A call of a C function that keeps the interpreter lock: no signal handler of Python's can run."""
    return int(ctypes.PyDLL(None).sleep(seconds))


def compute(_: Any = None) -> int:
    """A long computation in C that looks at no signal."""
    return sum(range(10**12))


# What tasks start.


def start_processes(path: str, kind: str, seconds: float) -> None:
    """Start a process, mark its number, and stay for a while.

    Args:
        path: where to mark.
        kind: ``plain``, ``stubborn`` (it ignores SIGTERM), ``daemon`` (forked twice, in a session of its own).
        seconds: how long to stay.
    """
    if kind == "daemon":
        _daemon(path)
    else:
        ready = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if kind == "stubborn" else ""
        code = f"{ready}print(1, flush=True); import time; time.sleep(60)"
        child = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        mark(path, child.pid)
    time.sleep(seconds)


def _daemon(path: str) -> None:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        while not marks(path):
            time.sleep(0.01)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            mark(path, os.getpid())
            time.sleep(60)
    finally:
        os._exit(0)


def fork_a_child_that_comes_back(x: int) -> int:
    """What people do who forget `os._exit`: the child leaves by way of the worker's own code."""
    if os.fork() == 0:
        sys.exit(99)
    os.wait()
    return x


# Initializers and finalizers.


def fail_to_initialize(path: str, how: str) -> None:
    mark(path, os.getpid())
    if how == "raise":
        raise LookupError("no model here")
    if how == "import":
        import a_module_that_there_is_not  # type: ignore[import-not-found]  # noqa: F401
    if how == "sys.exit":
        sys.exit(5)
    die(how)


def fail_to_initialize_times(path: str, times: int) -> None:
    mark(path, os.getpid())
    if len(marks(path)) <= times:
        raise LookupError(f"attempt {len(marks(path))}")


def initialize_slowly(seconds: float) -> None:
    time.sleep(seconds)


def fail_from_the_second_on(path: str) -> None:
    mark(path, os.getpid())
    if len(marks(path)) > 1:
        raise LookupError("only the first one works")


# Odd exceptions and values.


class TwoArguments(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


class ExitsWhenLoaded(Exception):
    """Its pickle calls `sys.exit` where it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.exit, (3,)


class ValueExitsWhenLoaded:
    def __reduce__(self) -> tuple[Any, ...]:
        return sys.exit, (3,)


class RaisesOnRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class TakesForeverToLoad:
    """An argument that a worker does not finish to unpickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return time.sleep, (60,)


def raise_two_arguments(_: Any = None) -> None:
    raise TwoArguments(404, "not found")


def raise_exits_when_loaded(_: Any = None) -> None:
    raise ExitsWhenLoaded("odd")


def return_exits_when_loaded(_: Any = None) -> ValueExitsWhenLoaded:
    return ValueExitsWhenLoaded()


def return_a_lock(_: Any = None) -> Any:
    return {"fine": 1, "lock": threading.Lock()}


def leave(how: str) -> None:
    if how == "sys.exit":
        sys.exit(4)
    if how == "KeyboardInterrupt":
        raise KeyboardInterrupt
    if how == "GeneratorExit":
        raise GeneratorExit
    raise BaseException("out of the blue")


def fail_on(x: int, bad: int) -> int:
    if x == bad:
        raise ValueError(f"cannot take {x}")
    return x


def nest(path: str, how: str) -> list[int]:
    """Make a pool in a worker."""
    from allcores import Pool

    with Pool(2) as inner:
        results = inner.map(same, range(4))
        mark(path, " ".join(map(str, inner.map(pid, range(8)))))
        if how == "hang":
            inner.map(nap, [60, 60])
        return results
