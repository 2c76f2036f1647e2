"""Looking through a folder, in the order of the paths' bytes.

What comes out is runs: neighbouring files of one folder, by name. Folders sort as if their names ended in a
slash, which makes the order of the walk the order of the paths: ``a.txt`` is before ``a/b.txt`` because a full
stop is before a slash. One folder's listing is held for each level of depth, never the whole tree.

A hundred thousand files pass through here before they are counted in three microseconds each, so the ordinary
one is dealt with in a few steps; everything else is looked at more closely in `Walk._sort_out`.
"""

from __future__ import annotations

import os
from collections import Counter, namedtuple
from collections.abc import Iterator

from .ignoring import IgnoreRules
from .opening import system_reason
from .patterns import Patterns
from .rows import FileFailure

__all__ = ["Known", "Rules", "Run", "Tally", "walk"]


class Run(namedtuple("Run", ("folder", "names", "remote"), defaults=(False,))):
    """Files to count: names in a folder, or with None for it, paths or addresses."""

    __slots__ = ()
    folder: str | None
    names: list[str]
    remote: bool

    def paths(self) -> list[str]:
        """The names with their folder."""
        if self.folder is None:
            return self.names
        folder = os.path.join(self.folder, "")
        return [folder + name for name in self.names]


class Rules:
    """What is taken below a folder.

    Attributes:
        include: patterns for files.
        exclude: patterns for files and folders, which overrule.
        hidden: whether names that begin with a dot are taken.
        gitignore: whether what ``.gitignore`` files say is left out.
        follow: whether links are followed.
    """

    __slots__ = ("exclude", "follow", "gitignore", "hidden", "include")

    def __init__(self, include: Patterns, exclude: Patterns, *, hidden: bool, gitignore: bool, follow: bool) -> None:
        self.include = include
        self.exclude = exclude
        self.hidden = hidden
        self.gitignore = gitignore
        self.follow = follow


class Tally:
    """What was met and not taken.

    Attributes:
        folders: how many folders were looked through.
        left_out: kinds of things that might have been meant, and how many of each.
        unmatched_endings: the endings of the files that no pattern matched, and how many of each.
    """

    def __init__(self) -> None:
        self.folders = 0
        self.left_out: Counter[str] = Counter()
        self.unmatched_endings: Counter[str] = Counter()


class Known:
    """What is not to be taken where a walk meets it, because it comes, or came, by another way.

    Attributes:
        files: names that are settled, by the real path of their folder.
        folders: folders that are settled, by device and inode.
    """

    def __init__(self) -> None:
        self.files: dict[str, set[str]] = {}
        self.folders: set[tuple[int, int]] = set()


def walk(root: str, rules: Rules, known: Known, tally: Tally) -> Iterator[Run | FileFailure]:
    """The files below a folder.

    Args:
        root: the folder.
        rules: what to take.
        known: what not to take. Folders that are looked through by following a link are added.
        tally: where to note down what is passed over.
    """
    return _Walk(rules, known, tally).through(root)


class _Folder:
    __slots__ = ("above", "below_root", "path")

    def __init__(self, path: str, below_root: str, above: IgnoreRules | None) -> None:
        self.path = path
        self.below_root = below_root  # the way here from the root, with a slash behind each name
        self.above = above  # the rules of the folder that this one is in; None for the root


