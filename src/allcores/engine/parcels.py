"""Pickles with large buffers: these travel beside the pickle, through shared memory (PEP 574).

A `Parcel` is what a pickle becomes that does not go whole through a channel: because it, or a buffer in it, is large,
or because it refers to something that must be kept alive until it is loaded. On the wire it is a tuple:

    (stream, delivery, segment, size, spans, use)

`stream` is the pickle, or None where that stands in the segment too, as its first span. A delivery is numbered, so
that the receiver can say that it is done with it. `use` is one of those below. Where there is no shared memory,
the tuple is ``(stream, buffers)``, with the buffers themselves.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pickle import PickleBuffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.engine.segments import Lease

__all__ = [
    "GIVEN",
    "LEAST",
    "LENT",
    "PRIVATE",
    "Parcel",
    "copied",
    "dump",
    "dump_raw",
    "is_raw",
    "same_content",
    "split",
]

#: Bytes from which on a buffer, or a pickle, travels in shared memory.
LEAST = 128 * 1024

#: Uses of a segment: it is written again once the receiver has said that the delivery is done with; or each receiver
#: has a private view of it (what it writes there, no one else sees); or it is the receiver's for good.
LENT, PRIVATE, GIVEN = 0, 1, 2

_RAW = (bytes, bytearray)

#: How much of a large pickle is its key. Arbitrary.
_KEY = 4096


class Parcel:
    """A pickle, and what goes with it.

    Attributes:
        stream: the pickle, in pieces that belong one behind the other.
        buffers: what it refers to, to be copied when it is sent; empty once `lease` has them.
        kept: what must live until it has been loaded.
        shared: what workers must be given first.
        lease: where stream (if large) and buffers stand.
        inside: whether the stream stands there too.
    """

    __slots__ = ("buffers", "inside", "kept", "key", "large", "lease", "shared", "size", "stream")

    def __init__(
        self, stream: list[bytes], buffers: Sequence[PickleBuffer], kept: list[Any], shared: Sequence[Any] = ()
    ) -> None:
        self.stream = stream
        self.buffers = list(buffers)
        self.kept = kept
        self.shared = shared
        self.lease: Lease | None = None
        length = sum(map(len, stream))
        self.inside = length >= LEAST
        #: whether there is anything for a segment
        self.large = self.inside or bool(self.buffers)
        #: tells it from most parcels with another pickle
        self.key = b"%d " % length + stream[0][:_KEY] if self.inside else b"".join(stream)
        #: bytes altogether
        self.size = length + sum(buffer.raw().nbytes for buffer in self.buffers)

    @property
    def content(self) -> list[Any]:
        """What belongs into a segment, in order."""
        return [self.stream, *self.buffers] if self.inside else self.buffers

    def settle(self, place: Callable[[list[Any]], Lease]) -> None:
        """Copy the content now, so that what becomes of the objects that it came from is of no importance.

        Args:
            place: copies it into a segment.
        """
        if not self.large:
            return
        try:
            self.lease = place(self.content)
        except OSError:  # no memory of that kind: then in any other
            self.freeze()
        else:
            self.buffers = []
            if self.inside:
                self.stream = []

    def freeze(self) -> None:
        """The same in memory of this process."""
        self.buffers = [PickleBuffer(copied(buffer)) for buffer in self.buffers]


def same_content(known: bytes | Parcel, new: bytes | Parcel) -> bool:
    """Whether a pickle of the same key is the same throughout.

    Args:
        known: what has been settled.
        new: what has not.
    """
    if isinstance(known, bytes) or isinstance(new, bytes):
        return known == new
    if not new.large:
        return not new.kept and known.stream == new.stream
    return not new.kept and known.lease is not None and known.lease.holds(new.content)


def copied(buffer: PickleBuffer) -> bytes | bytearray:
    """A copy of a buffer, as read-only as it is."""
    with buffer.raw() as view:
        return bytes(view) if view.readonly else bytearray(view)


def split(buffers: list[PickleBuffer]) -> Callable[[PickleBuffer], bool]:
    """A `buffer_callback` for pickling that collects large buffers, and leaves small ones in the stream."""

    def take(buffer: PickleBuffer) -> bool:
        with buffer.raw() as view:
            if view.nbytes < LEAST:
                return True
        buffers.append(buffer)
        return False

    return take


def dump(value: Any, buffers: list[PickleBuffer]) -> bytes:
    """Pickle with large buffers apart, by the standard pickler.

    Args:
        value: anything.
        buffers: takes the buffers.
    """
    return pickle.dumps(value, 5, buffer_callback=split(buffers))


def dump_raw(value: Any, buffers: list[PickleBuffer]) -> list[bytes]:
    """Likewise, with large bytes and the like left where they are: the pieces of the pickle refer to them."""
    pieces = _Pieces()
    pickle.Pickler(pieces, 5, buffer_callback=split(buffers)).dump(value)
    return pieces.list


def is_raw(values: Sequence[Any]) -> bool:
    """Whether `dump_raw` saves a copy of something large."""
    return any(type(value) in _RAW and len(value) >= LEAST for value in values)


class _Pieces:
    """A file for a pickler that keeps what is written as it comes."""

    def __init__(self) -> None:
        self.list: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.list.append(data)
        return len(data)
