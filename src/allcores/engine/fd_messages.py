"""Messages that carry file descriptors, see unix(7).

`socket.send_fds` and `socket.recv_fds` do not pass their flags on (CPython 3.10 to 3.14): they wait where they were
told not to, and what they receive is inherited by the programs that are started meanwhile.
"""

from __future__ import annotations

import socket
from array import array
from collections.abc import Sequence

__all__ = ["receive_fds", "send_fds"]

_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def send_fds(connection: socket.socket, data: bytes, fds: Sequence[int], flags: int = 0) -> int:
    """Send data, and descriptors beside it.

    Args:
        connection: a Unix socket.
        data: at least a byte.
        fds: none up to 253, the kernel's limit.
        flags: for sendmsg(2).

    Returns:
        How many bytes of the data were sent.

    Raises:
        OSError: as `socket.sendmsg` does.
    """
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
    return connection.sendmsg([data], beside, flags)


def receive_fds(connection: socket.socket, size: int, most: int, flags: int = 0) -> tuple[bytes, list[int], bool]:
    """Receive data, and the descriptors beside it, which no program inherits that is started by this one.

    Args:
        connection: a Unix socket.
        size: how many bytes of data to take at most.
        most: how many descriptors to take at most.
        flags: for recvmsg(2).

    Returns:
        The data, the descriptors, and whether there was no room for some of these.

    Raises:
        OSError: as `socket.recvmsg` does.
    """
    fds = array("i")
    room = socket.CMSG_SPACE(most * fds.itemsize)
    data, beside, found, _ = connection.recvmsg(size, room, flags | _CLOSE_ON_EXEC)
    for level, kind, received in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(received[: len(received) // fds.itemsize * fds.itemsize])
    return data, fds.tolist(), bool(found & socket.MSG_CTRUNC)
