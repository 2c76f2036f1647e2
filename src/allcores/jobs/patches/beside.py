"""Files that go with an output: written before it gets its name, named right after it."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType

from .errors import OutputError
from .outputs.base import remove
from .settings import PART

__all__ = ["SideFile"]


class SideFile:
    """A file that is there whole or not at all; for a `with` block, at whose end what has no name yet is removed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._target = os.path.realpath(path)
        self._part = self._target + PART

    def fill(self, write: Callable[[str], object]) -> None:
        """Let a function write the file that it is given the path of.

        Raises:
            OutputError: it cannot be written.
        """
        self._attempt(lambda: write(self._part))

    def commit(self) -> None:
        """Give the file its name.

        Raises:
            OutputError: that cannot be done.
        """
        self._attempt(lambda: os.replace(self._part, self._target))

    def _attempt(self, step: Callable[[], object]) -> None:
        try:
            step()
        except OSError as error:
            raise OutputError.of(self._path, error) from error

    def __enter__(self) -> SideFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        remove(self._part)
