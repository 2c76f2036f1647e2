"""Guessing a file's encoding, with chardet, from some of its bytes."""

from __future__ import annotations

import codecs
from collections.abc import Callable

from .decoding import UTF_8

__all__ = ["guess_encoding"]

# Enough for a good guess; detecting takes some ten milliseconds.
_SAMPLE_SIZE = 64 * 1024

# So many characters beyond ASCII are hardly ever valid UTF-8 by chance.
_CHARACTERS_OF_A_PROOF = 8

# How far before a fault the start of its line is looked for.
_LINE_BEFORE = 1024


def guess_encoding(read_at: Callable[[int, int], bytes], fault_at: int) -> str | None:
    """Guess the encoding of a file that is not UTF-8, or not by its looks.

    Args:
        read_at: gives bytes of the file, by offset and number.
        fault_at: where the first bytes that are not UTF-8 begin; 0 if all are.

    Returns:
        The encoding's name in Python; None if the file does not look like text of any.
    """
    if fault_at:
        start = max(fault_at - _SAMPLE_SIZE, 0)
        before = read_at(start, fault_at - start)
        if sum(byte >= 0xC0 for byte in before) >= _CHARACTERS_OF_A_PROOF:
            return UTF_8  # with a fault
    guess = _guess(read_at(0, _SAMPLE_SIZE))
    if guess == "ascii" and fault_at:
        # The first bytes fit in with most encodings. The line with the fault tells more, and what follows it.
        start = max(fault_at - _LINE_BEFORE, 0)
        sample = read_at(start, _SAMPLE_SIZE)
        line = sample.rfind(b"\n", 0, fault_at - start) + 1
        guess = _guess(sample[line or fault_at - start :])
    return guess


def _guess(sample: bytes) -> str | None:
    # A detector that is imported only when there is something to detect: that takes a tenth of a second.
    import chardet

    name = chardet.detect(sample)["encoding"]
    if name is None:
        return None
    try:
        return codecs.lookup(name).name
    except LookupError:  # chardet knows some that Python does not
        return None
