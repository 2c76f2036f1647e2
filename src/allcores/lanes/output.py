"""What workers print: read from their pipes, and written whole-line to this program's own output."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque

__all__ = ["Output"]

_TAIL_LINES = 60


class Output:
    """The parent's end of a worker's standard output or error.

    Any thread may call its methods.

    Args:
        name: ``"stdout"`` or ``"stderr"``: where in `sys` to write.
        fd: the descriptor to read from, which this object owns.
    """

    def __init__(self, name: str, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._name = name
        self._lock = threading.Lock()
        self._partial = b""
        self._tail: deque[bytes] = deque(maxlen=_TAIL_LINES)

    @property
    def tail(self) -> str:
        """The last lines."""
        return b"".join([*self._tail, self._partial]).decode(errors="backslashreplace")

    def drain(self, flush: bool = False) -> bool:
        """Pass on what there is to read: whole lines, and with `flush` the rest.

        Returns:
            False once the worker, and all that it started, have closed their end.
        """
        with self._lock:
            is_open = True
            chunks = [self._partial]
            while self.fd >= 0:
                try:
                    chunk = os.read(self.fd, 65536)
                except OSError:  # nothing now
                    break
                if not chunk:
                    is_open = False
                    break
                chunks.append(chunk)
            data = b"".join(chunks)
            # A carriage return ends a line too: progress bars consist of such lines.
            end = len(data) if flush or not is_open else max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
            whole, self._partial = data[:end], data[end:]
            if whole:
                self._tail.extend(whole.splitlines(keepends=True))
                self._write(whole.decode(errors="backslashreplace"))
            return is_open

    def close(self) -> None:
        """Pass on the rest and close."""
        self.drain(flush=True)
        with self._lock:
            if self.fd >= 0:
                os.close(self.fd)
                self.fd = -1

    def _write(self, text: str) -> None:
        stream = getattr(sys, self._name, None)
        if stream is None:
            return
        try:
            try:
                stream.write(text)
            except UnicodeEncodeError:
                encoding = getattr(stream, "encoding", None) or "ascii"
                stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()
        except Exception:
            pass  # whoever was to read has gone, or the program's own stream fails; tasks must not suffer for it
