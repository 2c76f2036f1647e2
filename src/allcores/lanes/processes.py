"""Lanes that are local processes: the default."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from allcores.cpu import cpu_count
from allcores.engine.calls import Frozen
from allcores.engine.citizenship import Reporting
from allcores.engine.codec import Codec, is_plain
from allcores.engine.lane import Hook, Lanes
from allcores.engine.parcels import Parcel
from allcores.engine.scheduler import Scheduler
from allcores.engine.shared import Shared
from allcores.engine.worker import Setup
from allcores.lanes.large import LargeBuffers
from allcores.lanes.process_lane import ProcessLane
from allcores.lanes.start.starter import Starter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


__all__ = ["ProcessLanes"]


class ProcessLanes(Lanes):
    """Makes process lanes.

    Args:
        starter: how processes are started.
        name: workers are called ``name-1``, ``name-2``, …
        initializer: function and arguments to be called in each worker first, or None.
        finalizer: likewise, last.

    Raises:
        Exception: the initializer or its arguments cannot be pickled.
    """

    concurrent = True

    def __init__(self, starter: Starter, name: str, initializer: Hook | None, finalizer: Hook | None) -> None:
        self.starter = starter
        self.codec = Codec(starter.shares_main)
        self.large = LargeBuffers()
        self._name = name
        self._threads = 0
        self._initializer: bytes | Parcel | None = None
        self._finalizer: bytes | Parcel | None = None
        if starter.shares_main:  # inherited, like everything else: nothing need be picklable
            starter.hooks = (initializer, finalizer)
        else:
            self._initializer = self._pickle_hook(initializer)
            self._finalizer = self._pickle_hook(finalizer)

    def _pickle_hook(self, hook: Hook | None) -> bytes | Parcel | None:
        return self.large.keep(self.codec.value(hook)) if hook is not None else None

    def open(self, scheduler: Scheduler) -> None:
        self._threads = max(1, cpu_count() // scheduler.size)
        self.large.open(scheduler)
        self.starter.open(scheduler.reactor, self._threads)

    def make(self, scheduler: Scheduler, number: int) -> ProcessLane:
        from multiprocessing import process

        setup = Setup(
            name=f"{self._name}-{number}",
            authkey=bytes(process.current_process().authkey),
            reporting=Reporting.here(),
            threads=self._threads,
        )
        return ProcessLane(
            scheduler,
            number,
            starter=self.starter,
            codec=self.codec,
            large=self.large,
            setup=setup,
            hooks=(self._initializer, self._finalizer),
        )

    def pickle(self, target: Callable[..., Any]) -> tuple[bytes | Parcel, bool]:
        return self.codec.function(target)

    def keep(self, blob: Any) -> Any:
        return self.large.keep(blob)

    def pack(self, args: tuple[Any, ...], kwds: dict[str, Any]) -> bytes | Parcel | tuple[Any, ...]:
        if not kwds and is_plain(args):
            return args  # nobody can change them, so they are pickled with their batch
        payload = self.codec.call(args, kwds)
        return self.large.take_in(payload) if isinstance(payload, Parcel) else payload

    def freeze(self, item: Any) -> Any:
        if is_plain(item if type(item) is tuple else (item,)):
            return item
        try:
            payload = self.codec.call((item,), {})
            return Frozen(item, self.large.take_in(payload, always=True) if isinstance(payload, Parcel) else payload)
        except Exception:
            return item  # the same comes out when its task is sent, and is the task's error then

    def share(self, value: Any, on_end: Callable[[int], object]) -> Shared:
        handle = Shared(value, self.large.keep(self.codec.value(value)))

        def end() -> None:
            on_end(handle_id)
            self.large.used()

        handle_id = handle.id
        weakref.finalize(handle, end).atexit = False
        return handle

    def close(self) -> None:
        self.large.close()
        self.starter.close()

    def abandon(self) -> None:
        self.large.close()
        self.starter.abandon()
