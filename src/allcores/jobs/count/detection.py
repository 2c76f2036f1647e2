"""Guessing a file's encoding, with chardet, from some of its bytes."""

from __future__ import annotations

import codecs
from collections.abc import Callable

from .decoding import UTF_8

__all__ = ["guess_encoding"]

# Enough for a good guess; detecting takes some ten milliseconds.
_SAMPLE_SIZE = 64 * 1024

# chardet's names of encodings that decode like UTF-8 as far as the sample goes.
_LIKE_UTF_8 = {"ascii", UTF_8}


def guess_encoding(read_at: Callable[[int, int], bytes], valid_up_to: int) -> str | None:
    """Guess the encoding of a file that is not UTF-8, or not by its looks.

    Args:
        read_at: gives bytes of the file, by offset and number.
        valid_up_to: everything before this offset is valid UTF-8.

    Returns:
        The encoding's name in Python; None if the file does not look like text of any.
    """
    guess = _guess(read_at(0, _SAMPLE_SIZE))
    if guess in _LIKE_UTF_8 and valid_up_to:
        # The first bytes that tell come later. They are taken from the next line on, between two characters.
        later = read_at(valid_up_to, _SAMPLE_SIZE)
        guess = _guess(later[later.find(b"\n") + 1 :] or later)
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
