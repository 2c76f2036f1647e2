"""Stepping in: taking tasks back that have not begun, ending those that must end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from allcores.engine.backlog import cancelled_error
from allcores.engine.batch import Batch
from allcores.engine.calls import Call
from allcores.engine.lane import Lane, LaneState
from allcores.errors import MemoryLimitExceeded, TaskTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from allcores.engine.scheduler import Scheduler

__all__ = ["Interventions"]

#: Seconds between SIGTERM and SIGKILL for the worker of a task past its limit.
GRACE = 0.5


class Interventions:
    """What patrol and callers may do to tasks under way.

    Any thread may call its methods, without the scheduler's lock.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def take_back(self, lane: Lane) -> None:
        """Take from a lane what it has not begun, for others to run."""
        with self._scheduler.lock:
            given_up = self._withdraw(lane)
        self._scheduler.settlement.complete(given_up)
        self._scheduler.dispatch()

    def overdue(self, lane: Lane, timeout: float, since: float) -> None:
        """End a lane whose task has run longer than it may."""
        self._end_task(lane, since, lambda task: _timeout_error(task, timeout), GRACE)

    def overweight(self, lane: Lane, size: int) -> None:
        """End a lane that occupies more memory than it may."""
        limit = self._scheduler.memory_limit
        assert limit is not None

        def error(task: str) -> BaseException:
            return MemoryLimitExceeded(
                f"the worker (pid {lane.pid}) that ran {task} was ended: it and what it started occupied "
                f"{size:,} bytes, and memory_limit is {limit:,}",
                pid=lane.pid,
                exitcode=-9,
                task=task,
                peak_memory=size,
            )

        self._end_task(lane, None, error, 0.0)

    def cancel(self, call: Call) -> bool:
        """Give up a call: what waits is dropped, what runs is stopped.

        Returns:
            False when it was done already.
        """
        if self._scheduler.interrupted:
            self._scheduler.reactor.call_soon(partial(self.cancel, call))
            return not call.done
        error = cancelled_error()
        doomed: list[Lane] = []
        with self._scheduler.lock:
            if call.done or call.cancelled:
                return not call.done
            call.cancelled = True
            given_up: list[Call] = []
            if self._scheduler.backlog.remove(call) and call.fail_rest(error):
                given_up.append(call)
            given_up += self._scheduler.settlement.abort(error, call)
            for lane in self._scheduler.crew.active:
                if any(owner is call for batch in lane.batches for owner in batch.owners()):
                    given_up += self._withdraw(lane)
                    running = self._running(lane)
                    if running is None or lane.killed_for is not None:
                        continue
                    batch, position = running
                    if batch.calls_from(position, position + 1)[0][0] is call:
                        lane.killed_for = error
                        batch.doomed = position
                        doomed.append(lane)
        self._scheduler.settlement.complete(given_up)
        for lane in doomed:
            lane.kill()
        self._scheduler.dispatch()
        return True

    def _end_task(self, lane: Lane, since: float | None, error: Callable[[str], BaseException], grace: float) -> None:
        with self._scheduler.lock:
            if not lane.batches or lane.killed_for is not None:
                return
            # Nothing may begin any more, or the lane could be on to a task that has done no wrong when it ends.
            given_up = self._withdraw(lane)
            running = self._running(lane)
            guilty = running is not None and (since is None or lane.running_since() == since)
            if guilty and running is not None:
                batch, position = running
                batch.doomed = position
        self._scheduler.settlement.complete(given_up)
        if guilty:
            lane.killed_for = error(batch.describe(position))
            lane.kill(grace)
        self._scheduler.dispatch()

    def _withdraw(self, lane: Lane) -> list[Call]:
        """Let a lane begin no further task until it has reported; returns calls given up meanwhile."""
        given_up: list[Call] = []
        if lane.state is not LaneState.OPEN or lane.withdrawing or not lane.batches:
            return given_up
        lane.withdrawing = True
        self._scheduler.crew.note_full(lane)
        before = [batch.withdrawn for batch in lane.batches]
        lane.withdraw()
        for batch, stop in reversed(list(zip(lane.batches, before, strict=True))):
            given_up += self._scheduler.give_back(batch, batch.withdrawn, stop)
        return given_up

    @staticmethod
    def _running(lane: Lane) -> tuple[Batch, int] | None:
        """The task that a lane runs: its batch, and its position there. Called with the lock."""
        for batch in reversed(lane.batches):
            begun = lane.begun(batch)
            if begun:
                return None if lane.finished(batch) or begun <= batch.settled else (batch, begun - 1)
        return None


def _timeout_error(task: str, timeout: float) -> TaskTimeout:
    """The error of a task past its limit."""
    return TaskTimeout(f"{task} ran longer than its timeout of {timeout:g} s", task=task, timeout=timeout)
