"""Counting text of any encoding that Python knows, with the standard library's incremental decoders.

Counting in the decoded text costs little beside decoding it. What crosses from piece to piece is in the
decoder (the bytes of a character that was cut, the state of encodings that have one), but for one bit: whether
the text so far ends in CR, since its LF may be the next character.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable

from .outcomes import COUNTED, UNCHANGED, Outcome

__all__ = ["UTF_8", "BinaryContent", "DecodingCounter", "InvalidText", "first_error", "text_encoding"]

UTF_8 = "utf-8"

# In how many first characters a NUL makes a file binary: as many as git takes bytes.
_CHARACTERS_OF_A_VERDICT = 8000


class InvalidText(ValueError):
    """The bytes are not text in the encoding that was asked for.

    Attributes:
        encoding: the encoding's name.
        offset: where the first bytes that are wrong begin, counted from the start of the file.
        reason: what is wrong with them, in the decoder's words.
    """

    def __init__(self, encoding: str, offset: int, reason: str) -> None:
        super().__init__(encoding, offset, reason)
        self.encoding = encoding
        self.offset = offset
        self.reason = reason

    def __str__(self) -> str:
        return f"not {self.encoding.upper()}: {self.reason} at byte {self.offset}"


class BinaryContent(ValueError):
    """The file is no text; the message says how that is known."""


def text_encoding(name: str) -> str:
    """The name that Python has for an encoding.

    Raises:
        LookupError: there is none of this name, or it does not decode bytes to text.
    """
    try:
        found = codecs.lookup(name)
        codecs.getincrementaldecoder(name)
    except (LookupError, ValueError):  # a NUL in the name is a ValueError
        raise LookupError(f"there is no encoding called {name!r}") from None
    if not getattr(found, "_is_text_encoding", True):
        raise LookupError(f"{name!r} is not an encoding of text")
    return found.name


class DecodingCounter:
    """A text that comes in pieces of bytes.

    Args:
        encoding: as `text_encoding` gives it.
        errors: what to do with bytes that are wrong: ``"strict"``, ``"replace"`` or ``"ignore"``.
        look_for_nul: whether a NUL near the start shows that this is no text.
    """

    def __init__(self, encoding: str, errors: str, *, look_for_nul: bool = False) -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._look_for_nul = look_for_nul
        self._line_ends = self._characters = self._bytes = 0
        self._after_return = self._open = self._begun = False

    def feed(self, data: bytes | memoryview, *, final: bool = False) -> None:
        """Count some more bytes; the last ones, or none, with `final`.

        Raises:
            InvalidText: they are not text in this encoding.
            BinaryContent: they are no text at all.
        """
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            # The decoder's object is what it had kept of earlier pieces, and this one.
            offset = self._bytes + len(data) - len(error.object) + error.start
            raise InvalidText(self._encoding, offset, error.reason) from None
        except UnicodeError as error:  # UTF-16 and UTF-32 without a byte-order mark
            raise InvalidText(self._encoding, 0, str(error)) from None
        self._bytes += len(data)
        if text:
            self._count(text)

    def result(self) -> Outcome:
        """What has been counted."""
        return COUNTED, UNCHANGED, self._line_ends, self._characters, self._bytes, int(self._open)

    def _count(self, text: str) -> None:
        if self._look_for_nul:
            if text.find("\0", 0, _CHARACTERS_OF_A_VERDICT) >= 0:
                raise BinaryContent("binary: it has a NUL near its start")
            self._look_for_nul = False
        lf, cr = text.count("\n"), text.count("\r")
        crlf = text.count("\r\n") if cr else 0
        self._characters += len(text) - lf - cr
        if not self._begun and self._encoding == UTF_8 and text[0] == "\ufeff":
            self._characters -= 1
        self._line_ends += lf + cr - crlf - (self._after_return and text[0] == "\n")
        self._after_return, self._open = text[-1] == "\r", text[-1] not in "\r\n"
        self._begun = True


def first_error(first: bytes, read_into: Callable[[memoryview], int], offset: int) -> InvalidText | None:
    """What a strict UTF-8 decoder says to bytes that follow valid ones.

    Args:
        first: the first of them.
        read_into: gives the others: fills the front of a view and returns the number of bytes, 0 at the end.
        offset: where in the file the first ones begin.

    Returns:
        The error, or None if there is none: the file has changed since it was found to be invalid.
    """
    counter = DecodingCounter(UTF_8, "strict")
    view = memoryview(bytearray(len(first)))
    try:
        counter.feed(first)
        while got := read_into(view):
            counter.feed(view[:got])
        counter.feed(b"", final=True)
    except InvalidText as error:
        return InvalidText(error.encoding, offset + error.offset, error.reason)
    return None
