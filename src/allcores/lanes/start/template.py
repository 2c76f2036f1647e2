"""The program's side of the template process: starting it, connecting pools to it, letting it go.

One template serves all pools that preload the same modules. It is spawned, never forked, when the first pool is
made; it stays for a moment after the last one has ended, so that the next pool finds it warm.
"""

from __future__ import annotations

import atexit
import itertools
import os
import pickle
import socket
import sys
import threading
import time

from allcores.engine.citizenship import THREAD_VARIABLES
from allcores.engine.fd_messages import send_fds
from allcores.engine.frames import NO_SIGNAL
from allcores.engine.lane import Death
from allcores.engine.outcome import Failure
from allcores.engine.reactor import Reactor
from allcores.lanes.family import MARK, kill_marked
from allcores.lanes.start.bootstrap import Surroundings
from allcores.lanes.start.spawn import package_home, spawn_python
from allcores.lanes.start.starter import Starter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["TemplateStarter"]

#: Seconds that a template without pools waits for the next one. Arbitrary: long enough for the next line of the
#: user's program, short enough that nobody finds a process that he does not know.
LINGER = 2.0

_numbers = itertools.count()
_lock = threading.RLock()
#: By the modules that it preloads, and how many threads these may use.
_Key = tuple[tuple[str, ...], int]
_templates: dict[_Key, _Template] = {}


class _Template:
    """A template process. The module's lock guards it.

    Attributes:
        users: how many pools are connected.
    """

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.users = 0
        self.environment = dict(os.environ)
        preload, threads = key
        if threads and "OMP_NUM_THREADS" not in os.environ:
            self.environment = {**dict.fromkeys(THREAD_VARIABLES, str(threads)), **self.environment}
        self._release = threading.Event()
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = mine
        with its:
            self._pid = _spawn(its.fileno(), preload, self.environment)

    def connect(self) -> socket.socket:
        """A new connection for a pool.

        Raises:
            OSError: the template is gone.
        """
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            try:
                send_fds(self._control, b"connect", [its.fileno()], NO_SIGNAL)
            except OSError:
                mine.close()
                raise
        self.users += 1
        self._release.set()
        return mine

    def linger(self) -> None:
        """End the template unless a pool comes within `LINGER` seconds."""
        self._release = released = threading.Event()

        def wait() -> None:
            if not released.wait(LINGER):
                with _lock:
                    if released is self._release and not self.users:
                        self.end()

        try:
            threading.Thread(target=wait, name="allcores-linger", daemon=True).start()
        except RuntimeError:  # the program is ending: no next pool comes, and no thread can be started
            self.end()

    def end(self) -> None:
        """End it and what it started, and wait for that."""
        if _templates.get(self.key) is self:
            del _templates[self.key]
        self._release.set()
        try:
            self._control.send(b"quit", NO_SIGNAL)
        except OSError:
            pass
        self._control.close()
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            pass  # the program has waited for any child at all

    def abandon(self) -> None:
        """After a fork, in the child: it is the parent's."""
        self._control.close()


def _spawn(control: int, preload: tuple[str, ...], environment: dict[str, str]) -> int:
    """Start a template process; returns its process id."""
    path = [package_home(), *(entry for entry in sys.path if entry)] if preload else [package_home()]
    program, modules = os.getpid(), list(preload)
    code = (
        f"import sys; sys.path[0:1] = {path!r}; "
        f"from allcores.lanes.start.template_main import main; main(3, {program}, {modules!r})"
    )
    return spawn_python(code, [control], environment)


