"""A file that is there whole or not at all.

The text goes to a file without a name where the system has such a thing (``O_TMPFILE`` on Linux), which
vanishes with the process, however that ends; elsewhere to a file with a name of its own beside the target,
removed on any failure that leaves time for it. `commit` brings it to the disk and only then gives it the
target's name, in one step: a reader finds the old content or the new, never a part.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from io import TextIOWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import BinaryIO, TypeVar

    _Value = TypeVar("_Value")

__all__ = ["BinaryResult", "ResultFile", "ResultFileError"]

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_DESCRIPTORS = "/proc/self/fd"


class ResultFileError(Exception):
    """A result could not be written; what was there before is untouched."""

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(path, error)
        self.path = path
        self.error = error

    def __str__(self) -> str:
        return f"cannot write {self.path}: {self.error.strerror or self.error}"


class ResultFile:
    """Text for `path`, all or nothing: what was written appears on `commit`, and else never.

        with ResultFile("counts.txt") as result:
            result.write("…")
            result.commit()

    A link as the target stays and what it leads to is replaced. A file that is replaced passes its
    permissions on; a new one gets those that the umask leaves.

    Attributes:
        path: the target as it was given.

    Raises:
        ResultFileError: on making it, if the target is no regular file or its folder cannot be written to;
            on `write` and `commit`, if the disk is full, say.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._target = os.path.realpath(self.path)
        self._part: str | None = None
        descriptor = self._attempt(self._open)
        # Bytes that file names hold and UTF-8 does not are written as they are.
        self._binary = open(descriptor, "wb")
        self._text = TextIOWrapper(self._binary, encoding="utf-8", errors="surrogateescape", newline="")

    @property
    def paths(self) -> list[str]:
        """The names that belong to it: the target's, and that of the file beside it if there is one."""
        return [self._target, *([self._part] if self._part else [])]

    def write(self, text: str) -> int:
        """Add text."""
        return self._attempt(lambda: self._text.write(text))

    def as_binary(self) -> BinaryResult:
        """The same file for what writes bytes; then there is to be no text in it."""
        return BinaryResult(self._binary, self._attempt)

    def commit(self) -> None:
        """Let the file appear under its name, with all that was written."""
        self._attempt(self._commit)

    def discard(self) -> None:
        """Forget what was written; after `commit`, nothing is left to forget."""
        try:
            self._text.close()
        except OSError:
            pass  # the disk is full: what could not be written is not wanted any more
        if self._part:
            try:
                os.unlink(self._part)
            except OSError:
                pass
            self._part = None

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def _open(self) -> int:
        folder = os.path.dirname(self._target)
        try:
            mode = os.stat(self._target).st_mode
        except FileNotFoundError:
            mode = None
        if mode is not None and not stat.S_ISREG(mode):
            raise OSError("not a regular file")
        descriptor = self._open_unnamed(folder)
        if descriptor is None:
            self._part = os.path.join(folder, _part_name())
            descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOEXEC, 0o666)
        if mode is not None:
            try:
                os.chmod(self._part or descriptor, stat.S_IMODE(mode))
            except OSError:
                pass  # a file system without permissions
        return descriptor

    def _open_unnamed(self, folder: str) -> int | None:
        if not hasattr(os, "O_TMPFILE") or not os.path.isdir(_DESCRIPTORS):
            return None
        try:
            return os.open(folder, os.O_WRONLY | os.O_TMPFILE | _CLOEXEC, 0o666)
        except OSError:
            return None  # not on this file system; if the folder is at fault, the named file will tell

    def _commit(self) -> None:
        self._text.flush()
        descriptor = self._text.fileno()
        os.fsync(descriptor)
        if self._part is None:
            self._name(descriptor)
        assert self._part is not None
        self._text.close()
        os.replace(self._part, self._target)
        self._part = None

    def _name(self, descriptor: int) -> None:
        """Give the file a name beside the target's: linking, unlike renaming, cannot replace."""
        folder, part = os.path.dirname(self._target), _part_name()
        # The descriptor is what makes Python call linkat, which follows /proc's link; link does not.
        folder_descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _CLOEXEC)
        try:
            os.link(f"{_DESCRIPTORS}/{descriptor}", part, dst_dir_fd=folder_descriptor)
        finally:
            os.close(folder_descriptor)
        self._part = os.path.join(folder, part)

    def _attempt(self, step: Callable[[], _Value]) -> _Value:
        try:
            return step()
        except OSError as error:
            raise ResultFileError(self.path, error) from error


class BinaryResult:
    """What a library takes for a file to write to, so that its errors are the result file's."""

    closed = False

    def __init__(self, file: BinaryIO, attempt: Callable[[Callable[[], int]], int]) -> None:
        self._file = file
        self._attempt = attempt

    def write(self, data: bytes) -> int:
        """Add bytes."""
        return self._attempt(lambda: self._file.write(data))

    def flush(self) -> None:
        """Nothing: `ResultFile.commit` does it."""


def _part_name() -> str:
    return f".allcores-{os.getpid()}-{os.urandom(4).hex()}.part"
