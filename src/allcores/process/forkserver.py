"""Starting a process by `multiprocessing`'s server, which forks it."""

from __future__ import annotations

import os
import threading
from multiprocessing import forkserver, popen_forkserver, util

from allcores.process.letter import Inheritance, write_letter
from allcores.process.report import Outcome
from allcores.process.watched import Watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.process.face import Process

__all__ = ["Popen"]

_util: Any = util

#: What every process imports, and need not if the server has.
_NEEDED = ["allcores.process.letter"]


class Popen(Watched, popen_forkserver.Popen):
    """A process that a server was asked for.

    Args:
        process: what it is to run.
        inheritance: what it is given besides.
        outcome: takes what becomes of it.
    """

    _fds: list[int]

    def __init__(self, process: Process, inheritance: Inheritance, outcome: Outcome) -> None:
        self._inheritance = inheritance
        super().__init__(process, outcome)

    def _launch(self, process: Process) -> None:
        letter = write_letter(self, process, self._inheritance)
        _server.ensure_running()
        self.sentinel, beginning = forkserver.connect_to_new_process(self._fds)
        kept = os.dup(beginning)  # by its closing the child sees the end of its parent
        self.finalizer = _util.Finalize(self, _util.close_fds, (kept, self.sentinel))
        try:
            with open(beginning, "wb") as file:
                file.write(letter)
        except BrokenPipeError:
            pass  # it has died already, as its exit code tells
        self.pid = forkserver.read_signed(self.sentinel)


class _Server:
    """The server, which is not to import the program's main module either."""

    def __init__(self) -> None:
        self._server: Any = forkserver._forkserver
        self._renew_lock()
        os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._starting = threading.Lock()

    def ensure_running(self) -> None:
        """Have it run before it is asked for a process."""
        with self._starting:
            preload = self._server._preload_modules
            self._server._preload_modules = [*(name for name in preload if name != "__main__"), *_NEEDED]
            try:
                self._run_own()
            finally:
                self._server._preload_modules = preload

    def _run_own(self) -> None:
        try:
            self._server.ensure_running()
        except ChildProcessError:  # it is the server of a parent that has forked this process
            os.close(self._server._forkserver_alive_fd)
            self._server._forkserver_alive_fd = self._server._forkserver_pid = None
            self._server.ensure_running()


_server = _Server()
