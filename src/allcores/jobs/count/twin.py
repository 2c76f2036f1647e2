"""The native kernel's twin: the same functions with the same results, in Python. `_native.pyi` describes both.

Every block is judged by CPython's own decoder. A block of pure ASCII needs no decoding: ``isascii`` is ten
times as fast as anything that follows it, and ``count`` on the bytes does the rest. For other text the decoder
is the floor (1.5 GB/s of Chinese where this was written); counting in the decoded string is then nearly free.
"""

from __future__ import annotations

import os
import stat
from codecs import utf_8_decode

from .blocks import ReadInto, count_blocks
from .opening import OPEN_FLAGS
from .outcomes import COUNTED, FAILED, INVALID, LARGE, NOT_REGULAR, UNCHANGED, Outcome

__all__ = ["Counter", "count_files", "count_part"]

_LF, _CR = b"\n\r"


class Counter:
    """A text that comes in pieces, which may cut characters."""

    __slots__ = ("_after_return", "_begun", "_bytes", "_characters", "_line_ends", "_open")

    def __init__(self, begun: bool = False) -> None:
        self._line_ends = self._characters = self._bytes = 0
        self._after_return = self._open = False
        self._begun = begun

    def feed(self, buffer: bytearray, filled: int) -> int:
        if not 0 <= filled <= len(buffer):
            raise ValueError(f"filled must be within the buffer, not {filled}")
        block = buffer if filled == len(buffer) else buffer[:filled]
        if block.isascii():
            used = filled
            lf, cr = block.count(_LF), block.count(_CR) if _CR in block else 0
            crlf = block.count(b"\r\n") if cr else 0
            characters = filled
        else:
            try:
                text, used = utf_8_decode(memoryview(buffer)[:filled], "strict", False)
            except UnicodeDecodeError:
                return -1
            lf, cr = text.count("\n"), text.count("\r")
            crlf = text.count("\r\n") if cr else 0
            characters = len(text) - (not self._begun and text.startswith("\ufeff"))
        if used:
            if self._after_return and buffer[0] == _LF:
                crlf += 1
            last = buffer[used - 1]
            self._after_return, self._open = last == _CR, last not in (_LF, _CR)
            self._line_ends += lf + cr - crlf
            self._characters += characters - lf - cr
            self._bytes += used
            self._begun = True
        return used

    def result(self) -> Outcome:
        return COUNTED, UNCHANGED, self._line_ends, self._characters, self._bytes, int(self._open)


def count_files(folder: str | None, names: list[str], large: int, look_for_nul: bool, block_size: int) -> list[Outcome]:
    buffer = _room(block_size)
    return [_count_named(os.path.join(folder or "", name), large, look_for_nul, buffer) for name in names]


def count_part(descriptor: int, start: int, stop: int, block_size: int) -> Outcome:
    buffer = _room(block_size)
    try:
        os.lseek(descriptor, start, os.SEEK_SET)
        outcome = count_blocks(_reader(descriptor), Counter(start > 0), buffer, limit=stop - start)
    except OSError as error:
        return _ended(FAILED, error.errno or 0)
    return _ended(INVALID, start + outcome[1]) if outcome[0] == INVALID else outcome


def _room(block_size: int) -> bytearray:
    if block_size < 4:
        raise ValueError("a block must have room for a character: 4 bytes")
    return bytearray(block_size)


def _count_named(path: str, large: int, look_for_nul: bool, buffer: bytearray) -> Outcome:
    try:
        descriptor = os.open(path, OPEN_FLAGS)
    except OSError as error:
        return _ended(FAILED, error.errno or 0)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return _ended(NOT_REGULAR, status.st_mode)
        if status.st_size >= large:
            return _ended(LARGE, status.st_size)
        outcome = count_blocks(_reader(descriptor), Counter(), buffer, look_for_nul=look_for_nul)
        # Files whose size is made up, as those in /proc, have not changed by being longer or shorter than that.
        if outcome[0] == COUNTED and outcome[4] != status.st_size != os.fstat(descriptor).st_size:
            return (COUNTED, status.st_size, *outcome[2:])
        return outcome
    except OSError as error:
        return _ended(FAILED, error.errno or 0)
    finally:
        os.close(descriptor)


def _reader(descriptor: int) -> ReadInto:
    # readv needs no file object, whose making costs as much as reading a small file.
    return lambda view: os.readv(descriptor, (view,))


def _ended(verdict: int, detail: int) -> Outcome:
    return verdict, detail, 0, 0, 0, 0
