"""Standard output, whose failing is told apart from all else that may fail."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

__all__ = [
    "StandardOutputError",
    "give_up_output",
    "open_what_is_closed",
    "output_path",
    "write_utf_8",
    "writing_output",
]


class StandardOutputError(Exception):
    """What was printed has got lost: the disk is full, say."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error

    def __str__(self) -> str:
        return f"cannot write to standard output: {self.error.strerror or self.error}"


@contextmanager
def writing_output() -> Iterator[None]:
    """Around whatever writes to standard output.

    Raises:
        StandardOutputError: it cannot be written.
        BrokenPipeError: its reader has gone, which is no fault.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StandardOutputError(error) from error


def write_utf_8() -> None:
    """Print for programs: as UTF-8 whatever the locale, and bytes of names that are none as they are."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


def output_path() -> str | None:
    """The file that the shell sends standard output to, if it is one and the system (Linux) tells its name."""
    try:
        descriptor = sys.stdout.fileno()
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        status = os.fstat(descriptor)
        return path if stat.S_ISREG(status.st_mode) and os.path.samestat(status, os.stat(path)) else None
    except (OSError, ValueError):
        return None


def give_up_output() -> None:
    """Write nothing more: Python would flush once more at exit, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def open_what_is_closed() -> None:
    """A shell may close standard streams (``>&-``), for which Python then has no objects."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
