"""The template process: a small, warm interpreter from which workers are forked.

It is started fresh, has one thread, and never sees anything of the user's program but the modules that it is told
to import; so forking from it is safe whatever threads the program has, and quick, since all that a worker needs is
imported already. It is the parent of all workers and tells their pools of their ends.

It also sees to it that nothing is left behind. What a worker's tasks have started becomes the template's child when
the worker ends (see PR_SET_CHILD_SUBREAPER in prctl(2)); whatever child the template has that is no worker is such an
orphan and is ended. When the program that it works for is gone (a pidfd tells, however it went), it kills everything
that descends from it and ends.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import select
import signal
import socket
import sys
import time
import traceback
import warnings

from allcores.engine.fd_messages import receive_fds
from allcores.lanes.family import children, descendants
from allcores.lanes.start import bootstrap

__all__ = ["main"]

#: Seconds between SIGTERM and SIGKILL for what a worker leaves behind.
GRACE = 0.5

#: How long, in seconds, to go on killing once the program is gone.
_LAST_EFFORT = 2.0


class Client:
    """A pool's connection, and its workers.

    Attributes:
        workers: process id to the number that the pool knows the worker by.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.workers: dict[int, int] = {}

    def tell(self, message: tuple[object, ...]) -> None:
        """Send a message; a client that is gone is noticed elsewhere."""
        try:
            self.connection.send(pickle.dumps(message))
        except OSError:
            pass


