"""The native kernel, in C. `twin` has the same in Python.

An outcome's parts are told in `outcomes`.
"""

from os import PathLike

from .outcomes import Outcome

class Counter:
    """UTF-8 text that comes in pieces, which may cut characters."""

    def feed(self, buffer: bytearray, filled: int) -> int:
        """Count the first bytes of a buffer, as far as they are whole characters.

        Args:
            buffer: has the bytes in front.
            filled: how many there are.

        Returns:
            How many were counted: all but three at most, which belong in front of what is fed next. -1 if the
            bytes are not valid; then the counter is of no use any more.
        """
    def result(self) -> Outcome:
        """What was counted; if bytes were left over in the end, the text was cut short, which only the caller knows."""

def count_files(
    folder: str | bytes | PathLike[str] | None,
    names: list[str],
    large: int,
    look_for_nul: bool,
    block_size: int,
) -> list[Outcome]:
    """Count files, one after the other, without the interpreter lock.

    Args:
        folder: what the names are relative to; None for the current folder.
        names: files, whatever they turn out to be.
        large: files of this size and more are not read; their outcome is `LARGE`.
        look_for_nul: whether a NUL among the first 8,000 bytes makes a file binary.
        block_size: bytes to read at a time, at least 4.

    Returns:
        An outcome for each, in the same order.

    Raises:
        ValueError: a name has a NUL, or the block is too small.
    """

def count_part(descriptor: int, start: int, stop: int, block_size: int) -> Outcome:
    """Count the bytes from `start` up to `stop` of an open file, or up to its end if that comes before.

    Both must be between two characters, and not between CR and LF, for parts to add up to the whole.
    """

def available_ways() -> list[str]:
    """The names of the ways to count that this processor has, the fastest first. The twin has no ways."""

def use_way(name: str) -> None:
    """Count in this way from now on, in all threads.

    Raises:
        ValueError: there is no such way here.
    """
