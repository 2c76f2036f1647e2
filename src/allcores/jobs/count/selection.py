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
from bisect import bisect_left
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
        self._addresses: set[str] = set()
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
        files: list[str] = []
        ways: list[_Way] = []
        for path in self.paths:
            self._take(path, files, ways)
        files.sort(key=None if "".join(files).isascii() else _key)
        ways.sort(key=_order_of_ways)
        return _merged(files, ways)

    def _take(self, path: str, files: list[str], ways: list[_Way]) -> None:
        """Put a path to the files or to the ways, unless it has been named before or is excluded."""
        if "://" in path and is_address(path):
            from .remote import look_up

            if path not in self._addresses:
                self._addresses.add(path)
                ways.append(_Way(_key(path), lambda: look_up(path, self.rules, self.tally)))
            return
        try:
            mode = (status := os.lstat(path)).st_mode
            if stat.S_ISLNK(mode):
                mode = (status := os.stat(path)).st_mode
        except (OSError, ValueError) as error:
            reason = system_reason(error) if isinstance(error, OSError) else "no file can have this name"
            ways.append(_Way(_key(path), FileFailure(path, reason)))
            return
        is_folder = stat.S_ISDIR(mode)
        bare = (path.rstrip("/") or path) if path.endswith("/") else path
        if self.rules.exclude and self.rules.exclude.match(os.path.basename(bare), bare + "/" * is_folder):
            self.tally.left_out["excluded folders" if is_folder else "excluded files"] += 1
        elif is_folder:
            identity = status.st_dev, status.st_ino
            if identity not in self._known.folders:
                self._known.folders.add(identity)
                key = _key(bare if bare == "/" else f"{bare}/")
                ways.append(_Way(key, lambda: walk(path, self.rules, self._known, self.tally)))
        elif not self._settle_name(path):
            return
        elif kind := special_kind(mode):
            ways.append(_Way(_key(path), FileFailure(path, f"a {kind}, not a regular file")))
        else:
            files.append(path)

    def _settle_name(self, path: str) -> bool:
        """Note down that a file is settled; False if it was."""
        folder, slash, name = path.rpartition("/")
        real = self._real_folders.get(folder)
        if real is None:
            # Links in its folder are resolved, a link at its end is kept: two names of one file are two files.
            real = self._real_folders[folder] = os.path.realpath(folder or slash)
        names = self._known.files.setdefault(real, set())
        if name in names:
            return False
        names.add(name)
        return True


class _Way:
    """A failure, or how to begin looking through a folder or an address."""

    __slots__ = ("key", "leads_to")

    def __init__(self, key: bytes, leads_to: FileFailure | Callable[[], Iterator[Run | FileFailure]]) -> None:
        self.key = key  # where it comes in the order of paths; a folder's ends in a slash
        self.leads_to = leads_to


def _merged(files: list[str], ways: list[_Way]) -> Iterator[Run | FileFailure]:
    """The files, and what the ways lead to, in the order of paths; both are sorted."""
    position = 0
    ways = ways[::-1]
    while ways:
        way = ways.pop()
        here = bisect_left(files, way.key, position, key=_key)
        if position < here:
            yield Run(None, files[position:here])
        position = here
        if isinstance(way.leads_to, FileFailure):
            yield way.leads_to
            continue
        # What was named and lies below the folder comes between the folder's own files.
        ways_inside = []
        while ways and ways[-1].key.startswith(way.key):
            ways_inside.append(ways.pop())
        while position < len(files) and _key(files[position]).startswith(way.key):
            position += 1
        if position > here or ways_inside:
            inside = _merged(files[here:position], ways_inside)
            yield from heapq.merge(_singly(way.leads_to()), _singly(inside), key=_order_of_items)
        else:
            yield from way.leads_to()
    if position < len(files):
        yield Run(None, files[position:])


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
