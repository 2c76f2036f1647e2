"""Anonymous shared memory for large buffers: who reads it.

What stands in a segment is not copied again: the objects that are made of it are views of the segment. When the last
one is gone the writer is told, and may use the segment again.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
import weakref
from collections import deque
from collections.abc import Callable

from allcores.engine.fd_messages import receive_fds, send_fds
from allcores.engine.frames import NO_SIGNAL
from allcores.engine.mapped import mapped
from allcores.engine.parcels import PRIVATE
from allcores.engine.segments import read_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Mappings", "hand_over"]

#: What a descriptor comes with: number and size of its segment, how it is to be used.
_LABEL = struct.Struct("<QQQ")

#: How many segments may be mapped of those that never go back. The kernel bounds the mappings of a process
#: (vm.max_map_count, 65,530), and not only ours need some.
MAPPED = 8192

_all: weakref.WeakSet[Mappings] = weakref.WeakSet()


def hand_over(connection: socket.socket, fd: int, number: int, size: int, use: int) -> None:
    """Pass a segment's descriptor, without waiting.

    Raises:
        OSError: it does not go through now.
    """
    send_fds(connection, _LABEL.pack(number, size, use), [fd], socket.MSG_DONTWAIT | NO_SIGNAL)


class Mappings:
    """The segments of one writer, as the reader sees them.

    One thread at a time may call `load`. Objects made of segments may be collected in any.

    Args:
        connection: where descriptors come from.
        on_return: called when there is something for `take_returned`, from wherever garbage is collected.
    """

    def __init__(self, connection: socket.socket, on_return: Callable[[], object]) -> None:
        self._connection = connection
        self._on_return = on_return
        self._maps: dict[int, Any] = {}
        self._fresh: dict[int, Any] = {}  # private, or given for good
        self._views: dict[int, weakref.ref[Any]] = {}  # of each delivery that is in use
        self._returned: deque[int] = deque()
        self._spoilt: deque[int] = deque()
        self._inherited: set[int] = set()  # deliveries that a forked process may go on reading
        self._given = 0
        _all.add(self)

    def open(self, parcel: tuple[Any, ...]) -> Callable[[], Any]:
        """Take in a parcel, as it came on the wire.

        Returns:
            What unpickles it, once, and raises what that raises; to be dropped where it is not wanted.
        """
        if len(parcel) == 2:
            return lambda: pickle.loads(parcel[0], buffers=parcel[1])
        stream, delivery, number, _, spans, use = parcel
        try:
            whole = self._whole(delivery, number, use)
        except OSError as error:
            self._spoilt.append(delivery)
            return _raising(OSError(error.errno, f"a large buffer did not arrive: {error.strerror or error}"))
        held = [whole]

        def load() -> Any:
            view = memoryview(held.pop()).cast("B")
            buffers: list[memoryview] = []
            for offset, length, readonly in spans:
                part = view[offset : offset + length]
                buffers.append(part.toreadonly() if readonly else part)
            return pickle.loads(buffers.pop(0) if stream is None else stream, buffers=buffers)

        return load

    def _whole(self, delivery: int, number: int, use: int) -> Any:
        """The segment as an object with a buffer, whose end is the end of the delivery."""
        if use:
            self._receive(number, self._fresh)
            return self._fresh.pop(number)
        self._receive(number, self._maps)
        memory = self._maps[number]
        whole = type(memory).from_buffer(memory)

        def gone(_: object) -> None:
            self._views.pop(delivery, None)
            if delivery in self._inherited:
                self._inherited.discard(delivery)
                self._spoilt.append(delivery)
            else:
                self._returned.append(delivery)
            self._on_return()

        self._views[delivery] = weakref.ref(whole, gone)
        return whole

    def _receive(self, number: int, wanted: dict[int, Any]) -> None:
        """Take descriptors until that of a segment has come."""
        while number not in wanted:
            # A descriptor is sent before what refers to it, so there is nothing to wait for.
            label, fds, _ = receive_fds(self._connection, _LABEL.size, 1, socket.MSG_DONTWAIT)
            if not fds:
                raise OSError("no file descriptor was left for it" if label else "its sender is gone")
            other, size, use = _LABEL.unpack(label)
            try:
                if use:
                    self._fresh[other] = self._map_fresh(fds[0], size, use)
                else:
                    self._maps[other] = mapped(fds[0], size)
            finally:
                os.close(fds[0])

    def _map_fresh(self, fd: int, size: int, use: int) -> Any:
        if use == PRIVATE:
            return mapped(fd, size, private=True)
        if self._given < MAPPED:
            try:
                memory = mapped(fd, size)
            except OSError:
                pass
            else:
                self._given += 1
                weakref.finalize(memory, self._forget_given).atexit = False
                return memory
        copy = bytearray(size)
        read_all(fd, copy, 0)
        return copy

    def _forget_given(self) -> None:
        self._given -= 1

    def drop(self, numbers: list[int]) -> None:
        """The writer has closed these segments."""
        for number in numbers:
            self._maps.pop(number, None)

    def close(self) -> None:
        """The writer is gone; what is in use stays."""
        self._maps.clear()
        self._fresh.clear()

    @property
    def anything_to_return(self) -> bool:
        """Whether `take_returned` has something."""
        return bool(self._returned or self._spoilt)

    def take_returned(self) -> tuple[list[int], list[int]]:
        """Deliveries that are done with since this was last asked; and those among them not to be written again."""
        return _take_all(self._returned), _take_all(self._spoilt)

    def forked(self) -> None:
        """This process has been forked, and the child has what it has."""
        self._inherited.update(tuple(self._views))


def _raising(error: OSError) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


def _take_all(queue: deque[int]) -> list[int]:
    taken = []
    while queue:
        taken.append(queue.popleft())
    return taken


def _forked() -> None:
    for mappings in list(_all):
        mappings.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_forked)
