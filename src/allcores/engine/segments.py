"""Anonymous shared memory for large buffers: who writes it.

A segment is a file without a name (memfd_create(2)) that lives as long as somebody has it open or mapped, so that
nothing is left of it after any death. It is handed over by descriptor, once; after that its number is enough.
Segments are used again, because memory that is touched for the first time costs about ten times the copy itself:
first filled by a system call (no page fault for each page), mapped when it is filled for the second time.
"""

from __future__ import annotations

import itertools
import mmap
import os
import threading
from collections import deque
from collections.abc import Sequence
from pickle import PickleBuffer

from allcores.engine.mapped import mapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Lease", "Segment", "Segments", "anonymous_file", "read_all"]

#: Buffers in a segment begin at multiples of this, as vector instructions like it.
ALIGNMENT = 64

#: How many bytes may be copied without a chance for other threads of the process.
_STRIDE = 4 << 20

#: How many are compared at a time; few enough to stay in a core's cache.
_COMPARED = 256 << 10

#: Bounds of what is kept for later use, in bytes and in segments. Arbitrary.
IDLE_BYTES = 1 << 30
IDLE_SEGMENTS = 16

#: How many segments may be out while their descriptors are kept here; those past it are given away for good.
LENT_SEGMENTS = 64

#: A segment is used for anything that fills at least this part of it.
_FIT = 2


def anonymous_file(size: int) -> int:
    """A descriptor of `size` bytes of memory that no path leads to.

    Raises:
        OSError: it cannot be had.
    """
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("allcores", os.MFD_CLOEXEC)
    else:  # a file without a name serves as well; untested on platforms that need it
        import tempfile

        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        os.ftruncate(fd, size)
    except BaseException:
        os.close(fd)
        raise
    return fd


class Segment:
    """A piece of shared memory, on the side that writes it.

    Args:
        number: tells it from others of the same maker.
        size: in bytes.

    Raises:
        OSError: there is no memory to be had, or no descriptor.
    """

    __slots__ = ("_memory", "_used", "fd", "id", "size")

    def __init__(self, number: int, size: int) -> None:
        self.id = number
        self.size = size
        self._used = False
        self._memory: memoryview | None = None
        self.fd = -1
        self.fd = anonymous_file(size)

    def write(self, parts: Sequence[tuple[int, memoryview]]) -> None:
        """Fill it.

        Args:
            parts: offsets, and bytes to be written there.

        Raises:
            OSError: there is no memory left.
        """
        if self._used and self._memory is None:
            self._memory = memoryview(mapped(self.fd, self.size)).cast("B")
        self._used = True
        for offset, data in parts:
            for begin in range(0, len(data), _STRIDE):
                piece = data[begin : begin + _STRIDE]
                if self._memory is not None:
                    self._memory[offset + begin : offset + begin + len(piece)] = piece
                else:
                    _write_all(self.fd, piece, offset + begin)

    def same(self, parts: Sequence[tuple[int, memoryview]]) -> bool:
        """Whether these bytes stand at these offsets already."""
        for offset, data in parts:
            for begin in range(0, len(data), _COMPARED):
                piece = bytes(data[begin : begin + _COMPARED])
                if os.pread(self.fd, len(piece), offset + begin) != piece:
                    return False
        return True

    def close(self) -> None:
        """Let go of it here; it lives on where it is mapped."""
        self._memory = None
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    __del__ = close


