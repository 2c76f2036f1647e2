"""The lane that is the calling thread: tasks run where they are submitted, one after the other, to be debugged."""

from __future__ import annotations

from allcores.engine.batch import Batch
from allcores.engine.lane import Death
from allcores.engine.outcome import Failure
from allcores.engine.scheduler import Scheduler
from allcores.lanes.local import LocalLane, LocalLanes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SerialLanes"]


class SerialLanes(LocalLanes):
    """Makes a lane for the calling thread, and one more for each task that calls its own pool."""

    concurrent = False

    def make(self, scheduler: Scheduler, number: int) -> SerialLane:
        return SerialLane(scheduler, number, self)


class SerialLane(LocalLane):
    """Runs a batch when it is sent. Limits in time have no force here: who would enforce them runs the task."""

    __slots__ = ()

    def start(self) -> None:
        self.set_up()

    def send(self, batch: Batch) -> None:
        self.run(batch)

    def _run_task(self, batch: Batch, position: int) -> Any:
        outcome = super()._run_task(batch, position)
        if type(outcome) is Failure and isinstance(outcome.error, KeyboardInterrupt):
            # Ctrl-C is meant for the caller, who is this very thread: give the rest of the call up.
            for call, _ in batch.calls_from(position, position + 1):
                call.cancelled = True
        return outcome

    def stop(self) -> None:
        self.wind_up()

    def kill(self, grace: float = 0.0) -> None:
        self.scheduler.later(lambda: self.scheduler.lane_ended(self, Death(True)))
