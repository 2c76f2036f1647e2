"""What every kind of output can do, and how it comes to its name: whole, or not at all.

Patches are written into a *part* beside the target. `commit` brings it to the disk and gives it its name, in one
step; `discard` removes it; if the program is killed, the part is what it can be resumed from.
"""

from __future__ import annotations

import os
import shutil
import stat
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ..arrays import Array
from ..errors import OutputError, TargetError
from ..plan import Bundle, PlannedImage
from ..recipe import Recipe
from ..settings import PART

__all__ = ["Output", "Share", "Sink", "remove"]


class Sink(Protocol):
    """Where a worker puts the patches of one bundle."""

    def begin(self, image: PlannedImage, patches: int) -> bool:
        """Begin an image of at most so many patches; False if there is no room for them, and nothing is to be put."""

    def put(self, numbers: Array, patches: Sequence[Array]) -> None:
        """Take the image's next patches, numbered within the image; and their partners where there are pairs."""


class Share(NamedTuple):
    """What is to remain of a bundle.

    Attributes:
        written: how many patches each of its images has given.
        kept: how many of these, from the first, are to stay.
    """

    bundle: Bundle
    written: list[int]
    kept: list[int]


class Output(ABC):
    """One kind of output for one run. Workers get copies of it, in other processes too.

    Attributes:
        target: where the result appears.
        names: what is written, as the caller would call it: the target, and what stands beside it.
        parts: what is written meanwhile, by the true name that each gets in the end.
    """

    is_folder = False

    def __init__(self, target: str, recipe: Recipe, names: Sequence[str]) -> None:
        self.target = target
        self.recipe = recipe
        self.names = list(names)
        self.parts = {os.path.realpath(name): os.path.realpath(name) + PART for name in names}

    @abstractmethod
    def create(self, patches: int) -> None:
        """Make the parts, with room for so many patches."""

    def reopen(self) -> None:
        """Take up parts that an earlier run has made, whatever it was doing when it was killed, moving rows apart.

        Raises:
            OSError, OutputError, ValueError: they are not there, or of no use.
        """
        for part in self.parts.values():
            os.stat(part)

    @abstractmethod
    def sink(self, bundle: Bundle) -> AbstractContextManager[Sink]:
        """For a worker: take the patches of a bundle; anything that an earlier attempt left of it is replaced."""

    @abstractmethod
    def trim(self, patches: int, shares: Sequence[Share]) -> None:
        """Leave the first so many patches, and complete the parts. A run that was killed doing so does it again.

        Args:
            patches: the total.
            shares: what each bundle has of them.
        """

    def check(self) -> None:
        """Refuse targets that cannot be written or must not be replaced.

        Raises:
            TargetError: saying which, and why.
        """
        for name in self.parts:
            folder = os.path.dirname(name)
            if not os.path.isdir(folder):
                raise TargetError(self.target, f"there is no folder {folder}")
            if not os.access(folder, os.W_OK):
                raise TargetError(self.target, f"the folder {folder} may not be written to")
            if os.path.lexists(name):
                self._check_replaceable(name)

    def _check_replaceable(self, name: str) -> None:
        if self.is_folder:
            if not os.path.isdir(name) or os.listdir(name):
                raise TargetError(self.target, "it exists already, and folders are not replaced; remove it first")
        elif not stat.S_ISREG(os.stat(name).st_mode):
            raise TargetError(self.target, "not a regular file")

    def commit(self, is_durable: bool) -> None:
        """Give the parts their names.

        Args:
            is_durable: whether to wait until they are on the disk, before and after.
        """
        try:
            if self.is_folder and is_durable:
                os.sync()  # one by one, very many files would take very long
            for name, part in self.parts.items():
                if not self.is_folder:
                    if is_durable:
                        _flush(part)
                    if os.path.exists(name):
                        os.chmod(part, stat.S_IMODE(os.stat(name).st_mode))
            for name, part in self.parts.items():
                os.replace(part, name)
                if is_durable:
                    _flush(os.path.dirname(name))
        except OSError as error:
            raise OutputError.of(self.target, error) from error

    def discard(self) -> None:
        """Remove what there is of the parts."""
        for part in self.parts.values():
            remove(part)


def remove(path: str) -> None:
    """Remove a file or a folder, if it is there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.unlink(path)


def _flush(path: str) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY if os.path.isdir(path) else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
