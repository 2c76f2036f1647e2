"""Workers that are children of the program itself: forked from it, or spawned afresh.

Forked ones inherit the program's variables, and its locked locks: use it knowingly. Spawned ones are for platforms
without the template, and for those who ask for them. Outside Linux this is written and untested.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
import traceback

from allcores.engine.lane import Death
from allcores.engine.outcome import Failure
from allcores.engine.reactor import Reactor
from allcores.lanes.family import MARK, kill_marked
from allcores.lanes.start.bootstrap import Surroundings, die_with_parent, run_worker
from allcores.lanes.start.spawn import package_home, spawn_python
from allcores.lanes.start.starter import Starter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["DirectStarter"]


class DirectStarter(Starter):
    """Starts workers as children of this process.

    They are made in the reactor's thread, which lives as long as they do: the kernel ends them with the thread
    that made them (PR_SET_PDEATHSIG).

    Args:
        method: ``"fork"`` or ``"spawn"``.
        preload: modules that a spawned worker imports first.
    """

    def __init__(self, method: str, preload: tuple[str, ...]) -> None:
        self.shares_main = method == "fork"
        self._mark = f"{os.getpid()}-{time.monotonic_ns()}"
        self._preload = preload
        self._reactor: Reactor | None = None

    def open(self, reactor: Reactor, threads: int) -> None:
        self._reactor = reactor

    def start(self, worker: Any, fds: list[int]) -> None:
        reactor = self._reactor
        assert reactor is not None
        fds = [os.dup(fd) for fd in fds]

        def make() -> None:
            try:
                mark = f"{self._mark}-{worker.number}"
                pid = self._fork(fds, mark) if self.shares_main else self._spawn(fds, mark)
            except OSError as error:
                worker.exited(Death(False, setup=Failure(error)))
                return
            finally:
                for fd in fds:
                    os.close(fd)
            worker.started(pid)
            self._watch(worker, pid)

        reactor.call_soon(make)

    def _fork(self, fds: list[int], mark: str) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                os.setsid()
                os.environ[MARK] = mark
                die_with_parent(parent)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                signal.set_wakeup_fd(-1)
                run_worker(fds, self.hooks)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        return pid

    def _spawn(self, fds: list[int], mark: str) -> int:
        environment = {**os.environ, MARK: mark}
        surroundings = Surroundings.here(environment)
        surroundings.environment.pop(MARK, None)
        code = (
            f"import sys; sys.path[0] = {package_home()!r}; "
            "from allcores.lanes.start.direct import run_spawned; "
            f"run_spawned({os.getpid()}, {pickle.dumps(surroundings)!r}, {self._preload!r})"
        )
        return spawn_python(code, fds, environment)

    def _watch(self, worker: Any, pid: int) -> None:
        reactor = self._reactor
        assert reactor is not None
        if hasattr(os, "pidfd_open"):
            pidfd = os.pidfd_open(pid)

            def ended(_: int) -> None:
                reactor.unwatch(pidfd)
                os.close(pidfd)
                worker.exited(self._reap(worker, pid))

            reactor.watch(pidfd, ended)
        else:

            def wait() -> None:
                death = self._reap(worker, pid)
                reactor.call_soon(lambda: worker.exited(death))

            threading.Thread(target=wait, name="allcores-wait", daemon=True).start()

        if sys.platform == "linux":
            self._look_for_stop(worker, pid, False)

    def _look_for_stop(self, worker: Any, pid: int, was_stopped: bool) -> None:
        """See now and then whether a signal has stopped the worker; only a parent that waits would be told."""
        try:
            with open(f"/proc/{pid}/stat") as file:
                is_stopped = file.read().rpartition(")")[2].split()[0] == "T"
        except OSError:
            return  # it has ended
        if is_stopped != was_stopped:
            worker.stopped(is_stopped)
        assert self._reactor is not None
        self._reactor.call_at(time.monotonic() + 2.0, lambda: self._look_for_stop(worker, pid, is_stopped))

    def _reap(self, worker: Any, pid: int) -> Death:
        try:
            _, status, usage = os.wait4(pid, 0)
        except ChildProcessError:  # the program has waited for any child at all
            return Death(worker.stopping)
        kill_marked(f"{self._mark}-{worker.number}")  # what its tasks have started and left
        unit = 1 if sys.platform == "darwin" else 1024
        code = os.waitstatus_to_exitcode(status)
        return Death(worker.stopping, exitcode=code, peak_memory=usage.ru_maxrss * unit)

    def kill(self, worker: Any, grace: float) -> None:
        pid = worker.pid
        family = _family(pid)
        if not grace:
            _signal_all(family, signal.SIGKILL)
            return
        assert self._reactor is not None
        _signal_all(family, signal.SIGTERM)
        _signal_all(family, signal.SIGCONT)
        self._reactor.call_at(time.monotonic() + grace, lambda: _signal_all(family, signal.SIGKILL))

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass


def run_spawned(parent: int, surroundings: bytes, preload: tuple[str, ...]) -> None:
    """Runs in a spawned worker."""
    if sys.platform == "linux":
        die_with_parent(parent)
    else:
        _watch_parent(parent)
    pickle.loads(surroundings).enter()
    for name in preload:
        __import__(name)
    run_worker((3, 4, 5, 6, 7))


def _watch_parent(parent: int) -> None:
    """Where the kernel does not end children with their parent: look now and then. Untested."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, name="allcores-parent", daemon=True).start()


def _family(pid: int) -> list[Any]:
    """A process and all that descends from it."""
    import psutil

    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _signal_all(family: list[Any], number: int) -> None:
    import psutil

    for process in family:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue
