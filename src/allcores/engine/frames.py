"""Reading frames from a socket, for both ends of a channel."""

from __future__ import annotations

import socket

from allcores.engine.channel import HEADER

__all__ = ["NO_SIGNAL", "FrameReader", "frame"]

#: For every send: a program that has left SIGPIPE to the system (as command lines do) must not die with a worker.
NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)

Frame = tuple[int, int, int, int, memoryview]
_SIZE = 64 * 1024


def frame(kind: int, sequence: int = 0, count: int = 0, flags: int = 0, body: bytes = b"") -> bytes:
    """A frame as it goes on the wire."""
    return HEADER.pack(len(body), sequence, count, kind, flags) + body


class FrameReader:
    """Cuts a socket's stream into frames.

    One thread at a time may use it.
    """

    __slots__ = ("_body", "_buffer", "_filled", "_head", "_parsed", "_received", "_socket", "_view")

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = bytearray(_SIZE)
        self._view = memoryview(self._buffer)
        self._filled = self._parsed = 0
        # A frame too large for the buffer is received into a body of its own.
        self._head: tuple[int, int, int, int] | None = None
        self._body = memoryview(b"")
        self._received = 0

    def fill(self, flags: int = 0) -> bool:
        """Receive once. Invalidates the bodies of frames returned before.

        Args:
            flags: as for `socket.recv`.

        Returns:
            False at the end of the stream.

        Raises:
            BlockingIOError: there is nothing now, and `flags` forbid to wait.
            ConnectionError: the other end is gone.
        """
        if self._head is not None:
            count = self._socket.recv_into(self._body[self._received :], 0, flags)
            self._received += count
        else:
            if self._parsed == self._filled:
                self._parsed = self._filled = 0
            elif self._parsed:
                rest = bytes(self._view[self._parsed : self._filled])
                self._view[: len(rest)] = rest
                self._parsed, self._filled = 0, len(rest)
            count = self._socket.recv_into(self._view[self._filled :], 0, flags)
            self._filled += count
        return count > 0

    def next(self) -> Frame | None:
        """The next frame: kind, sequence number, count, flags and body; None if more must be received first."""
        if self._head is not None:
            if self._received < len(self._body):
                return None
            complete = (*self._head, self._body)
            self._head = None
            self._body = memoryview(b"")
            return complete
        available = self._filled - self._parsed
        if available < HEADER.size:
            return None
        length, sequence, count, kind, flags = HEADER.unpack_from(self._buffer, self._parsed)
        start = self._parsed + HEADER.size
        if start + length <= self._filled:
            self._parsed = start + length
            return kind, sequence, count, flags, self._view[start : start + length]
        if HEADER.size + length > _SIZE:
            self._head = (kind, sequence, count, flags)
            self._body = memoryview(bytearray(length))
            self._received = self._filled - start
            self._body[: self._received] = self._view[start : self._filled]
            self._parsed = self._filled = 0
        return None
