"""Opening a file, whatever its name turns out to lead to.

A FIFO would block the reader, a tape rewinds when it is opened, a terminal takes over the session: only
regular files are opened. Whoever selects files looks before. A name may change its meaning between the look
and the open, so files are opened without blocking and looked at once more through the descriptor. They are
read to their end, never mapped (a file that shrinks kills its mapper), and their stated size is not believed.
"""

from __future__ import annotations

import os
import stat

__all__ = ["OPEN_FLAGS", "open_regular", "special_kind", "system_reason"]

OPEN_FLAGS = os.O_RDONLY
for _flag in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
    OPEN_FLAGS |= getattr(os, _flag, 0)  # a flag that a platform lacks is not needed there

_SPECIAL_KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


def open_regular(path: str) -> int:
    """A descriptor of a regular file.

    Raises:
        OSError: it cannot be opened, or is not a regular file; then without an error number.
    """
    descriptor = os.open(path, OPEN_FLAGS)
    if kind := special_kind(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"a {kind}, not a regular file")
    return descriptor


def special_kind(mode: int) -> str | None:
    """What a file of this mode is called if it is not a regular one."""
    return None if stat.S_ISREG(mode) else _SPECIAL_KINDS.get(stat.S_IFMT(mode), "special file")


def system_reason(error: OSError | int) -> str:
    """An error, or its number, in one line without the path: the row that carries it names the path already."""
    text = os.strerror(error) if isinstance(error, int) else error.strerror or str(error)
    return text[:1].lower() + text[1:]
