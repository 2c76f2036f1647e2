"""Lanes that are threads: for tasks that wait rather than compute, and for interpreters without a global lock.

A thread cannot be ended from outside. Where a process would be killed (a timeout, a cancelled task, `terminate`) the
thread is left to itself: its outcome is ignored, and another one takes its place.
"""

from __future__ import annotations

import queue
import threading

from allcores.engine.batch import Batch
from allcores.engine.lane import Death, Hook
from allcores.engine.scheduler import Scheduler
from allcores.lanes.local import LocalLane, LocalLanes

__all__ = ["ThreadLanes"]


class ThreadLanes(LocalLanes):
    """Makes threads called ``name-1``, ``name-2``, …"""

    def __init__(self, name: str, initializer: Hook | None, finalizer: Hook | None) -> None:
        super().__init__(initializer, finalizer)
        self.name = name

    def make(self, scheduler: Scheduler, number: int) -> ThreadLane:
        return ThreadLane(scheduler, number, self)


class ThreadLane(LocalLane):
    """A thread that takes batches from a queue."""

    __slots__ = ("_name", "_queue")

    def __init__(self, scheduler: Scheduler, number: int, lanes: ThreadLanes) -> None:
        super().__init__(scheduler, number, lanes)
        self._name = f"{lanes.name}-{number}"
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()

    def start(self) -> None:
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        if not self.set_up():
            return
        while (batch := self._queue.get()) is not None:
            self.run(batch)
            del batch  # or its items would be kept until the next one comes
        self.wind_up()

    def send(self, batch: Batch) -> None:
        self._queue.put(batch)

    def stop(self) -> None:
        self._queue.put(None)

    def kill(self, grace: float = 0.0) -> None:
        self._queue.put(None)
        self.scheduler.reactor.call_soon(lambda: self.scheduler.lane_ended(self, Death(True)))
