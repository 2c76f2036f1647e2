"""What the tests of `Process` run, and how they start it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import allcores
from allcores import Process

METHODS = ("fork", "forkserver", "spawn")

#: Seconds after which what has not happened never will.
SOON = 20.0

each_method = pytest.mark.parametrize("method", METHODS)

PATHS = os.pathsep.join([str(Path(allcores.__file__).parents[1]), str(Path(__file__).parent)])


@contextmanager
def started(target: Callable[..., object], *args: Any, method: str = "fork", **options: Any) -> Iterator[Process]:
    """A process that runs, and has ended afterwards."""
    process = Process(target=target, args=args, context=method, **options)
    process.start()
    try:
        yield process
    finally:
        if process.is_alive():
            process.kill()
        process.join(SOON)


def result_of(target: Callable[..., object], *args: Any, method: str = "fork", **options: Any) -> Any:
    """What a process returns that runs a function."""
    with started(target, *args, method=method, **options) as process:
        value = process.result(SOON)
        process.join(SOON)
        assert process.exitcode == 0
        return value


def run_program(
    source: str, folder: Path, *options: str, seconds: float = 2 * SOON
) -> subprocess.CompletedProcess[str]:
    """Run a script to its end."""
    path = folder / "program.py"
    path.write_text(source)
    return subprocess.run(
        [sys.executable, *options, str(path)],
        env={**os.environ, "PYTHONPATH": PATHS, "PYTHONUNBUFFERED": ""},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def end(how: str) -> str:
    """Come to an end in one of the ways of `ENDS`."""
    if how == "return":
        return "value"
    if how == "exit()":
        sys.exit()
    if how == "exit(3)":
        sys.exit(3)
    if how == "exit(text)":
        sys.exit("what it was")
    if how == "raise":
        raise KeyError("what was raised")
    if how == "_exit(0)":
        os._exit(0)
    if how == "_exit(7)":
        os._exit(7)
    os.kill(os.getpid(), signal.Signals[how])
    time.sleep(60)
    return "still there"


#: Ways to come to an end: the exit code, and the error that `result` raises.
ENDS: dict[str, tuple[int, str | None]] = {
    "return": (0, None),
    "exit()": (0, "SystemExit"),
    "exit(3)": (3, "SystemExit"),
    "exit(text)": (1, "SystemExit"),
    "raise": (1, "KeyError"),
    "_exit(0)": (0, "WorkerDied"),
    "_exit(7)": (7, "WorkerDied"),
    "SIGTERM": (-15, "WorkerDied"),
    "SIGKILL": (-9, "WorkerDied"),
    "SIGUSR1": (-signal.SIGUSR1, "WorkerDied"),
}


def who_am_i() -> dict[str, Any]:
    """What a process knows of itself and of its parent."""
    me, parent = multiprocessing.current_process(), multiprocessing.parent_process()
    assert parent is not None
    return {
        "pid": (me.pid, me.ident, os.getpid()),
        "parent": (parent.pid, parent.name, parent.is_alive()),
        "name": me.name,
        "daemon": me.daemon,
        "authkey": bytes(me.authkey),
        "alive": me.is_alive(),
        "children": multiprocessing.active_children(),
        "method": multiprocessing.get_start_method(),
        "type": type(me).__name__,
    }


def start_another(method: str) -> tuple[int, str, int | None]:
    """A process that starts one: its pid, and name and exit code of the other."""
    inner = Process(target=os.getppid, context=method)
    inner.start()
    parent = inner.result(SOON)
    inner.join(SOON)
    return parent, inner.name, inner.exitcode


def start_family(path: str, stubborn: bool = False) -> None:
    """Start a process that starts a process, write down who they are, and wait."""
    ignore = "trap '' TERM; " if stubborn else ""
    shell = subprocess.Popen(["sh", "-c", f"{ignore}sleep 60 & sleep 60"])
    Path(path).write_text(f"{os.getpid()} {shell.pid}\n")
    time.sleep(60)
