"""Which images: those that were named, and those below the folders that were named.

- A path named by the caller is taken whatever its name is, a link as what it leads to.
- Below a folder, files whose names match a pattern are taken, capitals or not, to any depth. Links to files are
  taken as well (whole collections consist of them), links to folders are not followed, so no loop can form. FIFOs and
  devices are not opened. Names that begin with a dot are left out unless asked for: they are thumbnails and other
  programs' notes more often than images.
- What is left out is tallied, so that the caller can say so.

Images come sorted by the bytes of their names. A name is the path below the folder named, with slashes on every
system: moving a folder elsewhere changes no name, and what depends on names (random augmentations, above all) stays.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import translate
from typing import NamedTuple

from .errors import SourceError, reason_of

__all__ = ["DEFAULT_INCLUDE", "Source", "Sources"]

DEFAULT_INCLUDE = (
    *("*.png", "*.jpg", "*.jpeg", "*.jpe", "*.bmp", "*.dib", "*.tif", "*.tiff"),
    *("*.webp", "*.pbm", "*.pgm", "*.ppm", "*.pnm", "*.jp2"),
)


class Source(NamedTuple):
    """A file that is taken for an image."""

    name: str
    path: str


class Sources:
    """The images below some paths, found while iterated over; iterate once.

    Args:
        paths: files and folders. With more than one, names begin with the last part of their path, which must
            then be different for each.
        include: shell patterns for the names of files below folders; one match is enough.
        hidden: whether to take names that begin with a dot.
        exclude: files and folders to pass over, such as the output.

    Attributes:
        left_out: what might have been meant and was not taken: kinds of things, and how many of each.
        unmatched: the paths of the first files that no pattern matched.
        unlisted: folders that could not be looked through, each with the reason.

    Raises:
        SourceError: two of the paths end alike, or one of them does not exist, is neither file nor folder, or is a file
            to be passed over.
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        include: Iterable[str] = DEFAULT_INCLUDE,
        hidden: bool = False,
        exclude: Iterable[str] = (),
    ) -> None:
        self.paths = [os.fspath(path) for path in paths]
        self.left_out: Counter[str] = Counter()
        self.unmatched: list[str] = []
        self.unlisted: list[tuple[str, str]] = []
        self._hidden = hidden
        self._excluded = {os.path.realpath(path) for path in exclude}
        self._excluded_names = {os.path.basename(path) for path in self._excluded}
        patterns = [translate(pattern.lower()) for pattern in include]
        self._matches = re.compile("|".join(patterns) or r"(?!)").match
        self._roots = [(self._prefix(path), path) for path in self.paths]
        prefixes = Counter(prefix for prefix, _ in self._roots)
        for prefix, path in self._roots:
            if prefixes[prefix] > 1:
                raise SourceError(f"{path}: another path ends in the same name; name the folder above instead")
            _check_kind(path)
            if os.path.realpath(path) in self._excluded and not os.path.isdir(path):
                raise SourceError(f"{path} is a source and would be replaced: name another output")

    def __iter__(self) -> Iterator[Source]:
        found: list[Source] = []
        for prefix, path in self._roots:
            if os.path.isdir(path):
                found += self._walk(prefix, path)
            else:
                found.append(Source(prefix or os.path.basename(path), path))
        found.sort(key=lambda source: os.fsencode(source.name))
        return iter(found)

    def _prefix(self, path: str) -> str:
        """What the names of a path's images begin with."""
        return os.path.basename(os.path.abspath(path)) if len(self.paths) > 1 else ""

    def _walk(self, prefix: str, root: str) -> Iterator[Source]:
        folders = [(prefix, root)]
        while folders:
            prefix, folder = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    listing = list(entries)
            except OSError as error:
                self.unlisted.append((folder, f"the folder cannot be listed: {reason_of(error)}"))
                continue
            for entry in listing:
                name = f"{prefix}/{entry.name}" if prefix else entry.name
                if self._is_excluded(entry):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if self._takes_hidden(entry, "hidden folders"):
                        folders.append((name, entry.path))
                elif self._takes_file(entry):
                    yield Source(name, entry.path)

    def _is_excluded(self, entry: os.DirEntry[str]) -> bool:
        # Finding out where a path really leads is slow.
        may_be = entry.name in self._excluded_names or (self._excluded and entry.is_symlink())
        return bool(may_be) and os.path.realpath(entry.path) in self._excluded

    def _takes_hidden(self, entry: os.DirEntry[str], kind: str) -> bool:
        if entry.name.startswith(".") and not self._hidden:
            self.left_out[kind] += 1
            return False
        return True

    def _takes_file(self, entry: os.DirEntry[str]) -> bool:
        if entry.is_symlink() and os.path.isdir(entry.path):
            self.left_out["links to folders"] += 1
            return False
        if not self._takes_hidden(entry, "hidden files"):
            return False
        if not self._matches(entry.name.lower()):
            ending = os.path.splitext(entry.name)[1]
            self.left_out[f"{ending} files" if ending else "files without an ending"] += 1
            if len(self.unmatched) < 3:
                self.unmatched.append(entry.path)
            return False
        # A link that leads nowhere is taken: it is to fail by name, and not to vanish.
        if not (os.path.isfile(entry.path) or (entry.is_symlink() and not os.path.exists(entry.path))):
            self.left_out["FIFOs, sockets and devices"] += 1
            return False
        return True


def _check_kind(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise SourceError(f"{path}: {reason_of(error)}") from error
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise SourceError(f"{path}: neither a file nor a folder")
