"""`Process`: the interface of `multiprocessing.Process`, and the outcome."""

from __future__ import annotations

import multiprocessing.context
import multiprocessing.util
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager

from allcores.engine.functions import describe
from allcores.engine.outcome import Failure
from allcores.errors import ResultTimeout, WorkerDied, signal_name
from allcores.process.family import signal_family
from allcores.process.launch import launch
from allcores.process.letter import Inheritance
from allcores.process.report import report_failure, report_value
from allcores.process.watched import Watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Process"]


class Process(multiprocessing.context.Process):
    """A process that runs a function, and keeps what has become of it.

    All that `multiprocessing.Process` has, on fork, forkserver and spawn; it can be subclassed with a `run` of one's
    own. Beyond that `result` and `exception` tell what the target has returned or raised, it can be awaited, targets
    may be lambdas, closures and functions of ``__main__`` on any start method, and a daemon ends with its parent,
    whatever has ended that.

    Args:
        group: always None.
        target: called as ``target(*args, **kwargs)`` in the process.
        name: what it is called.
        args: positional arguments.
        kwargs: keyword arguments.
        daemon: whether it ends with its parent; None for what the current process is.
        context: how it is started: ``"fork"``, ``"forkserver"``, ``"spawn"`` or a context of `multiprocessing`; None
            for what `multiprocessing.set_start_method` says, or the platform's default.

    Raises:
        ValueError: there is no such start method here.
        TypeError: `context` is neither a name nor a context.
    """

    if TYPE_CHECKING:  # what the standard library's class has, as far as it is used here
        _start_method: str | None
        _popen: Any
        _parent_pid: int
        _target: Callable[..., Any] | None
        _args: tuple[Any, ...]
        _kwargs: dict[str, Any]
        _check_closed: Callable[[], None]

    _inheritance: Inheritance | None = None
    _work = "its run()"

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        daemon: bool | None = None,
        context: Any = None,
    ) -> None:
        super().__init__(group, target, name, args, kwargs or {}, daemon=daemon)
        if context is not None:
            self._start_method = _method(context)
        if target is not None:
            self._work = describe(target)

    @staticmethod
    def _Popen(process: Process) -> Any:  # type: ignore[override]
        method = process._start_method or multiprocessing.get_start_method()
        if sys.platform == "win32":  # without an outcome, and untested
            return multiprocessing.get_context(method).Process._Popen(process)
        return launch(process, method)

    # In the process

    def run(self) -> Any:
        """What the process does; a subclass may have its own. What this returns is the result."""
        if self._target is not None:
            return self._target(*self._args, **self._kwargs)
        return None

    def _bootstrap(self, *args: Any, **kwargs: Any) -> int:
        inheritance, self._inheritance = self._inheritance, None
        if inheritance is not None:
            inheritance.enter()
            self.run = _Reporting(self, inheritance.outcome)  # type: ignore[method-assign]
        return super()._bootstrap(*args, **kwargs)  # type: ignore[misc, no-any-return]

    def _join_barriers(self) -> None:
        """Barriers count a process as a party when they are unpickled in it; those that it has inherited are told."""
        module = sys.modules.get("allcores.sync.barrier")
        if module is not None:
            for value in (*self._args, *self._kwargs.values()):
                if isinstance(value, module.Barrier):
                    value.take_part()

    # In the parent

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the target to come to its end, and return what it has returned.

        Args:
            timeout: seconds to wait at most; None for as long as it takes.

        Raises:
            BaseException: what the target has raised, with a `RemoteTraceback` as its cause.
            WorkerDied: the process ended before its target did.
            MaybeEncodingError: what the target has returned cannot be pickled.
            TimeoutError: it was not there in time; also a `multiprocessing.TimeoutError`.
            AssertionError: the process was not started, or by another process.
            ValueError: it was closed.
        """
        value = self._outcome(timeout)
        if isinstance(value, Failure):
            raise value.renewed()
        return value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the target to come to its end, and return what it has raised; None if it has returned.

        Args:
            timeout: seconds to wait at most; None for as long as it takes.

        Raises:
            TimeoutError, AssertionError, ValueError: as for `result`.
        """
        value = self._outcome(timeout)
        return value.error if isinstance(value, Failure) else None

    def __await__(self) -> Generator[Any, None, Any]:
        import asyncio

        loop = asyncio.get_running_loop()
        while not self._is_over():
            changed = loop.create_future()

            def wake(changed: asyncio.Future[None] = changed) -> None:
                if not changed.done():
                    changed.set_result(None)

            with self._signs() as fds:
                for fd in fds:
                    loop.add_reader(fd, wake)
                try:
                    yield from changed.__await__()
                finally:
                    for fd in fds:
                        loop.remove_reader(fd)
        return self.result()

    def _outcome(self, timeout: float | None) -> Any:
        from multiprocessing import connection

        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._is_over():
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                raise ResultTimeout(f"{self.name} has not come to its end in {timeout:g} s")
            with self._signs() as fds:
                connection.wait(fds, remaining)
        return self._running().outcome.get()

    def _running(self) -> Watched:
        self._check_closed()
        if self._parent_pid != os.getpid():
            raise AssertionError("can only fetch the result of a child process")
        if self._popen is None:
            raise AssertionError("can only fetch the result of a started process")
        running: Watched = self._popen
        return running

    def _is_over(self) -> bool:
        running = self._running()
        if running.outcome.has_come():
            return True
        if self.is_alive():
            return False
        if not running.outcome.has_come():  # what it has sent before it ended is there now
            running.outcome.settle(Failure(self._death(running)))
        return True

    @contextmanager
    def _signs(self) -> Iterator[list[int]]:
        """Descriptors of which one is readable once something has become of the process."""
        running = self._running()
        fds: list[int] = []
        try:
            fds += running.outcome.signs()
            fds.append(running.sign_of_death())
            yield fds
        finally:
            for fd in fds:
                os.close(fd)

    def _death(self, running: Watched) -> WorkerDied:
        code = None if running.is_lost else running.poll()
        how = "ended, and somebody else was told how,"
        if code is not None:
            how = f"was ended by {signal_name(-code)}" if code < 0 else f"exited with code {code}"
        return WorkerDied(
            f"{self.name} (pid {running.pid}) {how} before {self._work} had come to its end",
            pid=running.pid,
            exitcode=code,
            task=self._work,
        )

    def terminate(self, tree: bool = False) -> None:
        """End the process with SIGTERM.

        Args:
            tree: whether to send the signal to what it has started as well, and to what that has started.
        """
        self._end(super().terminate, signal.SIGTERM, tree)

    def kill(self, tree: bool = False) -> None:
        """End the process with SIGKILL.

        Args:
            tree: whether to kill what it has started as well, and what that has started.
        """
        self._end(super().kill, signal.SIGKILL, tree)

    def _end(self, end: Callable[[], None], number: int, tree: bool) -> None:
        if tree and self.pid is not None and self.is_alive():
            signal_family(self.pid, number)
        else:
            end()


class _Reporting:
    """Runs what a process does, and reports what becomes of it. It is called in place of the process's `run`."""

    def __init__(self, process: Process, end: int) -> None:
        self._process = process
        self._run = process.run
        self._end = end
        self._pid = os.getpid()

    def __call__(self) -> None:
        self._process._join_barriers()
        try:
            value = self._run()
        except BaseException as error:
            traceback = error.__traceback__
            while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
                traceback = traceback.tb_next
            if self._is_its_own():
                report_failure(self._end, error, traceback or error.__traceback__)
            raise
        if self._is_its_own():
            report_value(self._end, value)

    def _is_its_own(self) -> bool:
        """Whether this is the process itself, not one that it has forked and that has come here, too."""
        if os.getpid() != self._pid:
            return False
        # What it has printed appears before what its parent prints once it has the outcome.
        util: Any = multiprocessing.util
        util._flush_std_streams()
        return True


def _method(context: Any) -> str:
    """The start method that a user has named."""
    if isinstance(context, str):
        return multiprocessing.get_context(context).get_start_method()
    if hasattr(context, "get_start_method"):
        return str(context.get_start_method())
    raise TypeError(f"context must be the name of a start method or a context of multiprocessing, not {context!r}")
