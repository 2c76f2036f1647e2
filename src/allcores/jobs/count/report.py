"""What is made of the rows before they are written: nothing, a sorted list, its top, or sums by folder or ending."""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Callable, Iterable
from operator import attrgetter

from .rows import FileCount, Row

__all__ = ["GROUPINGS", "SORT_KEYS", "Group", "Groups", "Largest"]

# Each with its attribute of a group; of a file, they are the attributes' names.
SORT_KEYS = {"path": "key", "lines": "lines", "characters": "characters", "bytes": "bytes", "files": "files"}


class Group(namedtuple("Group", ("key", "files", "lines", "characters", "bytes"))):
    """The sums over counted files that have something in common."""

    __slots__ = ()
    key: str
    files: int
    lines: int
    characters: int
    bytes: int


class Largest:
    """The counted files in another order than that of their paths, the largest first; and the rest as it came.

    Args:
        key: what to sort by: ``"path"``, ``"lines"``, ``"characters"`` or ``"bytes"``.
        top: how many counted files to keep; None for all.
    """

    def __init__(self, key: str, top: int | None = None) -> None:
        self._key = attrgetter(key)
        self._is_by_path = key == "path"
        self._top = top
        self._counted: list[FileCount] = []
        self._others: list[Row] = []

    def take(self, rows: Iterable[Row]) -> None:
        """Take more rows."""
        for row in rows:
            if isinstance(row, FileCount):
                self._counted.append(row)
            else:
                self._others.append(row)
        # Seldom, so that it takes little time; not only in the end, so that the top of millions takes little memory.
        if self._top is not None and len(self._counted) > max(10_000, 2 * self._top):
            self._counted = self._sorted()

    def rows(self) -> list[Row]:
        """The counted files in order, then failures and binary files."""
        return [*self._sorted(), *self._others]

    def _sorted(self) -> list[FileCount]:
        # By path is how they came; the sort is stable, so where the numbers are equal it is still so.
        if not self._is_by_path:
            self._counted.sort(key=self._key, reverse=True)
        return self._counted[: self._top]


class Groups:
    """Sums by folder or ending.

    Args:
        by: a name in `GROUPINGS`.
        key: what to sort by: a name in `SORT_KEYS`.
        top: how many groups to give; None for all.
    """

    def __init__(self, by: str, key: str = "path", top: int | None = None) -> None:
        self._key_of = GROUPINGS[by]
        self._key = attrgetter(SORT_KEYS[key])
        self._is_by_path = key == "path"
        self._top = top
        self._sums: dict[str, list[int]] = {}

    def take(self, rows: Iterable[Row]) -> None:
        """Take more rows. Files that failed or are binary belong to no group."""
        for row in rows:
            if isinstance(row, FileCount):
                sums = self._sums.setdefault(self._key_of(row.path), [0, 0, 0, 0])
                sums[0] += 1
                sums[1] += row.lines
                sums[2] += row.characters
                sums[3] += row.bytes

    def groups(self) -> list[Group]:
        """The groups, by name or the largest first."""
        groups = [Group(key, *self._sums[key]) for key in sorted(self._sums, key=os.fsencode)]
        if not self._is_by_path:
            groups.sort(key=self._key, reverse=True)
        return groups[: self._top]


def _folder(path: str) -> str:
    return os.path.dirname(path) or os.curdir


def _ending(path: str) -> str:
    return os.path.splitext(path)[1]


GROUPINGS: dict[str, Callable[[str], str]] = {"folder": _folder, "ending": _ending}
