"""What ``.gitignore`` files leave out, as git reads them.

The file of a folder holds for everything below it, and the file of a deeper folder overrules it. For a folder
that was named, the files of the folders above it count, too, as far up as its repository goes. Git's other
places for such patterns (``.git/info/exclude``, the user's own) are not looked at.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

__all__ = ["IgnoreRules"]

_NAME = ".gitignore"


class IgnoreRules:
    """The rules that hold in one folder: its own and those of the folders above it.

    Raises:
        OSError: its ``.gitignore`` cannot be read.
    """

    __slots__ = ("_specs",)

    def __init__(self, specs: list[tuple[GitIgnoreSpec, str]]) -> None:
        # The nearest first, each with the way from its folder to this one.
        self._specs = specs

    @classmethod
    def of_root(cls, folder: str) -> IgnoreRules:
        """The rules for a folder that was named, with those above it in its repository."""
        chain = [os.path.realpath(folder)]
        while not os.path.lexists(os.path.join(chain[-1], ".git")):
            parent = os.path.dirname(chain[-1])
            if parent == chain[-1]:
                del chain[1:]  # no repository: nothing above has a say
                break
            chain.append(parent)
        rules = cls(_read(chain[-1]))
        for each in reversed(chain[:-1]):
            rules = rules.below(each)
        return rules

    def below(self, folder: str) -> IgnoreRules:
        """The rules for a folder in this one."""
        step = os.path.basename(folder) + "/"
        return IgnoreRules(_read(folder) + [(spec, way + step) for spec, way in self._specs])

    def ignores(self, name: str) -> bool:
        """Whether something in the folder is left out; the name of a folder ends in a slash."""
        for spec, way in self._specs:
            verdict = spec.check_file(way + name).include
            if verdict is not None:
                return verdict
        return False


def _read(folder: str) -> list[tuple[GitIgnoreSpec, str]]:
    try:
        with open(os.path.join(folder, _NAME), encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    from pathspec import GitIgnoreSpec

    return [(GitIgnoreSpec.from_lines(lines), "")]
