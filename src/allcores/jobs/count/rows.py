"""What counting gives: a row for each file, and the totals.

Rows are named tuples by way of `collections`: `typing`, which would say the same more plainly, takes a tenth of the
command's start to import.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from operator import attrgetter

__all__ = ["ROW_TYPES", "BinaryFile", "FileCount", "FileFailure", "Row", "Totals"]


class FileCount(
    namedtuple("FileCount", ("path", "lines", "characters", "bytes", "encoding", "note"), defaults=("utf-8", None))
):
    """One file that was counted.

    Attributes:
        path: as it was named, or as it was found below a folder that was.
        lines: as ``readlines()`` would give them.
        characters: decoded characters without line ends.
        bytes: how many were read.
        encoding: what the file was decoded as.
        note: what is to be said about the count, such as that the file changed meanwhile; mostly nothing.
    """

    __slots__ = ()
    path: str
    lines: int
    characters: int
    bytes: int
    encoding: str
    note: str | None


class FileFailure(namedtuple("FileFailure", ("path", "reason"))):
    """One file or folder that could not be read or decoded, and why, in one line."""

    __slots__ = ()
    path: str
    reason: str


class BinaryFile(namedtuple("BinaryFile", ("path", "reason"))):
    """One file that was left out because it is no text, and how that is known, in one line."""

    __slots__ = ()
    path: str
    reason: str


Row = FileCount | FileFailure | BinaryFile
# Attributes of the tuple's own are fetched by its type, in C; a hundred thousand rows make that worth while.
_LINES, _CHARACTERS, _BYTES = map(attrgetter, ("lines", "characters", "bytes"))

ROW_TYPES = (FileCount, FileFailure, BinaryFile)


class Totals:
    """The sum over rows. A file that failed or is binary adds to no other number.

    Attributes:
        files: files that were counted.
        failed: files and folders that could not be.
        binary: binary files, which were left out.
        lines: all lines.
        characters: all characters.
        bytes: all bytes.
    """

    # No dataclass: importing `dataclasses` would take a tenth of the command's start-up time.
    def __init__(self) -> None:
        self.files = self.failed = self.binary = self.lines = self.characters = self.bytes = 0

    def __repr__(self) -> str:
        return f"Totals({', '.join(f'{name}={value}' for name, value in vars(self).items())})"

    def add(self, row: Row) -> None:
        """Take one more row into the sum."""
        self.add_all((row,))

    def add_all(self, rows: Sequence[Row]) -> None:
        """Take more rows into the sum."""
        counted = [row for row in rows if isinstance(row, FileCount)]
        self.files += len(counted)
        self.lines += sum(map(_LINES, counted))
        self.characters += sum(map(_CHARACTERS, counted))
        self.bytes += sum(map(_BYTES, counted))
        if len(counted) < len(rows):
            self.failed += sum(isinstance(row, FileFailure) for row in rows)
            self.binary += sum(isinstance(row, BinaryFile) for row in rows)
