"""What counting must come to, by Python's own text mode and decoders; nothing here knows the code under test."""

from __future__ import annotations

import io
import os
from pathlib import Path

BOM = "\ufeff"

#: Pieces of text with everything that may be taken for the end of a line, and characters of each length.
PIECES = [b"\r", b"\n", b"\r\n", b"a", b"word", b"\0", b"\x0c", b"\x1c", b"\x1e"]
PIECES += [
    text.encode() for text in ("é", "天", "🙂", "\x85", "\u2028", "\u2029", BOM, "\U0010ffff", "\ud7ff", "\ue000")
]

#: Bytes that are not UTF-8, by themselves or in most company.
BROKEN_PIECES = {
    "a continuation byte alone": b"\x80",
    "a lead of two alone": b"\xc3",
    "a lead of three alone": b"\xe5",
    "a character cut short": b"\xe5\xa4",
    "a longer one cut short": b"\xf0\x9f\x99",
    "a character cut short by another": b"\xe5\xa4a",
    "an overlong form": b"\xc0\xaf",
    "a longer overlong form": b"\xe0\x80\xaf",
    "the longest overlong form": b"\xf0\x80\x80\xaf",
    "a surrogate": b"\xed\xa0\x80",
    "the last surrogate": b"\xed\xbf\xbf",
    "beyond the last code point": b"\xf4\x90\x80\x80",
    "far beyond it": b"\xf5\x80\x80\x80",
    "a five-byte form": b"\xf8\x88\x80\x80\x80",
    "a byte that is in no character": b"\xff",
    "one continuation too many": b"\xc3\xa9\xa9",
}


def counts_of(lines: list[str], encoding: str = "utf-8") -> tuple[int, int]:
    """Lines and characters of what readlines() gave. A byte-order mark of UTF-8 is no character."""
    mark = encoding == "utf-8" and bool(lines) and lines[0].startswith(BOM)
    return len(lines), sum(len(line.removesuffix("\n")) for line in lines) - mark


def counts_of_bytes(data: bytes, encoding: str = "utf-8", errors: str = "strict") -> tuple[int, int] | None:
    """Lines and characters of a file with this content; None if it cannot be decoded."""
    try:
        return counts_of(io.TextIOWrapper(io.BytesIO(data), encoding, errors).readlines(), encoding)
    except UnicodeError:
        return None


def counts_of_file(path: str | Path) -> tuple[int, int] | None:
    """What a plain serial loop has for one file; None where it cannot decode it."""
    try:
        with open(path, encoding="utf-8") as file:
            return counts_of(file.readlines())
    except UnicodeDecodeError:
        return None


def first_fault(data: bytes, encoding: str = "utf-8") -> tuple[int, str] | None:
    """Where and why a strict decoder refuses the bytes; None if it does not."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return error.start, error.reason
    return None


def files_below(folder: str | Path, ending: str) -> list[str]:
    """The files below a folder, links apart, in no particular order."""
    return [
        os.path.join(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.endswith(ending) and not os.path.islink(os.path.join(parent, name))
    ]
