"""Daemons that end when their parent does, whatever has ended it.

The parent has a pipe, of which nobody else has the writing end: the kernel closes it when the parent is gone. Each
daemon has a reading end of its own, for which it has asked the kernel to send it SIGKILL once the other end is
closed (O_ASYNC, F_SETSIG in fcntl(2)). No thread of the daemon has to run for that, so it also ends what hangs or
holds the interpreter lock. The other means, PR_SET_PDEATHSIG, follows the *thread* that has forked, which may end
long before its process.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import weakref
from collections.abc import Callable

__all__ = ["Lifeline", "tie"]


class Lifeline:
    """A pipe of this process, which all its daemons hang on. It is closed once no daemon is known any more."""

    _latest: weakref.ref[Lifeline] | None = None
    _making = threading.Lock()

    _fds: tuple[int, ...] = ()

    def __init__(self) -> None:
        self._fds = os.pipe()

    @classmethod
    def current(cls) -> Lifeline:
        """The lifeline of this process."""
        with cls._making:
            current = cls._latest() if cls._latest is not None else None
            if current is None:
                current = cls()
                cls._latest = weakref.ref(current)
            return current

    def child_end(self) -> int:
        """A descriptor for a daemon that is being started, to be closed afterwards."""
        return os.dup(self._fds[0])

    def close(self, close: Callable[[int], None] = os.close) -> None:
        """Let go of it: daemons that live end."""
        fds, self._fds = self._fds, ()
        for fd in fds:
            close(fd)

    __del__ = close

    @classmethod
    def _forked(cls) -> None:
        """A forked process must not hold its parent's lifeline."""
        cls._making = threading.Lock()
        latest = cls._latest() if cls._latest is not None else None
        cls._latest = None
        if latest is not None:
            latest.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Lifeline._forked)

#: The end by which this process hangs on its parent, if it is a daemon. Never closed.
_tied = -1


def tie(end: int) -> None:
    """In the daemon: end when the parent is gone.

    Args:
        end: from `Lifeline.child_end`; it is closed.
    """
    global _tied
    if sys.platform == "linux":
        import fcntl

        try:
            # Opened anew: who gets which signal is a matter of the open file, which a fork shares.
            _tied = os.open(f"/proc/self/fd/{end}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            pass  # there is no /proc
        else:
            os.close(end)
            fcntl.fcntl(_tied, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(_tied, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(_tied, fcntl.F_SETFL, fcntl.fcntl(_tied, fcntl.F_GETFL) | os.O_ASYNC)
            if select.select([_tied], [], [], 0)[0]:  # it was gone before we asked
                os.kill(os.getpid(), signal.SIGKILL)
            return
    threading.Thread(target=_watch, args=(end,), name="allcores-lifeline", daemon=True).start()


def _watch(end: int) -> None:
    """Where the kernel sends no signals for pipes. Untested."""
    os.read(end, 1)
    os._exit(1)
