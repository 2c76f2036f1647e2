"""The round that a pool walks while work is under way, so that nothing is held hostage.

Batches are sized by what tasks have cost so far, and now and then one costs far more. Then those that finished
before it must not wait for it with their results, nor those behind it with their turn. A round looks at lanes that
have had their batch for long: it collects what is finished, and where another lane is idle takes back what has not
begun. The same round enforces limits in time. While nothing is under way there are no rounds.
"""

from __future__ import annotations

import time

from allcores.engine.interventions import GRACE
from allcores.engine.lane import Lane, LaneState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from allcores.engine.batch import Batch
    from allcores.engine.reactor import Timer
    from allcores.engine.scheduler import Scheduler

__all__ = ["Patrol"]

#: Seconds between rounds: at first, and at most. A round costs some microseconds.
SHORTEST = 0.005
LONGEST = 0.1

#: A lane is looked at when it has had its batch for this long, in seconds: twice what a batch should last.
LONG = 0.005

#: Seconds between two looks at the memory of a lane that is at work. Arbitrary: a look costs some 50 µs.
WEIGHING = 0.05


class Patrol:
    """Walks rounds in the reactor's thread."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._timer: Timer | None = None
        self._pause = SHORTEST

    def watch(self, timeout: float | None = None) -> None:
        """Something is under way that has to be looked at. Called with the scheduler's lock.

        Args:
            timeout: seconds after which at the latest; None for the usual pause.
        """
        when = time.monotonic() + (self._pause if timeout is None else timeout)
        if self._timer is not None:
            if self._timer.when <= when:
                return
            self._timer.cancel()
        self._timer = self._scheduler.reactor.call_at(when, self._round)

    def share_out(self) -> None:
        """A lane is idle and nothing waits: take back what long batches hold up."""
        now = time.monotonic()
        for lane, batch in self._scheduler.busy_lanes():
            if now - batch.sent > LONG and self._holds_up(lane, batch):
                self._scheduler.interventions.take_back(lane)

    def _round(self) -> None:
        try:
            self._look_around()
        except BaseException:
            with self._scheduler.lock:
                self._timer = None  # a round that failed must not be the last
                self.watch()
            raise

    def _look_around(self) -> None:
        scheduler = self._scheduler
        now = time.monotonic()
        moved = False
        nearest: float | None = None
        for lane, batch in scheduler.busy_lanes():
            if batch.timeout is not None:
                due = self._deadline(lane, batch.timeout, now)
                nearest = due if nearest is None else min(nearest, due)
            if scheduler.memory_limit is not None:
                size = lane.memory()
                if size > scheduler.memory_limit:
                    scheduler.interventions.overweight(lane, size)
                due = now + WEIGHING
                nearest = due if nearest is None else min(nearest, due)
            if (batch.count > 1 or len(lane.batches) > 1) and now - batch.sent > LONG:
                before = batch.settled
                lane.collect()
                moved |= batch.settled != before
        if scheduler.hungry:
            self.share_out()
        busy = scheduler.busy_lanes()
        held = any(self._holds_up(lane, batch) for lane, batch in busy)
        self._pause = SHORTEST if moved or not held else min(self._pause * 1.5, LONGEST)
        with scheduler.lock:
            self._timer = None
            if not any(self._worth_a_look(lane, batch) for lane, batch in busy):
                return
            when = now + self._pause if held or nearest is None else nearest
            if nearest is not None:
                when = min(when, nearest)
            self._timer = scheduler.reactor.call_at(max(when, now + 0.001), self._round)

    def _deadline(self, lane: Lane, timeout: float, now: float) -> float:
        """When to look again whether the lane's task is past its limit, which is seen to here."""
        since = lane.running_since()
        if since is None:
            return now + timeout
        if now < since + timeout:
            return since + timeout
        self._scheduler.interventions.overdue(lane, timeout, since)
        return now + GRACE

    def _worth_a_look(self, lane: Lane, batch: Batch) -> bool:
        return (
            batch.timeout is not None
            or batch.count > 1
            or len(lane.batches) > 1
            or self._scheduler.memory_limit is not None
        )

    @staticmethod
    def _holds_up(lane: Lane, batch: Batch) -> bool:
        """Whether a lane has tasks that have not begun."""
        if lane.state is not LaneState.OPEN or lane.withdrawing:
            return False
        return len(lane.batches) > 1 or batch.withdrawn - max(batch.settled, lane.begun(batch)) > 0
