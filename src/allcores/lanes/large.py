"""The shared memory that a pool uses for large buffers."""

from __future__ import annotations

import time

from allcores.engine.parcels import Parcel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.engine.scheduler import Scheduler
    from allcores.engine.segments import Segments

__all__ = ["LargeBuffers"]

#: Large arguments are copied when their task is submitted, up to so many bytes in tasks that are not done. Past that
#: they are copied when the task is sent to a worker, so that a flood of tasks does not fill the memory. Arbitrary.
AHEAD = 1 << 30

#: Seconds without use after which shared memory is given back. Arbitrary.
UNUSED = 5.0


class LargeBuffers:
    """Makes segments for a pool, and sees to it that unused ones do not stay."""

    def __init__(self) -> None:
        self._segments: Segments | None = None
        self._lasting: Segments | None = None
        self._scheduler: Scheduler | None = None
        self._used = False
        self._tending = False
        self._waiting: dict[int, int] = {}  # sizes of arguments that have been copied, by who holds them

    def open(self, scheduler: Scheduler) -> None:
        """The pool begins to work."""
        self._scheduler = scheduler

    def segments(self) -> Segments:
        """What makes segments that are used again."""
        if self._segments is None:
            from allcores.engine.segments import Segments

            self._segments = Segments()
        self.used()
        return self._segments

    def take_in(self, parcel: Parcel, *, always: bool = False) -> Parcel:
        """Copy the content of a call's arguments.

        Args:
            parcel: the arguments.
            always: also if much waits already.
        """
        if parcel.large:
            waiting = sum(tuple(self._waiting.values()))
            if always or not waiting or waiting + parcel.size <= AHEAD:
                segments = self.segments()
                if segments.crowded:  # each costs a descriptor
                    parcel.freeze()
                else:
                    parcel.settle(segments.place)
                parcel.kept.append(_Waiting(self._waiting, parcel.size))
        return parcel

    def keep(self, blob: Any) -> Any:
        """Copy the content of what stays in workers, functions and shared objects, into a segment of its own."""
        if type(blob) is Parcel:
            if self._lasting is None:
                from allcores.engine.segments import Segments

                self._lasting = Segments(kept=False)
            blob.settle(self._lasting.place)
        return blob

    def used(self) -> None:
        """Something has been sent, received or let go of. From wherever garbage is collected."""
        self._used = True
        if not self._tending and self._scheduler is not None:
            self._tending = True
            self._scheduler.reactor.call_soon(self._tend_later)

    def _tend_later(self) -> None:
        assert self._scheduler is not None
        self._used = False
        self._scheduler.reactor.call_at(time.monotonic() + UNUSED, self._tend)

    def _tend(self) -> None:
        """Tell workers what they have not been told; with nothing used meanwhile, give memory back on both sides."""
        assert self._scheduler is not None
        unused = not self._used
        if unused:
            if not self._scheduler.busy:
                self._scheduler.repertoire.forget_large()
            if self._segments is not None:
                self._segments.trim()
        for lane in self._scheduler.lanes_now():
            self._scheduler.attend(lane, unused)
        if unused:
            self._tending = False
        else:
            self._tend_later()

    def close(self) -> None:
        """No worker is left."""
        for segments in (self._segments, self._lasting):
            if segments is not None:
                segments.close()


class _Waiting:
    """Counts arguments that have been copied, for as long as they are there."""

    def __init__(self, waiting: dict[int, int], size: int) -> None:
        self._waiting = waiting
        waiting[id(self)] = size

    def __del__(self) -> None:
        self._waiting.pop(id(self), None)
