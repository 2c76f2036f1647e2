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

__all__ = ["lifeline_end", "tie"]

_lock = threading.Lock()
_reading, _writing = -1, -1
_tied = -1


def lifeline_end() -> int:
    """In the parent: a descriptor for a daemon that is being started, to be closed afterwards."""
    global _reading, _writing
    with _lock:
        if _reading < 0:
            _reading, _writing = os.pipe()
        return os.dup(_reading)


def _forked() -> None:
    global _lock, _reading, _writing
    _lock = threading.Lock()
    for fd in (_reading, _writing):
        if fd >= 0:
            os.close(fd)
    _reading = _writing = -1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def tie(end: int) -> None:
    """In the daemon: end when the parent is gone.

    Args:
        end: from `lifeline_end`; it is closed.
    """
    global _tied
    if sys.platform != "linux":
        threading.Thread(target=_watch, args=(end,), name="allcores-lifeline", daemon=True).start()
        return
    import fcntl

    # Opened anew: who gets which signal is a matter of the open file, which a fork shares.
    _tied = os.open(f"/proc/self/fd/{end}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.close(end)
    fcntl.fcntl(_tied, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(_tied, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(_tied, fcntl.F_SETFL, fcntl.fcntl(_tied, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([_tied], [], [], 0)[0]:  # it was gone before we asked
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(end: int) -> None:
    """Where the kernel sends no signals for pipes. Untested."""
    os.read(end, 1)
    os._exit(1)
