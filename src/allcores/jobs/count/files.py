"""What becomes of one file, by the rules for reading: its counts, or why there are none.

Most files need no rules: the kernel counts them as UTF-8. This is for the rest: other encodings, files that
the kernel found to be invalid or binary, and files that are not in this machine's folders.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager

from .blocks import count_blocks
from .decoding import UTF_8, BinaryContent, DecodingCounter, InvalidText, first_error, text_encoding
from .detection import guess_encoding
from .kernel import BLOCK_SIZE, kernel
from .opening import open_regular
from .outcomes import BINARY, COUNTED, INVALID, Outcome
from .rows import FileCount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Content(Protocol):
        """The bytes of a file."""

        def read_into(self, view: memoryview) -> int:
            """Fill the front of a view with the bytes that follow and return their number, 0 at the end."""

        def read_at(self, offset: int, size: int) -> bytes:
            """Some bytes from an offset on, fewer at the end. `read_into` goes on behind them."""

        def rewind(self) -> None:
            """Let `read_into` begin again at the front."""


__all__ = [
    "AUTO",
    "ERRORS",
    "PLAIN_READING",
    "Reading",
    "binary_reason",
    "count_content",
    "count_file",
    "count_local",
    "make_reading",
]

AUTO = "auto"
ERRORS = ("strict", "replace", "ignore")


class Reading(namedtuple("Reading", ("encoding", "errors", "binary"), defaults=(UTF_8, "strict", False))):
    """How files are read.

    Attributes:
        encoding: a name as `text_encoding` gives it, or `AUTO` for UTF-8 where a file is valid as such, and else
            what its bytes look like.
        errors: what to do with bytes that are wrong: ``"strict"``, ``"replace"`` or ``"ignore"``.
        binary: whether to count files with a NUL near the start, too.
    """

    __slots__ = ()
    encoding: str
    errors: str
    binary: bool

    @property
    def is_utf_8(self) -> bool:
        """Whether the kernel counts first, and what it cannot count is looked at again."""
        return self.encoding in (UTF_8, AUTO)

    @property
    def looks_for_nul(self) -> bool:
        """Whether the kernel is to stop at files that look binary."""
        return self.encoding == AUTO or not self.binary


PLAIN_READING = Reading()


def make_reading(encoding: str = UTF_8, errors: str = "strict", binary: bool = False) -> Reading:
    """Rules for reading, checked.

    Raises:
        LookupError: there is no such encoding.
        ValueError: `errors` is none of those that there are.
    """
    if errors not in ERRORS:
        raise ValueError(f"errors must be one of {', '.join(ERRORS)}, not {errors!r}")
    return Reading(encoding if encoding == AUTO else text_encoding(encoding), errors, binary)


class LocalContent:
    """A regular file of this machine."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read_into(self, view: memoryview) -> int:
        return os.readv(self._descriptor, (view,))

    def read_at(self, offset: int, size: int) -> bytes:
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        return os.read(self._descriptor, size)

    def rewind(self) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)


@contextmanager
def _open_local(path: str) -> Iterator[LocalContent]:
    descriptor = open_regular(path)
    try:
        yield LocalContent(descriptor)
    finally:
        os.close(descriptor)


def count_file(
    path: str | os.PathLike[str], *, encoding: str = UTF_8, errors: str = "strict", binary: bool = False
) -> FileCount:
    """Count one file, in this process.

    Args:
        path: a regular file, or a link to one.
        encoding: any that Python knows, or ``"auto"``.
        errors: what to do with bytes that are wrong: ``"strict"``, ``"replace"`` or ``"ignore"``.
        binary: whether to count it even if it has a NUL near the start.

    Returns:
        Its path, lines, characters, bytes and encoding.

    Raises:
        OSError: it cannot be opened or read, or is not a regular file.
        InvalidText: it is not text in this encoding.
        BinaryContent: it is no text at all.
        LookupError: there is no such encoding.
        ValueError: `errors` is none of these.
    """
    return count_local(os.fspath(path), make_reading(encoding, errors, binary))


def count_local(path: str, reading: Reading, seen: Outcome | None = None) -> FileCount:
    """Count a regular file; the errors are those of `count_file`.

    Args:
        path: where it is.
        reading: how to read it.
        seen: what the kernel had to say to it, if it has been asked already.
    """
    with _open_local(path) as content:
        return count_content(path, content, reading, seen)


def count_content(path: str, content: Content, reading: Reading, seen: Outcome | None = None) -> FileCount:
    """Count a file's content; likewise."""
    encoding = reading.encoding
    if reading.is_utf_8:
        if seen is None:
            seen = count_blocks(
                content.read_into, kernel.Counter(), bytearray(BLOCK_SIZE), look_for_nul=reading.looks_for_nul
            )
        verdict, detail = seen[:2]
        if verdict == COUNTED:
            return _row(path, seen, UTF_8)
        if encoding == AUTO:
            fault_at = _what_is_wrong(content, detail).offset if verdict == INVALID else 0
            guess = guess_encoding(content.read_at, fault_at)
            if guess is None:
                if verdict == BINARY and reading.binary:
                    content.rewind()
                    return count_content(path, content, reading._replace(encoding=UTF_8))
                raise BinaryContent("binary: it looks like no text of any encoding")
            encoding = guess
        elif verdict == BINARY:
            raise BinaryContent(binary_reason(detail))
        elif reading.errors == "strict":
            raise _what_is_wrong(content, detail)
    content.rewind()
    return _row(path, _count_decoding(content, encoding, reading), encoding)


def binary_reason(detail: int) -> str:
    """Why a file is taken for binary, by the kernel's outcome."""
    if detail:
        return "binary, or UTF-16 or UTF-32 by its byte-order mark, which that encoding or auto would count"
    return "binary: it has a NUL near its start"


def _what_is_wrong(content: Content, valid_up_to: int) -> InvalidText:
    first = content.read_at(valid_up_to, BLOCK_SIZE)
    fault = first_error(first, content.read_into, valid_up_to)
    if fault is None:
        raise OSError("it changed while it was read")
    return fault


def _count_decoding(content: Content, encoding: str, reading: Reading) -> Outcome:
    counter = DecodingCounter(encoding, reading.errors, look_for_nul=not reading.binary)
    view = memoryview(bytearray(BLOCK_SIZE))
    while got := content.read_into(view):
        counter.feed(view[:got])
    counter.feed(b"", final=True)
    return counter.result()


def _row(path: str, outcome: Outcome, encoding: str) -> FileCount:
    _, _, line_ends, characters, size, open_line = outcome
    return FileCount(path, line_ends + open_line, characters, size, encoding)
