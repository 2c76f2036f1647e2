"""Who a process is, so that others can tell whether it still lives.

A process id is given to somebody else once its process is gone, so a process is known by its id and the time of its
start. Both are seen through /proc, and only by processes of the same namespace: about one of another namespace
nothing can be told, and it is taken to live.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable

__all__ = ["UNKNOWN", "Identity", "Lives", "own_identity", "pid_of"]

#: Process id and start time in one number (see `_pack`), and the namespaces in which they mean something.
Identity = tuple[int, int]

#: Nobody.
UNKNOWN: Identity = (0, 0)

_PID_BITS = 22  # Linux gives no ids beyond 4,194,304

#: How many processes are watched by a descriptor each; others are looked up by name each time.
_MOST_WATCHED = 64


def own_identity() -> Identity:
    """The identity of this process."""
    pid = os.getpid()
    start = 0
    try:
        # A /proc of another namespace shows others under our numbers; then ids alone must do.
        if os.readlink("/proc/self") == str(pid):
            start = _status(pid)[2]
    except OSError:
        pass
    return start << _PID_BITS | pid, _namespace()


def pid_of(identity: Identity) -> int:
    """The process id in an identity."""
    return identity[0] & (1 << _PID_BITS) - 1


def _namespace() -> int:
    """One number for the namespaces of process ids and of time that this process is in; 0 where there is no /proc."""
    number = 0
    for name in ("pid", "time"):
        try:
            number = number << 32 ^ os.stat(f"/proc/self/ns/{name}").st_ino
        except OSError:
            continue
    return number & (1 << 63) - 1


def _status(pid: int) -> tuple[bytes, int, int]:
    """State, number of threads, and start time in clock ticks, as /proc has them.

    Raises:
        OSError: there is no such process, or it may not be seen.
    """
    fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, 1024)
    finally:
        os.close(fd)
    fields = data[data.rindex(b")") + 2 :].split()
    return fields[0], int(fields[17]), int(fields[19])


class Lives:
    """Tells whether processes live. Cheap to ask again and again: it keeps a pidfd for each that it was asked about.

    Args:
        me: the identity of this process.
    """

    def __init__(self, me: Identity) -> None:
        self.me = me
        self._watched: dict[Identity, int] = {}
        self._dead: set[Identity] = set()

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        for fd in getattr(self, "_watched", {}).values():  # an interrupt may have come before that
            close(fd)

    def alive(self, identity: Identity) -> bool:
        """Whether a process lives; one of which nothing can be told does.

        A process counts as dead when not one of its threads can run any more, reaped by its parent or not.
        """
        if identity == self.me:
            return True
        if identity in self._dead or identity == UNKNOWN:
            return False
        if identity[1] != self.me[1]:
            return True
        watch = self._watched.get(identity)
        if watch is not None:
            lives = not _has_ended(watch)
        else:
            fd = _open(identity) if len(self._watched) < _MOST_WATCHED else None
            lives = _examine(identity)
            # Opened first and examined then: what was examined is what the descriptor stands for.
            if fd is not None:
                self._keep(identity, fd) if lives else os.close(fd)
        if not lives:
            self._bury(identity)
        return lives

    def _keep(self, identity: Identity, fd: int) -> None:
        if self._watched.setdefault(identity, fd) != fd:
            os.close(fd)  # another thread was first

    def _bury(self, identity: Identity) -> None:
        self._dead.add(identity)
        watch = self._watched.pop(identity, None)
        if watch is not None:
            os.close(watch)


def _has_ended(pidfd: int) -> bool:
    poll = select.poll()  # one for each look: two threads must not use the same at a time
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def _open(identity: Identity) -> int | None:
    """A pidfd for the process; None where there is none to be had."""
    try:
        return os.pidfd_open(pid_of(identity))
    except (OSError, AttributeError):
        return None


def _examine(identity: Identity) -> bool:
    """Whether the process lives, looked up by its number."""
    pid, start = pid_of(identity), identity[0] >> _PID_BITS
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is there, and somebody else's
    if not start:
        return True
    try:
        state, threads, started = _status(pid)
    except OSError:
        return True  # hidden from us, or just gone: the next look tells
    # A zombie that has threads left is on its way out, and its threads may still run.
    return started == start and not (state in (b"Z", b"X", b"x") and threads <= 1)
