"""Files that are not in this machine's folders: listed and read by fsspec.

What can go wrong is up to each file system, so any exception of theirs becomes the reason of a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from posixpath import basename, splitext
from typing import Any

from .rows import FileFailure
from .walk import Rules, Run, Tally

__all__ = ["look_up", "remote_content", "remote_reason"]

_MISSING = "reading addresses needs fsspec: pip install 'allcores[remote]'"


def look_up(address: str, rules: Rules, tally: Tally) -> Iterator[Run | FileFailure]:
    """The files that an address stands for: itself, or what is wanted below it.

    Args:
        address: one that fsspec understands, such as ``s3://bucket/folder`` or ``zip://folder::archive.zip``.
        rules: what to take below a folder; there are neither links nor ``.gitignore`` files.
        tally: where to note down what is passed over.
    """
    try:
        file_system, path = _open_file_system(address)
        is_folder = file_system.isdir(path)
        if not is_folder:
            file_system.info(path)  # or else it says what is wrong
    except Exception as error:
        yield FileFailure(address, remote_reason(error))
        return
    if is_folder:
        yield from _Tree(address, file_system, path, rules, tally).below(path, "")
    else:
        yield Run(None, [address], remote=True)


class _Tree:
    def __init__(self, address: str, file_system: Any, root: str, rules: Rules, tally: Tally) -> None:
        # In a chained address the first link says what is inside the others.
        self._head, self._separator, self._tail = address.partition("::")
        self._file_system = file_system
        self._root = root.rstrip("/")
        self._rules = rules
        self._tally = tally

    def below(self, folder: str, way: str) -> Iterator[Run | FileFailure]:
        try:
            entries = self._file_system.ls(folder, detail=True)
        except Exception as error:
            yield FileFailure(self._address(folder), f"the folder cannot be listed: {remote_reason(error)}")
            return
        self._tally.folders += 1
        here: dict[str, dict[str, Any]] = {}
        for entry in entries:
            path = entry["name"].rstrip("/")
            if path != folder.rstrip("/"):  # some file systems have a file of that name to mark a folder
                here[path + "/" * (entry["type"] == "directory")] = entry
        files: list[str] = []
        for name in sorted(here, key=lambda name: name.encode("utf-8", "surrogatepass")):
            if name.endswith("/"):
                if self._takes_folder(basename(name[:-1]), f"{way}{basename(name[:-1])}/"):
                    if files:
                        yield Run(None, files, remote=True)
                        files = []
                    yield from self.below(name[:-1], f"{way}{basename(name[:-1])}/")
            elif self._takes_file(basename(name), way + basename(name)):
                files.append(self._address(name))
        if files:
            yield Run(None, files, remote=True)

    def _takes_folder(self, name: str, way: str) -> bool:
        if self._rules.exclude.match(name, way):
            self._tally.left_out["excluded folders"] += 1
        elif name.startswith(".") and not self._rules.hidden:
            self._tally.left_out["hidden folders"] += 1
        else:
            return True
        return False

    def _takes_file(self, name: str, way: str) -> bool:
        if not self._rules.include.match(name, way):
            self._tally.unmatched_endings[splitext(name)[1]] += 1
        elif self._rules.exclude.match(name, way):
            self._tally.left_out["excluded files"] += 1
        elif name.startswith(".") and not self._rules.hidden:
            self._tally.left_out["hidden files"] += 1
        else:
            return True
        return False

    def _address(self, path: str) -> str:
        """The address of something below the root, spelled like the root's."""
        inside = path[len(self._root) :].lstrip("/")
        head = self._head if self._head.endswith("/") or not inside else f"{self._head}/"
        return f"{head}{inside}{self._separator}{self._tail}"


class _RemoteContent:
    """A file's bytes, opened again where they have to be read from the front again."""

    def __init__(self, address: str) -> None:
        self._file_system, self._path = _open_file_system(address)
        self._file = self._open()

    def read_into(self, view: memoryview) -> int:
        return self._file.readinto(view) or 0

    def read_at(self, offset: int, size: int) -> bytes:
        self.rewind()
        self._file.seek(offset)
        data: bytes = self._file.read(size)
        return data

    def rewind(self) -> None:
        self._file.close()
        self._file = self._open()

    def close(self) -> None:
        self._file.close()

    def _open(self) -> Any:
        return self._file_system.open(self._path, "rb")


@contextmanager
def remote_content(address: str) -> Iterator[_RemoteContent]:
    """Open what an address stands for; raises whatever its file system raises."""
    content = _RemoteContent(address)
    try:
        yield content
    finally:
        content.close()


def remote_reason(error: Exception) -> str:
    """An exception of a file system, in one line."""
    if isinstance(error, _Missing):
        return str(error)
    text = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
    if isinstance(error, FileNotFoundError):
        return "no such file or directory"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _open_file_system(address: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise _Missing(_MISSING) from None
    file_system, path = url_to_fs(address)
    return file_system, path


class _Missing(Exception):
    pass
