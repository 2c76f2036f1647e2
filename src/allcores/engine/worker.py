"""The worker loop: take a batch, call, report. Runs in a worker process.

Everything imported here is part of every user's start-up time.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from mmap import mmap
from pickle import loads

from allcores.engine import channel as ch
from allcores.engine.citizenship import Reporting, limit_threads
from allcores.engine.frames import Frame, FrameReader, frame
from allcores.engine.known import Known
from allcores.engine.running import Runner, flush_output, pack_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.engine.lane import Hook

__all__ = ["Setup", "Worker"]


class Setup:
    """What a worker is to know before its first task.

    Attributes:
        name: the worker's name, as `multiprocessing.current_process().name` shows it.
        authkey: the program's key for `multiprocessing` connections.
        reporting: how loggers and warnings are set up in the program.
        threads: how many threads a numeric library may use; 0 for any number.
    """

    __slots__ = ("authkey", "name", "reporting", "threads")

    def __init__(self, name: str, authkey: bytes, reporting: Reporting, threads: int) -> None:
        self.name = name
        self.authkey = authkey
        self.reporting = reporting
        self.threads = threads


class Worker:
    """One worker's side of a channel.

    Only the worker's main thread calls its methods.

    Args:
        connection: the channel.
        control: the control block.
        side: the socket for descriptors of large buffers.
        hooks: initializer and finalizer, where they are inherited from the program by fork.
    """

    def __init__(
        self,
        connection: socket.socket,
        control: mmap,
        side: socket.socket,
        hooks: tuple[Hook | None, Hook | None] = (None, None),
    ) -> None:
        self._connection = connection
        self._initializer, self._finalizer = hooks
        self._sending = threading.Lock()
        self._sender = 0  # the thread that sends
        self._pid = os.getpid()
        self._frames = FrameReader(connection)
        self._known = Known(side)
        self._runner = Runner(memoryview(control), self._known, self._report, self._report_unreadable)

    def serve(self) -> None:
        """Run tasks until told to stop, or until the parent is gone."""
        os.register_at_fork(after_in_child=self._let_go)
        while True:
            try:
                frame = self._receive()
            except KeyboardInterrupt:
                continue  # a Ctrl-C between tasks is the parent's business
            except (EOFError, ConnectionError):
                return
            try:
                if not self._handle(*frame):
                    return
            except BaseException:
                if os.getpid() == self._pid:
                    raise
                # A process that a task has forked has come back from the task; it is no worker.
                flush_output()
                os._exit(0)

    def _let_go(self) -> None:
        """In a process that a task has forked: what is shared with the parent is the worker's alone."""
        self._runner.let_go()
        self._connection.detach()

    def _handle(self, kind: int, sequence: int, count: int, flags: int, body: memoryview) -> bool:
        if kind == ch.CALL:
            self._runner.run_call(sequence, count, flags, body)
        elif kind == ch.BATCH:
            self._runner.run_batch(sequence, count, flags, body)
        elif kind == ch.FORGET:
            self._known.forget(loads(body))
        elif kind == ch.NOTICE:
            self._known.apart.take_notice(body)
            answer = self._known.notice()
            if answer:
                self._send(ch.NOTICE, 0, 0, answer)
        elif kind == ch.SETUP:
            return self._set_up(*loads(body))
        elif kind == ch.STOP:
            self._finalize()
            return False
        return True

    # Life

    def _set_up(self, setup: Setup, introduced: list[tuple[int, Any]], initializer: Any, finalizer: Any) -> bool:
        from multiprocessing import process

        current = process.current_process()
        current.name = setup.name
        current.authkey = setup.authkey
        self._known.reporting = setup.reporting
        setup.reporting.install(self._send_report)
        limit_threads(setup.threads)
        try:
            self._known.introduce(introduced)
            if initializer is not None:
                self._initializer = self._known.load(initializer)
            if finalizer is not None:
                self._finalizer = self._known.load(finalizer)
            if self._initializer is not None:
                function, arguments = self._initializer
                function(*arguments)
        except BaseException as error:
            self._send(ch.BROKEN, 0, 0, pack_error(error))
            return False
        self._send(ch.READY, 0, 0, b"")
        return True

    def _finalize(self) -> None:
        if self._finalizer is None:
            return
        try:
            function, arguments = self._finalizer
            function(*arguments)
        except BaseException:
            sys.excepthook(*sys.exc_info())

    # Frames

    def _report(self, sequence: int, count: int, elapsed: int, position: int, flags: int, stream: bytes) -> None:
        size = ch.REPORT.size + len(stream)
        head = ch.RESULTS_HEAD.pack(size, sequence, count, ch.RESULTS, 0, elapsed, position, flags)
        notice = self._known.notice()
        self._send_frames(frame(ch.NOTICE, body=notice) + head + stream if notice else head + stream)

    def _report_unreadable(self, sequence: int, count: int) -> None:
        self._send(ch.UNREADABLE, sequence, count, b"")

    def _send(self, kind: int, sequence: int, count: int, body: bytes) -> None:
        self._send_frames(frame(kind, sequence, count, 0, body))

    def _send_frames(self, frames: bytes) -> None:
        with self._sending:
            self._sender = threading.get_ident()
            self._connection.sendall(frames)
            self._sender = 0

    def _send_report(self, kind: int, body: bytes) -> bool:
        """Send a log record or a warning; any thread of the worker may.

        Returns:
            False where that cannot be: in a process that a task has forked, or in a signal handler that has
            interrupted another frame.
        """
        if os.getpid() != self._pid or self._sender == threading.get_ident():
            return False
        self._send(kind, 0, 0, body)
        return True

    def _receive(self) -> Frame:
        """Wait for the next frame. Its body is valid until the next call."""
        while True:
            complete = self._frames.next()
            if complete is not None:
                return complete
            if not self._frames.fill():
                raise EOFError
