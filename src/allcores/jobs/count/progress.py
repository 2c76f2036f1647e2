"""How far a count is."""

from __future__ import annotations

__all__ = ["Progress"]


class Progress:
    """What is done so far. It grows while the rows of a count are asked for.

    Attributes:
        files: files whose rows have been given out, or are about to be.
        bytes: bytes that were counted, also those of a file that is not done yet.
    """

    __slots__ = ("bytes", "files")

    def __init__(self) -> None:
        self.files = self.bytes = 0
