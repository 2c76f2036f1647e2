"""The large buffers of one channel, in both directions; the same on both ends.

Each end writes segments and reads those of the other. What one end has to tell the other about them (which deliveries
are done with, which segments are closed) goes along with the next frame, as a *notice*.
"""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable

from allcores.engine.mappings import Mappings, hand_over
from allcores.engine.parcels import GIVEN, LENT, Parcel, copied
from allcores.engine.segments import Lease, Segments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["OutOfBand"]


class OutOfBand:
    """One end.

    One thread at a time may call `pack`, one at a time `open` and `take_notice`.

    Args:
        connection: for descriptors.
        segments: makes those that are written here.
        on_return: as for `Mappings`.
    """

    def __init__(
        self,
        connection: socket.socket,
        segments: Segments,
        on_return: Callable[[], object] = lambda: None,
    ) -> None:
        self._connection = connection
        self._segments = segments
        self._mappings = Mappings(connection, on_return)
        self._lent: dict[int, Lease] = {}
        self._known: set[int] = set()  # segments that the other end has mapped
        self._deliveries = 0
        #: whether the next notice is to ask the other end to close what it does not use
        self.trim = False

    def pack(self, parcel: Parcel, use: int = LENT) -> Any:
        """What stands for a parcel on the wire; its content is under way then.

        Args:
            parcel: what to send. Its own lease is used if it has one.
            use: what becomes of the segment, see `parcels`.

        Raises:
            ValueError: it is a shared object of a pool that has ended.
        """
        if not parcel.large:
            return b"".join(parcel.stream)
        lease = parcel.lease
        if lease is None:
            try:
                lease = self._segments.place(parcel.content)
            except OSError:  # no memory of this kind, no descriptors: the channel must do
                return b"".join(parcel.stream), [copied(buffer) for buffer in parcel.buffers]
            if use == LENT and self._segments.crowded:
                use = GIVEN
            if use != LENT:
                lease.spoil()  # it ends here, while the reader goes on reading
        segment = lease.segment
        if segment.fd < 0:
            raise ValueError("an object shared by a pool that has ended cannot be sent")
        try:
            if use != LENT or segment.id not in self._known:
                hand_over(self._connection, segment.fd, segment.id, segment.size, use)
        except OSError:
            copies: list[Any] = lease.read()
            return (copies.pop(0) if parcel.inside else b"".join(parcel.stream)), copies
        self._deliveries += 1
        if use == LENT:
            self._known.add(segment.id)
            self._lent[self._deliveries] = lease
        stream = None if parcel.inside else b"".join(parcel.stream)
        return stream, self._deliveries, segment.id, segment.size, lease.spans, use

    def open(self, wire: tuple[Any, ...]) -> Callable[[], Any]:
        """Take in what the other end has packed, see `Mappings.open`."""
        return self._mappings.open(wire)

    def notice(self) -> bytes:
        """What the other end should know by now; empty for nothing."""
        closed = self._known - self._segments.open
        if not (closed or self._mappings.anything_to_return or self.trim):
            return b""
        self._known -= closed
        trim, self.trim = self.trim, False
        return pickle.dumps((*self._mappings.take_returned(), sorted(closed), trim))

    def take_notice(self, body: bytes | memoryview) -> None:
        """Take in a notice of the other end."""
        returned, spoilt, closed, trim = pickle.loads(body)
        for delivery in spoilt:
            lease = self._lent.get(delivery)
            if lease is not None:
                lease.spoil()
        for delivery in (*returned, *spoilt):
            self._lent.pop(delivery, None)
        self._mappings.drop(closed)
        if trim:
            self._segments.trim()

    def close(self) -> None:
        """The other end is gone; what it was lent can be used again."""
        self._lent.clear()
        self._mappings.close()
        self._connection.close()
