"""What counting gives: a row for each file, and the totals."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FileCount", "FileFailure", "Row", "Totals"]


class FileCount(NamedTuple):
    """One file that was counted."""

    path: str
    lines: int
    characters: int


class FileFailure(NamedTuple):
    """One file or folder that could not be read or decoded, and why, in one line."""

    path: str
    reason: str


Row = FileCount | FileFailure


class Totals:
    """The sum over rows. A failed file is counted as failed and adds nothing else.

    Attributes:
        files: files that were counted.
        failed: files and folders that could not be.
        lines: all lines.
        characters: all characters.
    """

    # No dataclass: importing `dataclasses` would take a tenth of the command's start-up time.
    def __init__(self) -> None:
        self.files = self.failed = self.lines = self.characters = 0

    def __repr__(self) -> str:
        return f"Totals({', '.join(f'{name}={value}' for name, value in vars(self).items())})"

    def add(self, row: Row) -> None:
        """Take one more row into the sum."""
        if isinstance(row, FileFailure):
            self.failed += 1
        else:
            self.files += 1
            self.lines += row.lines
            self.characters += row.characters
