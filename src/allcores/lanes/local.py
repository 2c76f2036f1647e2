"""Lanes within this process: what threads and the calling thread have in common."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from allcores.engine.batch import Batch, CallsBatch, ItemsBatch
from allcores.engine.lane import Death, Hook, Lane, Lanes, LaneState
from allcores.engine.outcome import Failure
from allcores.engine.scheduler import Scheduler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["LocalLane", "LocalLanes"]


class LocalLanes(Lanes):
    """Nothing is pickled: functions and arguments are passed as they are."""

    concurrent = True

    def __init__(self, initializer: Hook | None, finalizer: Hook | None) -> None:
        self.initializer = initializer
        self.finalizer = finalizer

    def open(self, scheduler: Scheduler) -> None:
        pass

    def pickle(self, target: Callable[..., Any]) -> tuple[bytes, bool]:
        if not callable(target):
            raise TypeError(f"{target!r} is not callable")
        return b"%d" % id(target), False

    def pack(self, args: tuple[Any, ...], kwds: dict[str, Any]) -> Any:
        return args, kwds

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass


class LocalLane(Lane):
    """Runs tasks with the objects themselves.

    `_claiming` makes beginning a task and taking it back exclude each other.
    """

    __slots__ = ("_begun", "_claiming", "_lanes", "_since")

    def __init__(self, scheduler: Scheduler, number: int, lanes: LocalLanes) -> None:
        super().__init__(scheduler, number)
        self._lanes = lanes
        self._claiming = threading.Lock()
        self._begun = 0
        self._since: float | None = None

    def set_up(self) -> bool:
        """Run the initializer, and tell the scheduler how that went."""
        if self._lanes.initializer is not None:
            function, arguments = self._lanes.initializer
            try:
                function(*arguments)
            except BaseException as error:
                self.scheduler.lane_ended(self, Death(False, setup=Failure(error)))
                return False
        self.scheduler.lane_ready(self)
        return True

    def wind_up(self) -> None:
        """Run the finalizer, and tell the scheduler that the lane has ended."""
        if self._lanes.finalizer is not None:
            function, arguments = self._lanes.finalizer
            try:
                function(*arguments)
            except Exception:
                import sys

                sys.excepthook(*sys.exc_info())
        self.scheduler.lane_ended(self, Death(True))

    def run(self, batch: Batch) -> None:
        """Run a batch's tasks one after the other."""
        began = time.monotonic_ns()
        for position in range(batch.count):
            with self._claiming:
                if position >= batch.withdrawn or self._is_given_up():
                    break
                if any(call.cancelled for call, _ in batch.calls_from(position, position + 1)):
                    break
                self._begun = position + 1
                self._since = time.monotonic()
            outcome = self._run_task(batch, position)
            self._since = None
            if self._is_given_up():
                return  # given up meanwhile: the outcome comes too late
            self.scheduler.settlement.settle(batch, [outcome], type(outcome) is Failure)
        self._begun = 0
        if batch.doomed is None:  # a lane that is being ended gets no more work
            self.scheduler.batch_over(self, batch, time.monotonic_ns() - began)

    def _is_given_up(self) -> bool:
        return self.state is LaneState.ENDED

    def _run_task(self, batch: Batch, position: int) -> Any:
        try:
            if isinstance(batch, CallsBatch):
                call = batch.calls[position]
                args, kwds = call.payload
                return call.function.target(*args, **kwds)
            assert isinstance(batch, ItemsBatch)
            item = batch.items[position]
            target = batch.call.function.target
            return target(*item) if batch.call.star else target(item)
        except BaseException as error:
            return Failure(error)

    def begun(self, batch: Batch) -> int:
        return self._begun if self.batches and self.batches[0] is batch else 0

    def withdraw(self) -> None:
        with self._claiming:
            for batch in self.batches:
                batch.withdrawn = min(batch.withdrawn, max(self.begun(batch), batch.settled))

    def running_since(self) -> float | None:
        return self._since