def _write_all(fd: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(fd, data, offset)
        data = data[written:]
        offset += written


def read_all(fd: int, target: bytearray, offset: int) -> None:
    """Fill `target` from a descriptor."""
    with memoryview(target) as view:
        done = 0
        while done < len(view):
            done += os.preadv(fd, [view[done:]], offset + done)


class Lease:
    """The use of a segment, for as long as this object lives.

    Attributes:
        segment: what is used.
        spans: offset, length and whether it is read-only, of each buffer in it.
        single: whether the segment is not to be used again.
    """

    __slots__ = ("_maker", "segment", "single", "spans")

    def __init__(self, segment: Segment, spans: list[tuple[int, int, bool]], maker: Segments) -> None:
        self.segment = segment
        self.spans = spans
        self.single = False
        self._maker = maker

    def spoil(self) -> None:
        """Never write the segment again: somebody may go on reading it."""
        self.single = True

    def holds(self, buffers: Sequence[Any]) -> bool:
        """Whether these buffers, given as to `Segments.place`, are what the segment was filled with."""
        spans, parts, _ = _layout(buffers)
        return spans == self.spans and self.segment.same(parts)

    def read(self) -> list[bytearray | bytes]:
        """Copies of the buffers."""
        copies: list[bytearray | bytes] = []
        for offset, length, readonly in self.spans:
            copy = bytearray(length)
            read_all(self.segment.fd, copy, offset)
            copies.append(bytes(copy) if readonly else copy)
        return copies

    def __del__(self) -> None:
        if self.single:
            self._maker.discard(self.segment)
        else:
            self._maker.recycle(self.segment)


class Segments:
    """Makes segments, and uses them again.

    Any thread may call any method, and the collection of garbage may call `recycle` and `discard` at any moment.

    Args:
        kept: whether segments are used again; otherwise each is closed with its lease.
    """

    def __init__(self, kept: bool = True) -> None:
        self._kept = kept
        self._lock = threading.RLock()  # a signal handler may come at any moment
        self._numbers = itertools.count(1)
        self._idle: list[Segment] = []
        self._returned: deque[Segment] = deque()  # idle as well, and not yet in the list
        self._lent: dict[int, Segment] = {}  # by number
        #: numbers of segments that may be used again
        self.open: set[int] = set()

    @property
    def lent(self) -> int:
        """How many bytes are under lease."""
        return sum(segment.size for segment in tuple(self._lent.values()))

    @property
    def crowded(self) -> bool:
        """Whether so many segments are under lease that the next ones had better be given away for good."""
        return len(self._lent) > LENT_SEGMENTS

    def place(self, buffers: Sequence[Any]) -> Lease:
        """Copy buffers into a segment.

        Args:
            buffers: objects with a contiguous buffer each, or lists of such, whose bytes are to stand one behind the
                other.

        Raises:
            OSError: there is no shared memory to be had.
        """
        spans, parts, size = _layout(buffers)
        with self._lock:
            segment = self._take(size)
        if segment is None:
            segment = Segment(next(self._numbers), -(-size // mmap.PAGESIZE) * mmap.PAGESIZE)
            self.open.add(segment.id)
        self._lent[segment.id] = segment
        try:
            segment.write(parts)
        except BaseException:
            self.discard(segment)
            raise
        return Lease(segment, spans, self)

    def _take(self, size: int) -> Segment | None:
        self._settle()
        fitting = [segment for segment in self._idle if size <= segment.size <= _FIT * size]
        if not fitting:
            return None
        segment = min(fitting, key=lambda each: each.size)
        try:
            self._idle.remove(segment)
        except ValueError:  # taken by a signal handler, just now
            return None
        return segment

    def recycle(self, segment: Segment) -> None:
        """A lease has ended."""
        if self._lent.pop(segment.id, None) is None:
            return  # it was discarded
        if self._kept:
            self._returned.append(segment)
        else:
            self._drop(segment)

    def discard(self, segment: Segment) -> None:
        """Close a segment that is under lease, as far as this process is concerned."""
        if self._lent.pop(segment.id, None) is not None:
            self._drop(segment)

    def _drop(self, segment: Segment) -> None:
        segment.close()
        self.open.discard(segment.id)

    def _settle(self) -> None:
        """Sort what has come back, and keep no more than there should be."""
        while self._returned:
            self._idle.append(self._returned.popleft())
        while len(self._idle) > 1 and (
            len(self._idle) > IDLE_SEGMENTS or sum(segment.size for segment in self._idle) > IDLE_BYTES
        ):
            self._drop(self._idle.pop(0))

    def trim(self) -> None:
        """Close all that nobody uses."""
        with self._lock:
            self._settle()
            while self._idle:
                self._drop(self._idle.pop())

    def close(self) -> None:
        """Close all segments, also those under lease: nobody is left to read them."""
        self._kept = False
        self.trim()
        for segment in tuple(self._lent.values()):
            self.discard(segment)


def _layout(buffers: Sequence[Any]) -> tuple[list[tuple[int, int, bool]], list[tuple[int, memoryview]], int]:
    """Where buffers are to stand in a segment: their spans, their parts, and the size of it all."""
    spans: list[tuple[int, int, bool]] = []
    parts: list[tuple[int, memoryview]] = []
    end = 0
    for buffer in buffers:
        start = end = -(-end // ALIGNMENT) * ALIGNMENT
        readonly = True
        for piece in buffer if type(buffer) is list else (buffer,):
            view = piece.raw() if type(piece) is PickleBuffer else memoryview(piece).cast("B")
            readonly = view.readonly
            parts.append((end, view))
            end += len(view)
        spans.append((start, end - start, readonly))
    return spans, parts, end
