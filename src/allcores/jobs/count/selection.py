"""Which files to count: everything named, and what is wanted below the folders named.

- A path named by the caller is taken as it is: a file whatever its name, a link as what it leads to. Only an
  ``exclude`` pattern overrules it.
- Below a folder, files whose names match a pattern are taken. Links are not followed unless asked for, and then
  so that loops end; FIFOs, sockets and devices are not opened; names that begin with a dot are left out unless
  asked for.
- What is left out although it might have been meant is tallied, so that the caller can say so.
- A file or folder reached twice (``count . ./src``) is taken once, under the name that the caller gave it.
- An address (``s3://…``) is listed and read by fsspec.

Paths come sorted by their bytes and as they are found: the tree is never held as a whole.
"""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from .addresses import is_address
from .opening import special_kind, system_reason
from .patterns import Patterns
from .rows import FileFailure
from .walk import Known, Rules, Run, Tally, walk

__all__ = ["DEFAULT_INCLUDE", "Selection"]

DEFAULT_INCLUDE = ("*.txt", "*.10w")


class Selection:
    """The files to count, found while iterated over; iterate once.

    Args:
        paths: files, folders and addresses.
        include: patterns for files below folders; one match is enough. ``["*"]`` takes every name.
        exclude: patterns for what is left out, files and folders; they overrule everything else.
        hidden: whether to take names that begin with a dot.
        gitignore: whether to leave out what ``.gitignore`` files say; in this machine's folders only.
        follow: whether to follow links below folders.
        skip: files to pass over wherever they are met, such as the one that the result goes to.

    Attributes:
        tally: what was passed over. It grows with the iteration and is complete when that has ended.
        is_remote: whether one of the paths is an address.
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        include: Iterable[str] = DEFAULT_INCLUDE,
        exclude: Iterable[str] = (),
        hidden: bool = False,
        gitignore: bool = False,
        follow: bool = False,
        skip: Iterable[str | os.PathLike[str]] = (),
    ) -> None:
        self.paths = [os.fspath(path) for path in paths]
        self.tally = Tally()
        self.rules = Rules(Patterns(include), Patterns(exclude), hidden=hidden, gitignore=gitignore, follow=follow)
        self.is_remote = any(map(is_address, self.paths))
        self._known = Known()
        self._real_folders: dict[str, str] = {}
        for path in skip:
            self._settle_name(os.fspath(path))

    def __iter__(self) -> Iterator[str | FileFailure]:
        """Each file's path, or why a file or folder cannot be taken."""
        for item in self.runs():
            if isinstance(item, FileFailure):
                yield item
            else:
                yield from item.paths()

    def runs(self) -> Iterator[Run | FileFailure]:
        """The same, files in runs of neighbours."""
        ways: list[_Way] = []
        for path in self.paths:
            ways += self._ways_to(path)
        ways.sort(key=_order_of_ways)
        return _merged(ways)

    def _ways_to(self, path: str) -> Iterator[_Way]:
        """What a path stands for: one way, or none if it has been named before or is excluded."""
        if is_address(path):
            from .remote import look_up

            yield _Way(_key(path), lambda: look_up(path, self.rules, self.tally))
            return
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                status = os.stat(path)
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            reason = system_reason(error) if isinstance(error, OSError) else str(error)
            yield _Way(_key(path), FileFailure(path, reason))
            return
        is_folder = stat.S_ISDIR(status.st_mode)
        bare = path.rstrip("/") or path
        if self.rules.exclude.match(os.path.basename(bare), bare + "/" * is_folder):
            self.tally.left_out["excluded folders" if is_folder else "excluded files"] += 1
        elif is_folder:
            identity = status.st_dev, status.st_ino
            if identity not in self._known.folders:
                self._known.folders.add(identity)
                yield _Way(_key(bare.rstrip("/") + "/"), lambda: walk(path, self.rules, self._known, self.tally))
        elif not self._settle_name(path):
            return
        elif kind := special_kind(status.st_mode):
            yield _Way(_key(path), FileFailure(path, f"a {kind}, not a regular file"))
        else:
            yield _Way(_key(path), path)

    def _settle_name(self, path: str) -> bool:
        """Note down that a file is settled; False if it was."""
        folder, name = os.path.split(path)
        if folder not in self._real_folders:
            # Links in its folder are resolved, a link at its end is kept: two names of one file are two files.
            self._real_folders[folder] = os.path.realpath(folder)
        names = self._known.files.setdefault(self._real_folders[folder], set())
        if name in names:
            return False
        names.add(name)
        return True


class _Way:
    """A file that was named, a failure, or how to begin looking through a folder."""

    __slots__ = ("key", "leads_to")

    def __init__(self, key: bytes, leads_to: str | FileFailure | Callable[[], Iterator[Run | FileFailure]]) -> None:
        self.key = key  # where it comes in the order of paths; a folder's ends in a slash
        self.leads_to = leads_to


def _merged(ways: list[_Way]) -> Iterator[Run | FileFailure]:
    """What sorted ways lead to, in the order of paths."""
    names: list[str] = []
    position = 0
    while position < len(ways):
        key, item = ways[position].key, ways[position].leads_to
        position += 1
        if isinstance(item, str):
            names.append(item)
            continue
        if names:
            yield Run(None, names)
            names = []
        if isinstance(item, FileFailure):
            yield item
            continue
        # What was named and lies below the folder comes between the folder's own files.
        first_inside = position
        while position < len(ways) and ways[position].key.startswith(key):
            position += 1
        if inside := ways[first_inside:position]:
            yield from heapq.merge(_singly(item()), _singly(_merged(inside)), key=_order_of_items)
        else:
            yield from item()
    if names:
        yield Run(None, names)


def _singly(items: Iterator[Run | FileFailure]) -> Iterator[Run | FileFailure]:
    for item in items:
        if isinstance(item, FileFailure):
            yield item
        else:
            for path in item.paths():
                yield Run(None, [path], item.remote)


def _order_of_ways(way: _Way) -> bytes:
    return way.key


def _order_of_items(item: Run | FileFailure) -> bytes:
    return _key(item.path if isinstance(item, FileFailure) else item.names[0])


def _key(path: str) -> bytes:
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:  # a name that no file can have: a failure, whose place matters little
        return path.encode("utf-8", "surrogatepass")
