"""Mapping a descriptor into memory without keeping one open, which `mmap.mmap` does before Python 3.13."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["mapped"]

_libc = ctypes.CDLL(None, use_errno=True)
_map = _libc.mmap
_map.restype = ctypes.c_void_p
_map.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_unmap = _libc.munmap
_unmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

_FAILED = ctypes.c_void_p(-1).value


def mapped(fd: int, size: int, private: bool = False) -> Any:
    """The content of a file as an object with a writable buffer; mapped for as long as that is used.

    Args:
        fd: the file, which may be closed afterwards.
        size: how many bytes.
        private: whether what is written stays in this process.

    Raises:
        OSError: it cannot be mapped.
    """
    flags = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
    address = _map(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, fd, 0)
    if address == _FAILED:
        code = ctypes.get_errno() or errno.ENOMEM
        raise OSError(code, os.strerror(code))
    memory = (ctypes.c_char * size).from_address(address)
    weakref.finalize(memory, _unmap, address, size).atexit = False
    return memory