class TemplateStarter(Starter):
    """Starts the workers of one pool from a template.

    Its methods are called in any thread; what it hears of workers is told in the reactor's.

    Args:
        preload: modules that the template imports.
    """

    def __init__(self, preload: tuple[str, ...]) -> None:
        self.shares_main = False
        self._preload = preload
        self._key: _Key = (preload, 0)
        self._mark = f"{os.getpid()}-{next(_numbers)}-{time.monotonic_ns()}"
        self._lock = threading.RLock()
        self._template: _Template | None = None
        self._connection: socket.socket | None = None
        self._reactor: Reactor | None = None
        self._waiting: dict[int, Any] = {}  # workers asked for or running, by number

    def open(self, reactor: Reactor, threads: int) -> None:
        """Have a template started, if none runs."""
        with self._lock:
            self._reactor = reactor
            self._key = (self._preload, threads if self._preload else 0)
            self._connect()

    def _connect(self) -> socket.socket:
        if self._connection is not None:
            return self._connection
        with _lock:
            template = _templates.get(self._key)
            if template is not None:
                try:
                    self._connection = template.connect()
                except OSError:
                    template.end()  # it has died; reap it
                    template = None
            if template is None:
                template = _templates[self._key] = _Template(self._key)
                self._connection = template.connect()
            self._template = template
        assert self._connection is not None
        return self._connection

    def start(self, worker: Any, fds: list[int]) -> None:
        """Start a worker.

        Args:
            worker: told of ``started(pid)`` and ``exited(death)``.
            fds: descriptors for `run_worker`.

        Raises:
            OSError: no template can be had.
        """
        with self._lock:
            known = self._connection
            channel = self._connect()
            assert self._template is not None
            surroundings = Surroundings.here(self._template.environment)
            surroundings.environment[MARK] = self._mark
            message = pickle.dumps(("start", worker.number, surroundings))
            self._waiting[worker.number] = worker
            try:
                send_fds(channel, message, fds, NO_SIGNAL)
            except (BrokenPipeError, ConnectionError):
                del self._waiting[worker.number]
                self._lose_template()
                channel = self._connect()
                self._waiting[worker.number] = worker
                send_fds(channel, message, fds, NO_SIGNAL)
            except OSError:
                del self._waiting[worker.number]
                raise
            if channel is not known or not self._watched:
                self._watch(channel)

    _watched = False

    def _watch(self, channel: socket.socket) -> None:
        assert self._reactor is not None
        self._watched = True
        self._reactor.watch(channel.fileno(), lambda _: self._listen(channel))

    def kill(self, worker: Any, grace: float) -> None:
        """End a worker and all that it started: at once, or politely first."""
        with self._lock:
            if self._connection is not None:
                try:
                    self._connection.send(pickle.dumps(("kill", worker.number, grace)), NO_SIGNAL)
                except OSError:
                    pass  # a dead template's workers are dead

    def close(self) -> None:
        """Let go of the template. No worker is left."""
        with self._lock:
            self._disconnect()

    def abandon(self) -> None:
        """After a fork, in the child."""
        if self._connection is not None:
            self._connection.close()

    def _disconnect(self) -> None:
        connection, template = self._connection, self._template
        self._connection = self._template = None
        if connection is None or template is None:
            return
        if self._reactor is not None and self._watched:
            self._reactor.unwatch(connection.fileno())
        self._watched = False
        connection.close()
        with _lock:
            template.users -= 1
            if not template.users and _templates.get(self._key) is template:
                template.linger()

    def _listen(self, channel: socket.socket) -> None:
        """Take what the template says, in the reactor's thread."""
        try:
            data = channel.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._template_died(channel)
            return
        event, number, *details = pickle.loads(data)
        worker: Any = self._waiting.get(number)
        if worker is None:
            return
        if event == "started":
            worker.started(details[0])
        elif event == "ended":
            del self._waiting[number]
            worker.exited(Death(worker.stopping, exitcode=details[0], peak_memory=details[1]))
        elif event == "stopped":
            worker.stopped(details[0])
        elif event == "refused":
            del self._waiting[number]
            worker.exited(Death(False, setup=Failure(OSError(details[0]))))

    def _template_died(self, channel: socket.socket) -> None:
        with self._lock:
            if channel is self._connection:
                self._lose_template()

    def _lose_template(self) -> None:
        """The template is dead, and its workers with it; the next one to be started starts another template."""
        self._disconnect()
        orphans = list(self._waiting.values())
        self._waiting.clear()
        kill_marked(self._mark)  # what tasks have started is nobody's now

        def tell() -> None:
            for worker in orphans:
                worker.exited(Death(worker.stopping, exitcode=-9))

        assert self._reactor is not None
        self._reactor.call_soon(tell)


def _forked() -> None:
    """In a child that the program has forked: templates are the parent's."""
    global _lock
    _lock = threading.RLock()
    for template in _templates.values():
        template.abandon()
    _templates.clear()


def _end_all() -> None:
    with _lock:
        for template in list(_templates.values()):
            template.end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
atexit.register(_end_all)
