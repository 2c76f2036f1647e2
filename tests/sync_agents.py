"""Processes that do with locks and the like what a test tells them, one thing after the other, until they die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FORK: Any = multiprocessing.get_context("fork")

#: Seconds after which an answer that has not come never will.
SOON = 15.0


class Agent:
    """A forked process that has inherited some objects, and calls their methods.

    It is the standard library's process, so that what is tested is not tested by itself.

    Args:
        objects: by the names that `ask` calls them by.
    """

    def __init__(self, **objects: Any) -> None:
        self._end, its = FORK.Pipe()
        self.process = FORK.Process(target=_serve, args=(its, self._end, objects))
        self.process.start()
        its.close()

    @property
    def pid(self) -> int:
        pid: int = self.process.pid
        return pid

    def tell(self, method: str, *args: Any) -> None:
        """Let it call ``object.method`` without waiting for the answer."""
        self._end.send((method, args))

    def answer(self, seconds: float = SOON) -> Any:
        """What the last call has returned; an exception of its is raised."""
        assert self._end.poll(seconds), f"no answer in {seconds} s"
        value = self._end.recv()
        if isinstance(value, BaseException):
            raise value
        return value

    def has_answered(self) -> bool:
        """Whether there is an answer."""
        ready: bool = self._end.poll(0)
        return ready

    def ask(self, method: str, *args: Any) -> Any:
        """Let it call ``object.method`` and return what that returns."""
        self.tell(method, *args)
        return self.answer()

    def kill(self, reap: bool = True) -> None:
        """Kill it; and wait for it, or else let it be a zombie for a while."""
        os.kill(self.pid, signal.SIGKILL)
        if reap:
            self.process.join()
        else:
            wait_for_state(self.pid, "Z")

    def end(self) -> None:
        """Leave nothing of it."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.process.close()
        self._end.close()


def _serve(end: Any, other: Any, objects: dict[str, Any]) -> None:
    other.close()
    warnings.simplefilter("ignore")
    while True:
        try:
            method, args = end.recv()
        except EOFError:
            return
        name, _, attribute = method.partition(".")
        try:
            value = getattr(objects[name], attribute)
            value = value(*args) if callable(value) else value
        except BaseException as error:
            value = error
        end.send(value)


@contextmanager
def agents(count: int, **objects: Any) -> Iterator[list[Agent]]:
    """So many agents, gone afterwards."""
    started = [Agent(**objects) for _ in range(count)]
    try:
        yield started
    finally:
        for agent in started:
            agent.end()


def stop_fork_server() -> None:
    """The standard library's fork server stays until it is told to stop, or the program ends."""
    from multiprocessing import forkserver

    forkserver._forkserver._stop()  # type: ignore[attr-defined]


def wait_for_state(pid: int, state: str) -> None:
    """Wait until /proc says that a process is in this state."""
    give_up = time.monotonic() + SOON
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != state:
        assert time.monotonic() < give_up
        time.sleep(0.001)


def in_thread(function: Any, *args: Any) -> Any:
    """Call a function in another thread, wait for it, and return what it returns; a hang fails the test."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(function(*args))
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SOON)
    assert found, "it hangs"
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


class Struck(Exception):
    """A signal handler has raised it."""


def strike(*_: object) -> None:
    """A signal handler."""
    raise Struck


@contextmanager
def signal_at(event: str, function: str, handler: Callable[..., None]) -> Iterator[list[str]]:
    """Let a signal come at one point of this thread's work, once.

    Args:
        event: ``call`` or ``c_return``, as `sys.setprofile` has them.
        function: the name of what has just been entered, or left.
        handler: what the signal's handler does.
    """
    came = []

    def look(frame: Any, happens: str, what: Any) -> None:
        if happens == event and (frame.f_code.co_name if event == "call" else what.__name__) == function:
            sys.setprofile(None)
            came.append(function)
            signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    sys.setprofile(look)
    try:
        yield came
    finally:
        sys.setprofile(None)
        signal.signal(signal.SIGUSR1, before)
    assert came
