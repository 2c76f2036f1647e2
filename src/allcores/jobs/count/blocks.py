"""Feeding a counter of UTF-8 from a reader, block by block.

The bytes of a character that a block's end has cut move to the front of the buffer, before what is read next.
"""

from __future__ import annotations

from collections.abc import Callable

from .outcomes import BINARY, INVALID, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Utf8Counter(Protocol):
        """The native kernel's `Counter`, or its twin's."""

        def feed(self, buffer: bytearray, filled: int, /) -> int:
            """Count the first bytes of the buffer that are whole characters; returns how many, or -1."""

        def result(self) -> Outcome:
            """What was counted."""


__all__ = ["BYTES_OF_A_VERDICT", "NO_LIMIT", "ReadInto", "count_blocks", "verdict_on_front"]

ReadInto = Callable[[memoryview], int]
"""Fills the front of a view and returns the number of bytes, 0 at the end."""

NO_LIMIT = 1 << 62

# As many first bytes as git looks through for a NUL; native/reading.c has the same.
BYTES_OF_A_VERDICT = 8000
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")


def verdict_on_front(front: bytes | bytearray) -> Outcome | None:
    """`BINARY` if there is a NUL among a file's first bytes, of which there are to be `BYTES_OF_A_VERDICT` at most."""
    return (BINARY, int(front.startswith(_WIDE_MARKS)), 0, 0, 0, 0) if 0 in front else None


def count_blocks(
    read_into: ReadInto,
    counter: Utf8Counter,
    buffer: bytearray,
    *,
    limit: int = NO_LIMIT,
    look_for_nul: bool = False,
) -> Outcome:
    """Count what a reader delivers, until it delivers nothing.

    Args:
        read_into: the reader.
        counter: a new one.
        buffer: working space, at least the four bytes of UTF-8's longest character.
        limit: how many bytes to take at most.
        look_for_nul: whether a NUL among the first bytes makes the file binary.

    Returns:
        `COUNTED`, `BINARY` or `INVALID`.
    """
    view = memoryview(buffer)
    counted = kept = 0
    while limit > 0 and (got := read_into(view[kept : kept + limit])):
        limit -= got
        filled = kept + got
        if look_for_nul and (binary := verdict_on_front(buffer[: min(filled, BYTES_OF_A_VERDICT)])):
            return binary
        look_for_nul = False
        used = counter.feed(buffer, filled)
        if used < 0:
            return INVALID, counted, 0, 0, 0, 0
        counted += used
        kept = filled - used
        view[:kept] = view[used:filled]
    return (INVALID, counted, 0, 0, 0, 0) if kept else counter.result()
