"""The C library's semaphores and robust mutexes, in memory that processes share, without a compiler.

What is called often goes through `_multiprocessing.SemLock`, the C type beneath `multiprocessing.Lock`: it is handed
the address of a semaphore in our memory, and is six times as fast as a call through ctypes. The rest goes through
ctypes, holding the interpreter lock, since none of these calls waits.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import time
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "GATE_SIZE",
    "RECURSIVE",
    "SEMAPHORE",
    "SEMAPHORE_SIZE",
    "Gate",
    "counting",
    "fence",
    "init_semaphore",
    "is_supported",
    "most_permits",
    "post",
]

#: Bytes set aside for one; what any Linux has is smaller.
SEMAPHORE_SIZE = 32
GATE_SIZE = 64

#: SemLock's kinds.
RECURSIVE, SEMAPHORE = 0, 1

_PROCESS_SHARED = 1
_ROBUST = 1
_RECURSIVE_MUTEX = 1

#: Seconds between two looks at a gate that somebody else has; what is done behind it takes microseconds.
_GATE_PAUSE = 0.0002

_library: Any = None
_scratch: Any = None


def is_supported() -> bool:
    """Whether this platform has all that is needed: Linux, glibc, and CPython's `SemLock`.

    Other C libraries for Linux close a semaphore that they have not opened by name in ways of their own.
    """
    if sys.platform != "linux" or not hasattr(os, "memfd_create"):
        return False
    try:
        if not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
            return False
        _semlock()
    except (ValueError, ImportError, AttributeError):
        return False
    return True


def _functions() -> Any:
    global _library
    if _library is None:
        library = ctypes.PyDLL(None)
        pointer = ctypes.c_void_p
        for name in ("sem_post", "pthread_mutex_trylock", "pthread_mutex_unlock", "pthread_mutex_consistent"):
            getattr(library, name).argtypes = [pointer]
        library.sem_init.argtypes = [pointer, ctypes.c_int, ctypes.c_uint]
        library.pthread_mutex_init.argtypes = [pointer, pointer]
        _library = library
    return _library


def init_semaphore(address: int, value: int) -> None:
    """Make a semaphore that processes share.

    Raises:
        OSError: the value is beyond what a semaphore can count to.
    """
    if _functions().sem_init(address, 1, value) != 0:
        raise OSError(errno.EINVAL, f"a semaphore cannot hold the value {value}")


def post(address: int) -> None:
    """Raise a semaphore's value by one."""
    _functions().sem_post(address)


def most_permits() -> int:
    """The greatest value that a semaphore can have."""
    return int(_semlock().SEM_VALUE_MAX)


def counting(address: int, kind: int, maximum: int) -> Any:
    """A `SemLock` for the semaphore at an address; `kind` is `RECURSIVE` or `SEMAPHORE`."""
    return _semlock()._rebuild(address, kind, maximum, None)


def _semlock() -> Any:
    import _multiprocessing  # type: ignore[import-not-found]

    return _multiprocessing.SemLock


def fence() -> None:
    """Let what this thread has stored be seen before it looks at anything else.

    Only as far as the processor's atomic operations order others (on x86-64 they do). It costs much less than
    `engine.barrier`, and is for cases where missing something costs a moment and nothing else.
    """
    global _scratch
    if _scratch is None:
        memory = ctypes.create_string_buffer(SEMAPHORE_SIZE)
        init_semaphore(ctypes.addressof(memory), 0)
        _scratch = counting(ctypes.addressof(memory), SEMAPHORE, 1 << 20), memory
    scratch = _scratch[0]
    scratch.release()
    scratch.acquire(False)


class Gate:
    """A mutex for the few steps that exclude one another, which outlives the process that dies within them.

    The kernel hands it on when its owner dies (see pthread_mutexattr_setrobust(3)). Whoever gets it then finds what
    it guards as the dead one has left it, in the middle of anything: each store behind a gate has to leave a state
    that can be gone on from. A thread may enter again what it has entered: a signal handler may have interrupted it.

    Args:
        address: where the mutex is.
    """

    __slots__ = ("_address",)

    def __init__(self, address: int) -> None:
        self._address = address

    @staticmethod
    def make(address: int) -> None:
        """Initialise the mutex, once, before anybody else knows of it."""
        library = _functions()
        attributes = ctypes.create_string_buffer(64)
        library.pthread_mutexattr_init(attributes)
        library.pthread_mutexattr_setpshared(attributes, _PROCESS_SHARED)
        library.pthread_mutexattr_setrobust(attributes, _ROBUST)
        library.pthread_mutexattr_settype(attributes, _RECURSIVE_MUTEX)
        library.pthread_mutex_init(address, ctypes.addressof(attributes))

    def run(self, work: Callable[[], Any]) -> Any:
        """Call a function behind the gate, once nobody else is there, and return what it returns.

        An exception may strike at any point, as Ctrl-C does, and be raised; the gate is open again then.
        """
        library, address = _functions(), self._address
        trylock, unlock = library.pthread_mutex_trylock, library.pthread_mutex_unlock
        while True:
            try:
                # Not pthread_mutex_lock: signal handlers would wait as long as that does.
                result = trylock(address)
                if result == errno.EOWNERDEAD:
                    library.pthread_mutex_consistent(address)
                    result = 0
                if result == 0:
                    return work()
            finally:
                unlock(address)  # which does nothing (EPERM) if the thread has not got it
            if result != errno.EBUSY:
                raise OSError(result, f"a gate between processes cannot be entered: {os.strerror(result)}")
            time.sleep(_GATE_PAUSE)
