"""Which names are wanted: the patterns of ``--include`` and ``--exclude``.

A pattern without a slash is a shell pattern for a name, wherever it is. One with a slash is for the path below
the folder that was named, in the way of ``.gitignore``: ``*`` stays within one name, ``**`` does not, and a
slash at the end means folders. A folder that is excluded is not looked into.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from operator import methodcaller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

__all__ = ["Patterns"]

_MAGIC = frozenset("*?[")


class Patterns:
    """A set of patterns; one that matches is enough.

    Attributes:
        matches_name: the test for a name alone, None if every name passes it. It is what most files need.
        needs_path: whether there are patterns that the name alone cannot satisfy.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        names = [pattern for pattern in self.patterns if "/" not in pattern]
        paths = [pattern for pattern in self.patterns if "/" in pattern]
        self.matches_name = None if "*" in names else _test_of_names(names)
        self._paths = _compile(paths) if paths else None
        self.needs_path = self._paths is not None

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def match(self, name: str, path: str) -> bool:
        """Whether a name, or its path below the folder that was named, matches; a folder's path ends in a slash."""
        if self.matches_name is None or self.matches_name(name):
            return True
        return self._paths is not None and self._paths.match_file(path)


def _test_of_names(patterns: list[str]) -> Callable[[str], object]:
    # Nearly all patterns are a star and an ending, for which a regular expression takes three times as long.
    if all(pattern[:1] == "*" and not _MAGIC.intersection(pattern[1:]) for pattern in patterns):
        return methodcaller("endswith", tuple(pattern[1:] for pattern in patterns))
    from fnmatch import translate

    return re.compile("|".join(map(translate, patterns))).match


def _compile(patterns: list[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # takes longer to import than most counts take

    # A leading exclamation mark or hash has a meaning in .gitignore, and none here.
    return GitIgnoreSpec.from_lines("\\" + pattern if pattern[0] in "!#" else pattern for pattern in patterns)
