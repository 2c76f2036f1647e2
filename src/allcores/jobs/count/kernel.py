"""Lines and characters of UTF-8, block by block.

The counts are those of Python's text mode: LF, CRLF and a lone CR end a line; form feed, NEL and U+2028
do not; a last line without an end counts. Characters are decoded characters without line ends. A byte-order
mark at the very start is no character, yet a file that holds nothing else still has one line, as it has for
``open(encoding="utf-8")``.

Every block is validated by CPython's own decoder, so what is counted is exactly what ``open()`` would
accept. A block of pure ASCII needs no decoding: ``isascii`` is ten times as fast as anything that follows
it, and ``count`` on the bytes does the rest. For other text the decoder is the floor (1.5 GB/s of Chinese
where this was written); counting in the decoded string is then nearly free.

Two things cross from block to block: the bytes of a character that the cut has split, which move to the
front of the buffer, and whether the text so far ends in CR, since its LF may be the next byte.
"""

from __future__ import annotations

from codecs import utf_8_decode
from collections.abc import Callable

__all__ = ["BLOCK_SIZE", "InvalidText", "count_blocks"]

# Bytes read at a time. From 128 to 512 KiB all measured alike; below, calls cost; above, caches overflow.
BLOCK_SIZE = 256 * 1024

_LF, _CR = b"\n\r"


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
        return f"not {self.encoding}: {self.reason} at byte {self.offset}"


def count_blocks(read_into: Callable[[memoryview], int], buffer: bytearray) -> tuple[int, int]:
    """Count what `read_into` delivers until it delivers nothing.

    Args:
        read_into: fills the front of the view it is given and returns the number of bytes, 0 at the end.
        buffer: working space, at least the four bytes of UTF-8's longest character. It may be reused.

    Returns:
        Lines and characters.

    Raises:
        InvalidText: the bytes are not valid UTF-8.
    """
    view = memoryview(buffer)
    line_ends = characters = offset = kept = 0
    after_cr = open_line = False

    while got := read_into(view[kept:]):
        filled = kept + got
        block = buffer if filled == len(buffer) else buffer[:filled]
        if block.isascii():
            used = filled
            lf, cr = block.count(_LF), block.count(_CR) if _CR in block else 0
            crlf = block.count(b"\r\n") if cr else 0
            characters += filled - lf - cr
        else:
            text, used = _decode(view[:filled], offset, final=False)
            lf, cr = text.count("\n"), text.count("\r")
            crlf = text.count("\r\n") if cr else 0
            characters += len(text) - lf - cr
            if offset == 0 and text.startswith("\ufeff"):
                characters -= 1
        if used:
            if after_cr and view[0] == _LF:
                crlf += 1
            last = view[used - 1]
            after_cr, open_line = last == _CR, last not in (_LF, _CR)
            line_ends += lf + cr - crlf
            offset += used
        kept = filled - used
        view[:kept] = view[used:filled]

    if kept:
        _decode(view[:kept], offset, final=True)
    return line_ends + open_line, characters


def _decode(data: memoryview, offset: int, *, final: bool) -> tuple[str, int]:
    """Decode what is whole; unless final, bytes at the end that may still become a character are left."""
    try:
        return utf_8_decode(data, "strict", final)
    except UnicodeDecodeError as error:
        raise InvalidText("UTF-8", offset + error.start, error.reason) from None
