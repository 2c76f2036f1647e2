"""Which files to count: everything named, and what matches below the folders named.

- A path named by the caller is taken as it is: a file whatever its name, a link as what it leads to.
- Below a folder, files whose names match a pattern are taken. Links are not followed, so no loop can form;
  FIFOs, sockets and devices are not opened; names that begin with a dot are left out unless asked for.
- What is left out although it might have been meant is tallied, so that the caller can say so.
- A file or folder reached twice (``count . ./src``) is taken once, under the name that the caller gave it.

Paths come sorted by their bytes and as they are found: one folder's listing is held for each level of depth,
never the whole tree. Folders sort as if their names ended in a slash, which makes the order of the walk the
order of the paths: ``a.txt`` is before ``a/b.txt`` because a full stop is before a slash.
"""

from __future__ import annotations

import heapq
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import translate
from typing import NamedTuple

from .files import failure_reason, special_kind
from .rows import FileFailure

__all__ = ["DEFAULT_INCLUDE", "Found", "Selection"]

DEFAULT_INCLUDE = ("*.txt", "*.10w")


class Found(NamedTuple):
    """A regular file to count. Its size is what the folder says: a weight for sharing out work, no more."""

    path: str
    size: int


class Selection:
    """The files to count, found while iterated over; iterate once.

    The tallies grow with the iteration and are complete when it ends. A pool iterates in a thread of its
    own: read them when the last row has come.

    Args:
        paths: files and folders.
        include: shell patterns for the names of files below folders; one match is enough.
        hidden: whether to take names that begin with a dot.
        exclude: files to pass over wherever they are met, such as the one that the result goes to.

    Attributes:
        folders: how many folders were looked through.
        left_out: what might have been meant and was not taken: kinds of things, and how many of each.
        unmatched_endings: the endings of the files that no pattern matched, and how many of each.
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        include: Iterable[str] = DEFAULT_INCLUDE,
        hidden: bool = False,
        exclude: Iterable[str | os.PathLike[str]] = (),
    ) -> None:
        self.paths = [os.fspath(path) for path in paths]
        self.include = tuple(include)
        self.hidden = hidden
        self.folders = 0
        self.left_out: Counter[str] = Counter()
        self.unmatched_endings: Counter[str] = Counter()
        self._matches = re.compile("|".join(map(translate, self.include)) or r"(?!)").match
        # What is not to be taken where the walk meets it. Telling names apart needs a slow realpath, while
        # inode numbers come with a listing: only on a number seen here is the name looked at.
        self._settled_names: set[str] = set()
        self._settled_folders: set[tuple[int, int]] = set()
        self._settled_inodes: set[int] = set()
        self._real_folders: dict[str, str] = {}
        for path in exclude:
            if os.path.lexists(path):
                self._settled_inodes.add(os.lstat(path).st_ino)
                self._settled_names.add(self._real_name(os.fspath(path)))

    def __iter__(self) -> Iterator[Found | FileFailure]:
        named: list[Found | FileFailure] = []
        folders: list[str] = []
        for path in self.paths:
            self._settle(path, named, folders)
        named.sort(key=_path_order)
        walks = [self._walk(folder) for folder in folders]
        return heapq.merge(named, *walks, key=_path_order)

    def _settle(self, path: str, named: list[Found | FileFailure], folders: list[str]) -> None:
        """Take a path that the caller named, unless it was named before."""
        try:
            status = os.lstat(path)
            self._settled_inodes.add(status.st_ino)
            if stat.S_ISLNK(status.st_mode):
                status = os.stat(path)
                self._settled_inodes.add(status.st_ino)
        except OSError as error:
            named.append(FileFailure(path, failure_reason(error)))
            return
        real_name, identity = self._real_name(path), (status.st_dev, status.st_ino)
        if real_name in self._settled_names or identity in self._settled_folders:
            return
        self._settled_names.add(real_name)
        if stat.S_ISDIR(status.st_mode):
            self._settled_folders.add(identity)
            folders.append(path)
        elif kind := special_kind(status.st_mode):
            named.append(FileFailure(path, f"a {kind}, not a regular file"))
        else:
            named.append(Found(path, status.st_size))

    def _walk(self, root: str) -> Iterator[Found | FileFailure]:
        levels = [self._listing(root)]
        while levels:
            for item in levels[-1]:
                if isinstance(item, str):
                    levels.append(self._listing(item))
                    break
                yield item
            else:
                levels.pop()

    def _listing(self, folder: str) -> Iterator[Found | FileFailure | str]:
        """What one folder holds: files to count, failures, and, as bare strings, folders to look through."""
        try:
            with os.scandir(folder) as entries:
                in_order = sorted(entries, key=_entry_order)
        except OSError as error:
            yield FileFailure(folder, f"the folder cannot be listed: {failure_reason(error)}")
            return
        self.folders += 1
        for entry in in_order:
            try:
                if entry.is_dir(follow_symlinks=False):
                    if self._takes_folder(entry):
                        yield entry.path
                elif self._takes_file(entry):
                    yield Found(entry.path, entry.stat(follow_symlinks=False).st_size)
            except OSError as error:
                yield FileFailure(entry.path, failure_reason(error))

    def _takes_folder(self, entry: os.DirEntry[str]) -> bool:
        if entry.inode() in self._settled_inodes:
            status = os.stat(entry.path)
            if (status.st_dev, status.st_ino) in self._settled_folders:
                return False
        if self._is_hidden(entry):
            self.left_out["hidden folders"] += 1
            return False
        return True

    def _takes_file(self, entry: os.DirEntry[str]) -> bool:
        if entry.inode() in self._settled_inodes and self._real_name(entry.path) in self._settled_names:
            return False
        if entry.is_symlink() and os.path.isdir(entry.path):
            self.left_out["links to folders"] += 1
        elif not self._matches(entry.name):
            self.unmatched_endings[os.path.splitext(entry.name)[1]] += 1
        elif self._is_hidden(entry):
            self.left_out["hidden files"] += 1
        elif entry.is_symlink():
            self.left_out["links to files"] += 1
        elif not entry.is_file(follow_symlinks=False):
            self.left_out["FIFOs, sockets and devices"] += 1
        else:
            return True
        return False

    def _is_hidden(self, entry: os.DirEntry[str]) -> bool:
        return entry.name.startswith(".") and not self.hidden

    def _real_name(self, path: str) -> str:
        """The one name of a directory entry: links in its folder resolved, a link at its end kept."""
        folder, name = os.path.split(path)
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(folder)
        return os.path.join(self._real_folders[folder], name)


def _path_order(item: Found | FileFailure) -> bytes:
    return os.fsencode(item.path)


def _entry_order(entry: os.DirEntry[str]) -> bytes:
    name = os.fsencode(entry.name)
    return name + b"/" if entry.is_dir(follow_symlinks=False) else name
