"""Passing file descriptors inside pickles, for the pipes and memory of `multiprocessing`'s objects.

A descriptor is duplicated when it is pickled, and the duplicate lives as long as the pickle (`Parcel.kept`). A worker
opens it through /proc, as often as the pickle is loaded: initializers are loaded by each worker, and by those that
replace them. A socket cannot be opened so; it is handed over once, by `multiprocessing`'s own resource sharer.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Enclosing", "Passed", "Spawning", "answering", "is_answering"]

_here = threading.local()


class Duplicate:
    """A descriptor that is closed with this object."""

    def __init__(self, fd: int) -> None:
        self.fd = os.dup(fd)

    def __del__(self) -> None:
        os.close(self.fd)


class Passed:
    """What stands for a descriptor in a pickle, with the interface that `multiprocessing` expects.

    Args:
        path: where the worker opens it.
        flags: for `os.open`.
    """

    def __init__(self, path: str, flags: int) -> None:
        self.path = path
        self.flags = flags

    def detach(self) -> int:
        """Open the descriptor in this process."""
        return os.open(self.path, self.flags)


class Spawning:
    """Stands where `multiprocessing` expects the process that is being spawned.

    Args:
        kept: takes duplicates of the descriptors that are pickled.
    """

    def __init__(self, kept: list[Any]) -> None:
        self._kept = kept

    def duplicate_for_child(self, fd: int) -> int:
        return fd

    def DupFd(self, fd: int) -> Any:
        if sys.platform != "linux" or stat.S_ISSOCK(os.fstat(fd).st_mode):
            from multiprocessing import resource_sharer

            return resource_sharer.DupFd(fd)
        import fcntl

        duplicate = Duplicate(fd)
        self._kept.append(duplicate)
        kept = os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK
        flags = fcntl.fcntl(fd, fcntl.F_GETFL) & kept | os.O_CLOEXEC
        return Passed(f"/proc/{os.getpid()}/fd/{duplicate.fd}", flags)


@contextmanager
def answering() -> Iterator[None]:
    """While this thread pickles what goes from a worker to the program: objects may refer to this process."""
    outer = is_answering()
    _here.answering = True
    try:
        yield
    finally:
        _here.answering = outer


def is_answering() -> bool:
    """Whether what is being pickled goes from this process, a worker, to the program that it works for."""
    return getattr(_here, "answering", False)


class Enclosing:
    """Stands where `multiprocessing` expects the process that is being spawned; descriptors go beside the pickle.

    Attributes:
        fds: the descriptors, to be sent together with the pickle.
    """

    def __init__(self) -> None:
        self.fds: list[int] = []

    def duplicate_for_child(self, fd: int) -> int:
        self.fds.append(fd)
        return len(self.fds) - 1

    def DupFd(self, position: int) -> Any:
        return _Enclosed(position)

    @staticmethod
    @contextmanager
    def opened(fds: list[int]) -> Iterator[None]:
        """While this thread loads a pickle that has come with these descriptors; those not taken are closed."""
        outer = getattr(_here, "enclosed", None)
        _here.enclosed = enclosed = list(fds)
        try:
            yield
        finally:
            _here.enclosed = outer
            for fd in enclosed:
                if fd >= 0:
                    os.close(fd)


class _Enclosed:
    def __init__(self, position: int) -> None:
        self._position = position

    def detach(self) -> int:
        """The descriptor, which is the caller's from now on."""
        fd: int = _here.enclosed[self._position]
        _here.enclosed[self._position] = -1
        return fd
