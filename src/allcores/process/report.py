"""How the outcome of a process gets to its parent.

A child writes what its target returned or raised into an anonymous file, which grows as it must, and sends the
file's descriptor through a socket: one small message, which never has to wait for its reader. So a child can end
although nobody ever asks for its result, however large it is, and what it has sent outlives it. A small outcome
stands in the message itself. Descriptors that a result refers to (of a lock that it has made) go with the message.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import threading
from collections.abc import Callable
from traceback import print_exc
from types import TracebackType

from allcores.engine.by_value import dumps_enclosing
from allcores.engine.descriptors import Enclosing
from allcores.engine.outcome import Failure, pack_failure, pack_unpicklable, unpack_stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

__all__ = ["Outcome", "report_failure", "report_value"]

#: Bytes of an outcome that stands in the message. Arbitrary, and far below what a socket takes at once.
_SMALL = 4096

_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)

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
                    pickle.Pickler(file, 5).dump(value)
                except Exception:
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
        if fds:
            socket.send_fds(channel, [message], fds, _NO_SIGNAL)
        else:
            channel.send(message, _NO_SIGNAL)
    except ConnectionError:
        pass  # the parent is gone, or wants no outcome


class Outcome:
    """The parent's end. Any thread may ask.

    Attributes:
        child_end: a descriptor for the child, which is closed by whoever has made this.
    """

    def __init__(self) -> None:
        kind = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
        self._socket, its = socket.socketpair(socket.AF_UNIX, kind)
        self._socket.setblocking(False)
        self.child_end = its.detach()
        self._lock = threading.Lock()
        self._message: tuple[bytes, list[int]] | None = None
        self._value: Any = None
        self._is_settled = False

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        self._socket.close()
        if self._message is not None:
            for fd in self._message[1]:
                close(fd)

    def fileno(self) -> int:
        """A descriptor that is readable once there is an outcome."""
        return self._socket.fileno()

    def has_come(self) -> bool:
        """Whether the outcome is there."""
        with self._lock:
            if not self._is_settled and self._message is None:
                try:
                    data, fds, _, _ = socket.recv_fds(self._socket, _SMALL + 2, _MOST_FDS)
                except (BlockingIOError, ConnectionError):
                    return False
                if not data:  # the other end is closed: the process is over, or has thrown its end away
                    return False
                self._message = data, fds
            return True

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
