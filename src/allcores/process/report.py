"""How the outcome of a process gets to its parent.

A child writes what its target returned or raised into an anonymous file, which grows as it must, and sends the
file's descriptor through a socket: one small message, which never has to wait for its reader. So a child can end
although nobody ever asks for its result, however large it is, and what it has sent outlives it. A small outcome
stands in the message itself. Descriptors that a result refers to (of a lock that it has made) go with the message.
"""

from __future__ import annotations

import copyreg
import errno
import os
import pickle
import socket
import sys
import threading
from collections import ChainMap
from collections.abc import Callable
from traceback import print_exc
from types import TracebackType

from allcores.engine.by_value import dumps_enclosing
from allcores.engine.descriptors import Enclosing
from allcores.engine.fd_messages import receive_fds, send_fds
from allcores.engine.frames import NO_SIGNAL
from allcores.engine.outcome import Failure, pack_failure, pack_unpicklable, unpack_stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

__all__ = ["Outcome", "report_failure", "report_value"]

#: Bytes of an outcome that stands in the message. Arbitrary, and far below what a socket takes at once.
_SMALL = 4096

_MOST_FDS = 250  # the kernel's limit for one message is 253

#: What an outcome is: a pickle of the value, or a stream as `engine.outcome` packs it.
_VALUE, _STREAM = b"V", b"S"
_INSIDE, _BESIDE = b"i", b"b"


def report_value(end: int, value: Any) -> None:
    """In the child: send what the target has returned.

    Args:
        end: descriptor of the child's end, which is closed.
        value: anything; one that cannot be pickled is reported as an error.
    """
    enclosing = Enclosing()
    with socket.socket(fileno=end) as channel:
        try:
            with _anonymous_file() as file:
                kind = _VALUE
                try:
                    _dump(value, file, enclosing)
                except Exception:
                    enclosing.fds.clear()
                    file.seek(0)
                    file.truncate()
                    try:
                        file.write(dumps_enclosing(value, enclosing))
                    except Exception as error:
                        file.write(pack_unpicklable(error, value))
                        kind = _STREAM
                _send(channel, kind, file, enclosing.fds)
        except Exception as error:  # no memory is left, or no descriptors
            _send_failure(channel, error, None)


def _dump(value: Any, file: BinaryIO, enclosing: Enclosing) -> None:
    """Pickle by the standard pickler; what is of `multiprocessing`, such as an end of a pipe, in its ways."""
    import multiprocessing.reduction

    context: Any = multiprocessing.context
    reducers: Any = multiprocessing.reduction.ForkingPickler
    pickler: Any = pickle.Pickler(file, 5)
    pickler.dispatch_table = ChainMap(reducers._extra_reducers, copyreg.dispatch_table)
    outer = context.get_spawning_popen()
    context.set_spawning_popen(enclosing)
    try:
        pickler.dump(value)
    finally:
        context.set_spawning_popen(outer)


def report_failure(end: int, error: BaseException, traceback: TracebackType | None) -> None:
    """In the child: send what the target has raised.

    Args:
        end: descriptor of the child's end, which is closed.
        error: the exception.
        traceback: where the traceback to show begins.
    """
    with socket.socket(fileno=end) as channel:
        _send_failure(channel, error, traceback)


def _send_failure(channel: socket.socket, error: BaseException, traceback: TracebackType | None) -> None:
    try:
        with _anonymous_file() as file:
            file.write(pack_failure(error, traceback))
            _send(channel, _STREAM, file, [])
    except Exception:
        print_exc()  # and go on: the process is to end as it would without a report


def _anonymous_file() -> BinaryIO:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("allcores-outcome", os.MFD_CLOEXEC), "w+b")
    import tempfile

    return tempfile.TemporaryFile()


def _send(channel: socket.socket, kind: bytes, file: BinaryIO, fds: list[int]) -> None:
    file.flush()
    if file.tell() <= _SMALL:
        file.seek(0)
        message = kind + _INSIDE + file.read()
    else:
        message = kind + _BESIDE
        fds = [file.fileno(), *fds]
    try:
        send_fds(channel, message, fds, NO_SIGNAL)
    except ConnectionError:
        pass  # the parent is gone, or wants no outcome


class Outcome:
    """The parent's end. Any thread may ask."""

    def __init__(self) -> None:
        self._message: tuple[bytes, list[int]] | None = None
        self._value: Any = None
        self._is_settled = False
        self._is_cut = False
        # A signal handler may ask while its thread is asking.
        self._lock = threading.RLock()
        kind = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
        self._socket, self._its = socket.socketpair(socket.AF_UNIX, kind)
        self._socket.setblocking(False)

    def child_end(self) -> int:
        """The descriptor for the child, which is the caller's from now on. Asked once."""
        return self._its.detach()

    def close(self, close: Callable[[int], None] = os.close) -> None:
        """Want no outcome any more."""
        message, self._message = self._message, None
        if message is not None:
            for fd in message[1]:
                close(fd)
        for end in (getattr(self, "_socket", None), getattr(self, "_its", None)):
            if end is not None:
                end.close()

    __del__ = close

    def signs(self) -> list[int]:
        """Descriptors, to be closed, of which one is readable once there is an outcome; none if none can come."""
        with self._lock:
            return [] if self._is_cut else [os.dup(self._socket.fileno())]

    def has_come(self) -> bool:
        """Whether the outcome is there."""
        with self._lock:
            if not self._is_settled and self._message is None:
                try:
                    self._receive()
                except BlockingIOError:
                    return False
                except ConnectionError:
                    self._is_cut = True
            return self._is_settled or self._message is not None

    def _receive(self) -> None:
        data, fds, is_short = receive_fds(self._socket, _SMALL + 2, _MOST_FDS)
        if not data:  # the child has closed its end: it has ended, or has become another program
            self._is_cut = True
            return
        self._message = data, fds
        if is_short:
            error = OSError(errno.EMFILE, "the result of a process has come, but there was no descriptor free for it")
            self.close()
            self._value, self._is_settled = Failure(error), True

    def settle(self, failure: Failure) -> None:
        """Say what there is instead of an outcome, if none has come."""
        with self._lock:
            if not self._is_settled and self._message is None:
                self._value, self._is_settled = failure, True

    def get(self) -> Any:
        """The value, or a `Failure`; it has to have come."""
        with self._lock:
            if not self._is_settled:
                assert self._message is not None
                (data, fds), self._message = self._message, None
                self._value, self._is_settled = _unpack(data, fds), True
            return self._value


def _unpack(data: bytes, fds: list[int]) -> Any:
    kind, place, body = data[:1], data[1:2], data[2:]
    file = os.fdopen(fds.pop(0), "rb") if place == _BESIDE else None
    with Enclosing.opened(fds):
        try:
            if file is not None:
                with file:
                    file.seek(0)
                    return pickle.load(file) if kind == _VALUE else unpack_stream(file.read(), True)[0][0]
            return pickle.loads(body) if kind == _VALUE else unpack_stream(body, True)[0][0]
        except BaseException as error:
            if sys.version_info >= (3, 11):
                error.add_note("the result of a process cannot be unpickled in its parent")
            return Failure(error)
