"""What `multiprocessing` knows about a running process, so that many threads may ask for it."""

from __future__ import annotations

import os
import threading

from allcores.process.report import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from multiprocessing.popen_fork import Popen as Base
    from typing import Any
else:
    Base = object

__all__ = ["Watched"]

#: What the standard library, too, calls the exit code of a process of which nobody can tell it.
_UNKNOWN = 255


class Watched(Base):
    """Goes before one of `multiprocessing`'s `Popen` classes.

    There, of two threads that ask at the moment of a process's end, one is told that the process runs (its exit code
    is on its way to the other), and for a forkserver's process exit code 255. A process that was waited for by
    somebody else (`os.wait`, an ignored SIGCHLD) runs for ever. And `join` with a timeout goes on waiting for what
    the process has forked.

    Attributes:
        outcome: what becomes of its target.
        is_lost: whether it has ended, and somebody else was told how.

    Args:
        process: what is started.
        outcome: what becomes of its target.
    """

    def __init__(self, process: Any, outcome: Outcome) -> None:
        self.outcome = outcome
        self.is_lost = False
        self._owner = os.getpid()
        # A signal handler may ask while its thread is asking.
        self._asking = threading.RLock()
        super().__init__(process)

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """The exit code; None while the process runs. A `flag` of 0 waits for its end."""
        if self.returncode is None and os.getpid() == self._owner:
            if not flag & os.WNOHANG:
                self._wait_for_death(None)
            with self._asking:
                if super().poll(os.WNOHANG) is None and self._is_gone():
                    self.is_lost = True
                    self.returncode = _UNKNOWN
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code; None when the process still runs after `timeout` seconds."""
        if self.returncode is None:
            self._wait_for_death(timeout)
        return self.poll()

    def sign_of_death(self) -> int:
        """A descriptor that is readable once the process has ended; to be closed."""
        if self.method != "forkserver" and hasattr(os, "pidfd_open"):
            try:
                return os.pidfd_open(self.pid)
            except ProcessLookupError:
                return _readable()
            except OSError:
                pass  # the kernel is old
        # What the process has forked holds its other end, too.
        return os.dup(self.sentinel)

    def _wait_for_death(self, timeout: float | None) -> None:
        from multiprocessing import connection

        death = self.sign_of_death()
        try:
            connection.wait([death], timeout)
        finally:
            os.close(death)

    def _is_gone(self) -> bool:
        if self.method == "forkserver":
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass
        return False


def _readable() -> int:
    reading, writing = os.pipe()
    os.close(writing)
    return reading
