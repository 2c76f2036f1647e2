"""How batches become frames for one worker."""

from __future__ import annotations

import pickle
import socket
import threading
from collections import deque
from collections.abc import Callable

from allcores.engine import batching
from allcores.engine import channel as ch
from allcores.engine.batch import Batch, CallsBatch, ItemsBatch
from allcores.engine.calls import Frozen
from allcores.engine.codec import Codec, raising
from allcores.engine.frames import frame
from allcores.engine.parcels import LENT, PRIVATE, Parcel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.engine.functions import Function
    from allcores.engine.out_of_band import OutOfBand
    from allcores.engine.policy import Policy
    from allcores.engine.segments import Segments
    from allcores.engine.shared import Shared
    from allcores.engine.worker import Setup

__all__ = ["Encoder", "Hooks"]

#: What a worker must be given before its tasks: number and pickle.
_New = list[tuple[int, "Any"]]

#: Pickles of a worker's initializer and finalizer.
Hooks = tuple["bytes | Parcel | None", "bytes | Parcel | None"]


class Encoder:
    """Knows what a worker knows: functions, shared objects, segments.

    One thread at a time may call `encode`.

    Args:
        codec: pickles.
        side: for descriptors of large buffers.
        segments: makes the shared memory for them; called when there is some.
        on_use: called when large buffers have been sent, or are not used any more.
    """

    __slots__ = (
        "_ahead",
        "_apart",
        "_codec",
        "_forgotten",
        "_known",
        "_making",
        "_on_use",
        "_segments",
        "_side",
        "beside",
    )

    def __init__(
        self, codec: Codec, side: socket.socket, segments: Callable[[], Segments], on_use: Callable[[], object]
    ) -> None:
        self._codec = codec
        self._side = side
        self._segments = segments
        self._on_use = on_use
        self._apart: OutOfBand | None = None
        self._making = threading.Lock()
        self._known: set[int] = set()
        self._forgotten: deque[int] = deque()
        self._ahead = b""  # frames that belong before the next one
        #: bytes that have gone beside the frames since this was last set to 0
        self.beside = 0

    @property
    def apart(self) -> OutOfBand:
        """The large buffers of the channel."""
        if self._apart is None:
            from allcores.engine.out_of_band import OutOfBand

            with self._making:  # the first may be sent and received at the same time
                if self._apart is None:
                    self._apart = OutOfBand(self._side, self._segments(), on_return=self._on_use)
        return self._apart

    def forget(self, number: int) -> None:
        """A function or shared object will not be used for long."""
        if number in self._known:
            self._forgotten.append(number)

    def setup(self, setup: Setup, hooks: Hooks) -> bytes:
        """The first frame."""
        new: _New = []
        wires = [self._wire(hook, new, PRIVATE) if hook is not None else None for hook in hooks]
        return frame(ch.SETUP, body=pickle.dumps((setup, new, *wires), 5))

    def encode(self, batch: Batch) -> bytes:
        """The frame for a batch, with what the worker must be told before."""
        if self._forgotten or self._apart is not None:
            self._ahead += self.forgets() + self.notice()
        new: _New = []
        try:
            data = self._encode(batch, new)
        except BaseException:
            self._known.difference_update(number for number, _ in new)  # they do not get there
            raise
        if self._ahead:
            data = self._ahead + data
            self._ahead = b""
        return data

    def forgets(self) -> bytes:
        """A frame about what will not be used again, if there is something. For who may `encode`."""
        forgotten = []
        while self._forgotten:
            number = self._forgotten.popleft()
            self._known.discard(number)
            forgotten.append(number)
        return frame(ch.FORGET, body=pickle.dumps(forgotten)) if forgotten else b""

    def notice(self, trim: bool = False) -> bytes:
        """A frame about large buffers, if there is something to say. Any thread may call this.

        Args:
            trim: whether the worker should let go of shared memory that it has no use for.
        """
        if self._apart is None:
            return b""
        self._apart.trim |= trim
        body = self._apart.notice()
        return frame(ch.NOTICE, body=body) if body else b""

    def _encode(self, batch: Batch, new: _New) -> bytes:
        flags = ch.TIMED if batch.timeout is not None else 0
        if batch.half:
            flags |= ch.SECOND_HALF
        ids: int | list[int]
        items: Any
        if isinstance(batch, CallsBatch):
            calls = batch.calls
            function = batch.function
            if function is not None and len(calls) == 1 and function.id in self._known:
                payload = calls[0].payload
                if type(payload) is not Parcel:
                    batch.half = -1
                    return frame(ch.CALL, batch.first, function.id, flags, _pickled(payload))
            mode = ch.MODE_CALLS
            items = [call.payload for call in calls]
            if function is not None:
                ids = function.id
                self._introduce(function, new)
            else:
                ids = [call.function.id for call in calls]
                for call in calls:
                    self._introduce(call.function, new)
            if function is not None and all(type(item) is tuple for item in items):
                mode = ch.MODE_PLAIN
                weight = 0
            else:
                weight = sum(map(_weight, items))
                items = [self._payload(call.payload, call.policy, new) for call in calls]
        else:
            assert isinstance(batch, ItemsBatch)
            self._introduce(batch.call.function, new)
            mode, items, weight = self._encode_items(batch, new)
            ids = batch.call.function.id
        body = pickle.dumps((new, mode, ids, items), 5)
        batching.weigh(batch.function, batch.count, weight or len(body))
        return frame(ch.BATCH, batch.first, batch.count, flags, body)

    def _introduce(self, function: Function | Shared, new: _New) -> None:
        if function.id not in self._known:
            wire = self._wire(function.blob, new, PRIVATE)  # what it refers to comes before it
            self._known.add(function.id)
            new.append((function.id, wire))

    def _payload(self, payload: Any, policy: Policy, new: _New) -> Any:
        """What stands in a frame for arguments that were pickled ahead."""
        if type(payload) is not Parcel:
            return _pickled(payload)
        use = LENT
        if policy.retry is not None and payload.lease is not None:
            use = PRIVATE  # the next attempt must find what this one found
            payload.lease.single = True
        return self._wire(payload, new, use)

    def _wire(self, blob: bytes | Parcel, new: _New, use: int) -> Any:
        """What stands for a pickle in a frame."""
        if type(blob) is not Parcel:
            return blob
        for shared in blob.shared:
            self._introduce(shared, new)
        if blob.large:
            self.beside += blob.size
            self._on_use()
        return self.apart.pack(blob, use)

    def _wire_or_none(self, packed: bytes | Parcel | None, new: _New) -> Any:
        """What stands for the items of a batch; None where they must go singly."""
        try:
            return self._wire(packed, new, LENT) if packed is not None else None
        except Exception:  # one refers to what cannot be sent
            return None

    def _wire_alone(self, payload: Any, policy: Policy, new: _New) -> Any:
        """What stands for one item; one that cannot be sent raises the reason in its place."""
        try:
            return self._payload(payload, policy, new)
        except Exception as error:
            return raising(error)

    def _encode_items(self, batch: ItemsBatch, new: _New) -> tuple[int, Any, int]:
        call = batch.call
        if not call.singly and not (call.frozen and any(type(item) is Frozen for item in batch.items)):
            packed = self._codec.items(batch.items)
            wire = self._wire_or_none(packed, new)
            if wire is not None:
                batch.parcel = packed
                mode = ch.MODE_STAR if call.star else ch.MODE_EACH
                return mode, wire, _weight(packed)
        batch.parcel = singly = self._codec.items_singly(batch.items, call.star)
        wires = [self._wire_alone(payload, call.policy, new) for payload in singly]
        return ch.MODE_CALLS, wires, sum(map(_weight, singly))

    def close(self) -> None:
        """The worker is gone."""
        if self._apart is not None:
            self._apart.close()
        self._side.close()


def _pickled(payload: Any) -> bytes:
    """The pickle of arguments, made ahead unless they are plain."""
    if type(payload) is tuple:
        return pickle.dumps((payload, {}), 5)
    return payload or b""  # none is left of a call that was given up meanwhile


def _weight(payload: Any) -> int:
    """How many bytes a payload takes on its way."""
    if type(payload) is Parcel:
        return payload.size
    return len(payload) if payload is not None else 0