class Template:
    """Serves pools until the program is gone, or wants no template any more."""

    def __init__(self, control: socket.socket, program: int) -> None:
        self._control = control
        self._clients: dict[int, Client] = {}
        self._owner: dict[int, Client] = {}  # of each worker, by process id
        self._doomed: dict[int, float] = {}  # process id to the time of its SIGKILL
        try:
            self._program = os.pidfd_open(program)
        except ProcessLookupError:
            os._exit(0)
        if os.getppid() != program:
            os._exit(0)
        bootstrap.prctl(bootstrap.PR_SET_CHILD_SUBREAPER, 1)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._poll = select.poll()
        for fd in (self._control.fileno(), self._program, self._wake_read):
            self._poll.register(fd, select.POLLIN)
        self._looks: list[float] = []  # when to look for orphans again
        self._warm = False

    def serve(self) -> None:
        """Handle one event after the other."""
        while True:
            events = self._poll.poll(self._pause())
            if not events and not self._warm:
                self._warm_up()
            for fd, _ in events:
                if fd == self._program:
                    self._end()
                elif fd == self._wake_read:
                    self._drain()
                    self._reap()
                elif fd == self._control.fileno():
                    self._accept()
                elif fd in self._clients:
                    self._serve(self._clients[fd])
            self._kill_due()

    def _pause(self) -> float | None:
        """Milliseconds to wait at most."""
        if self._doomed or self._looks:
            next_due = min([*self._doomed.values(), *self._looks])
            return max(0.0, (next_due - time.monotonic()) * 1000 + 1)
        return None if self._warm else 0

    def _warm_up(self) -> None:
        """Import what a first task may not need, once there is nothing else to do."""
        self._warm = True
        importlib.import_module("allcores.engine.by_value")
        importlib.import_module("allcores.engine.out_of_band")
        importlib.import_module("traceback")
        gc.collect()
        gc.freeze()  # so that collections in workers do not touch, and so copy, what they share

    def _drain(self) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass

    # The program

    def _accept(self) -> None:
        data, fds, _ = receive_fds(self._control, 65536, 1)
        if not data or data == b"quit":
            self._end()
        elif fds:
            connection = socket.socket(fileno=fds[0])
            self._clients[connection.fileno()] = Client(connection)
            self._poll.register(connection, select.POLLIN)

    def _end(self) -> None:
        """Kill all that descends from this process, and end."""
        give_up = time.monotonic() + _LAST_EFFORT
        while time.monotonic() < give_up:
            left = children(os.getpid())
            if not left:
                break
            for pid in left:
                _signal(pid, signal.SIGKILL)
            # Children of those just killed come to this process, and are killed in the next turn.
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                continue
            time.sleep(0.002)
        os._exit(0)

    # Pools

    def _serve(self, client: Client) -> None:
        try:
            data, fds, _ = receive_fds(client.connection, 1 << 20, 5)
        except ConnectionError:
            data, fds = b"", []
        if not data:
            self._drop(client)
            return
        verb, *arguments = pickle.loads(data)
        if verb == "start":
            self._start(client, arguments[0], arguments[1], fds)
        elif verb == "kill":
            self._kill(client, arguments[0], arguments[1])

    def _drop(self, client: Client) -> None:
        self._poll.unregister(client.connection)
        del self._clients[client.connection.fileno()]
        client.connection.close()
        for pid in client.workers:
            self._kill_tree(pid, 0.0)

    def _start(self, client: Client, number: int, surroundings: bootstrap.Surroundings, fds: list[int]) -> None:
        me = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            client.tell(("refused", number, f"cannot fork: {error}"))
        else:
            if pid == 0:
                self._become_worker(me, surroundings, fds)
            client.workers[pid] = number
            self._owner[pid] = client
            client.tell(("started", number, pid))
        for fd in fds:
            os.close(fd)

    def _become_worker(self, template: int, surroundings: bootstrap.Surroundings, fds: list[int]) -> None:
        try:
            bootstrap.die_with_parent(template)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._close_all()
            surroundings.enter()
            bootstrap.run_worker(fds)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def _close_all(self) -> None:
        self._control.close()
        for client in self._clients.values():
            client.connection.close()
        os.close(self._program)
        os.close(self._wake_read)
        os.close(self._wake_write)

    # Ends

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            client = self._owner.get(pid)
            if os.WIFSTOPPED(status) or os.WIFCONTINUED(status):
                if client is not None:
                    client.tell(("stopped", client.workers[pid], os.WIFSTOPPED(status)))
                continue
            self._doomed.pop(pid, None)
            if client is not None:
                number = client.workers.pop(pid)
                del self._owner[pid]
                code = os.waitstatus_to_exitcode(status)
                client.tell(("ended", number, code, usage.ru_maxrss * 1024))
            self._kill_orphans()
            # The kernel's list of children may leave one out while others come and go.
            self._looks = [time.monotonic() + pause for pause in (0.05, GRACE)]

    def _kill_orphans(self) -> None:
        """End, politely first, what workers that are gone have left behind."""
        for pid in children(os.getpid()):
            if pid not in self._owner and pid not in self._doomed:
                self._kill_tree(pid, GRACE)

    def _kill(self, client: Client, number: int, grace: float) -> None:
        for pid, known in client.workers.items():
            if known == number:
                self._kill_tree(pid, grace)

    def _kill_tree(self, pid: int, grace: float) -> None:
        """End a process and all that descends from it."""
        if grace:
            for member in [pid, *descendants(pid)]:
                _signal(member, signal.SIGTERM)
                _signal(member, signal.SIGCONT)  # a stopped process takes no other signal
            self._doomed[pid] = time.monotonic() + grace
        else:
            # Its descendants come to this process when it ends, and are dealt with then.
            self._doomed.pop(pid, None)
            for member in [pid, *descendants(pid)]:
                _signal(member, signal.SIGKILL)

    def _kill_due(self) -> None:
        now = time.monotonic()
        if any(look <= now for look in self._looks):
            self._looks = [look for look in self._looks if look > now]
            self._kill_orphans()
        for pid in [pid for pid, due in self._doomed.items() if due <= now]:
            self._kill_tree(pid, 0.0)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        pass  # gone, or somebody else's by now (a set-user-id program)


def main(control: int, program: int, preload: list[str]) -> None:
    """Run a template.

    Args:
        control: descriptor of the socket on which the program asks for connections.
        program: its process id.
        preload: modules to import before the first worker is started.
    """
    # Forking with threads that a preloaded library has started is that library's business; those that start
    # threads on import (OpenBLAS) handle a fork.
    warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
    template = Template(socket.socket(fileno=control), program)
    for name in preload:
        try:
            importlib.import_module(name)
        except Exception:
            print(f"allcores: cannot preload {name!r}:", file=sys.stderr)
            traceback.print_exc()
    template.serve()