class _Walk:
    def __init__(self, rules: Rules, known: Known, tally: Tally) -> None:
        self._rules = rules
        self._known = known
        self._tally = tally

    def through(self, root: str) -> Iterator[Run | FileFailure]:
        levels = [self._listing(_Folder(root, "", None))]
        while levels:
            for item in levels[-1]:
                if isinstance(item, _Folder):
                    levels.append(self._listing(item))
                    break
                yield item
            else:
                levels.pop()

    def _listing(self, folder: _Folder) -> Iterator[Run | FileFailure | _Folder]:
        """What one folder holds, in order."""
        files: list[str] = []
        others: list[os.DirEntry[str]] = []
        wanted = self._rules.include.matches_name
        all_are_plain = not (self._rules.exclude or self._rules.gitignore)
        try:
            with os.scandir(folder.path) as entries:
                for entry in entries:
                    name = entry.name
                    if (
                        all_are_plain
                        and name[0] != "."
                        and (wanted is None or wanted(name))
                        and entry.is_file(follow_symlinks=False)
                    ):
                        files.append(name)
                    else:
                        others.append(entry)
        except OSError as error:
            yield FileFailure(folder.path, f"the folder cannot be listed: {system_reason(error)}")
            return
        self._tally.folders += 1

        ignore = None
        if self._rules.gitignore:
            try:
                ignore = folder.above.below(folder.path) if folder.above else IgnoreRules.of_root(folder.path)
            except OSError as error:
                reason = f"its rules were not followed: {system_reason(error)}"
                yield FileFailure(os.path.join(folder.path, ".gitignore"), reason)
                ignore = folder.above or IgnoreRules([])
        folders: dict[str, _Folder] = {}
        if self._rules.follow:  # what has several names goes by its own rather than a link's, or by the first
            others.sort(key=lambda entry: (entry.is_symlink(), os.fsencode(f"{entry.name}/")))
        for entry in others:
            try:
                self._sort_out(entry, folder, ignore, files, folders)
            except OSError as error:
                yield FileFailure(entry.path, system_reason(error))
        if self._known.files and (settled := self._known.files.get(os.path.realpath(folder.path))):
            files = [name for name in files if name not in settled]
        yield from _in_order(folder.path, files, folders)

    def _sort_out(
        self,
        entry: os.DirEntry[str],
        folder: _Folder,
        ignore: IgnoreRules | None,
        files: list[str],
        folders: dict[str, _Folder],
    ) -> None:
        """Take an entry as a file or a folder, or note down why not."""
        rules, tally = self._rules, self._tally
        name, way = entry.name, folder.below_root + entry.name
        if entry.is_dir(follow_symlinks=rules.follow):
            if left_out := self._leaves_folder_out(entry, way, ignore):
                tally.left_out[left_out] += 1
            elif not self._is_known(entry):
                folders[name] = _Folder(entry.path, f"{way}/", ignore)
        elif entry.is_symlink() and not rules.follow and os.path.isdir(entry.path):
            tally.left_out["links to folders"] += 1
        elif not rules.include.match(name, way):
            tally.unmatched_endings[os.path.splitext(name)[1]] += 1
        elif left_out := self._leaves_file_out(entry, way, ignore):
            tally.left_out[left_out] += 1
        else:
            files.append(name)

    def _leaves_folder_out(self, entry: os.DirEntry[str], way: str, ignore: IgnoreRules | None) -> str | None:
        if self._rules.exclude.match(entry.name, f"{way}/"):
            return "excluded folders"
        if entry.name[0] == "." and not self._rules.hidden:
            return "hidden folders"
        # Git does not look into its own folder either.
        if ignore and (entry.name == ".git" or ignore.ignores(f"{entry.name}/")):
            return "folders ignored by .gitignore"
        return None

    def _leaves_file_out(self, entry: os.DirEntry[str], way: str, ignore: IgnoreRules | None) -> str | None:
        rules = self._rules
        if rules.exclude.match(entry.name, way):
            return "excluded files"
        if entry.name[0] == "." and not rules.hidden:
            return "hidden files"
        if ignore and ignore.ignores(entry.name):
            return "files ignored by .gitignore"
        if entry.is_symlink():
            if not rules.follow:
                return "links to files"
            os.stat(entry.path)  # a link that leads nowhere is a failure, and says so here
        return None if entry.is_file() else "FIFOs, sockets and devices"

    def _is_known(self, entry: os.DirEntry[str]) -> bool:
        status = os.stat(entry.path)
        identity = status.st_dev, status.st_ino
        if identity in self._known.folders:
            return True
        if self._rules.follow:  # so that loops end, and what two links lead to is looked through once
            self._known.folders.add(identity)
        return False


def _in_order(folder: str, files: list[str], folders: dict[str, _Folder]) -> Iterator[Run | _Folder]:
    names = files + [f"{name}/" for name in folders] if folders else files
    # Text sorts like its UTF-8 bytes, unless it has bytes that are none; most names are not worth looking closer.
    names.sort(key=None if "".join(names).isascii() else os.fsencode)
    start = 0
    for stop, name in enumerate(names) if folders else ():
        if name[-1] == "/":
            if start < stop:
                yield Run(folder, names[start:stop])
            yield folders[name[:-1]]
            start = stop + 1
    if start < len(names):
        yield Run(folder, names[start:] if start else names)
