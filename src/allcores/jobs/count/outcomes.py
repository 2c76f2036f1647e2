"""What counting one file comes to: the numbers that the native kernel and its twin in Python both give.

An outcome is a plain tuple, since there is one for each of a hundred thousand files: verdict, detail, line
ends, characters, bytes, and whether the last line is open (1) or has an end (0). All but the first two are 0
unless the verdict is `COUNTED`.
"""

from __future__ import annotations

__all__ = ["BINARY", "COUNTED", "FAILED", "INVALID", "LARGE", "NOT_REGULAR", "UNCHANGED", "Outcome"]

# The verdicts, each with what the detail then is; native/reading.h has the same.
COUNTED = 0  # the size when it was opened if that has changed since, else UNCHANGED
FAILED = 1  # the system's error number
NOT_REGULAR = 2  # the mode
BINARY = 3  # 1 if it begins with a byte-order mark of UTF-16 or UTF-32, else 0
INVALID = 4  # everything before this offset is valid
LARGE = 5  # the size; it has not been read

UNCHANGED = -1

Outcome = tuple[int, int, int, int, int, int]
