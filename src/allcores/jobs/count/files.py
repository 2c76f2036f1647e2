"""Opening and counting one file, whatever its name turns out to lead to.

A FIFO would block the reader, a tape rewinds when it is opened, a terminal takes over the session: only
regular files are opened. Whoever selects files looks before. A name may change its meaning between the look
and the open, so files are opened without blocking and looked at once more through the descriptor. They are
read to their end, never mapped (a file that shrinks kills its mapper), and their stated size is not believed.
"""

from __future__ import annotations

import os
import stat

from .kernel import BLOCK_SIZE, InvalidText, count_blocks
from .rows import FileCount

__all__ = ["count_file", "count_regular_file", "failure_reason", "special_kind"]

_OPEN_FLAGS = os.O_RDONLY
for _flag in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
    _OPEN_FLAGS |= getattr(os, _flag, 0)  # a flag that a platform lacks is not needed there

_SPECIAL_KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


def count_file(path: str | os.PathLike[str]) -> FileCount:
    """Count one UTF-8 file, in this process.

    Args:
        path: a regular file, or a link to one.

    Returns:
        Its path, lines and characters.

    Raises:
        OSError: it cannot be opened or read, or is not a regular file.
        InvalidText: it is not UTF-8.
    """
    name = os.fspath(path)
    _require_regular(os.stat(name).st_mode)
    return FileCount(name, *count_regular_file(name, bytearray(BLOCK_SIZE)))


def count_regular_file(path: str, buffer: bytearray) -> tuple[int, int]:
    """Lines and characters of a file seen to be regular; for many files, the same buffer serves them all."""
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        _require_regular(os.fstat(descriptor).st_mode)
        # readv needs no file object, whose making costs as much as reading a small file.
        return count_blocks(lambda view: os.readv(descriptor, (view,)), buffer)
    finally:
        os.close(descriptor)


def special_kind(mode: int) -> str | None:
    """What a file of this mode is called if it is not a regular one."""
    return None if stat.S_ISREG(mode) else _SPECIAL_KINDS.get(stat.S_IFMT(mode), "special file")


def failure_reason(error: OSError | InvalidText) -> str:
    """An error in one line, without the path: the row that carries it names the path already."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error)


def _require_regular(mode: int) -> None:
    if kind := special_kind(mode):
        raise OSError(f"a {kind}, not a regular file")
