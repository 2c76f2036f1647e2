"""The scheduler: what runs next, where, in how large a batch.

It knows calls and lanes, not what is behind either. Its lock guards all of its state and that of calls and lanes;
it is held for moments only: pickling, sending and callbacks happen without it. Any thread may submit, and hands
its own task to an idle lane itself; outcomes come in whichever thread reads the lane, which is the reactor's but
for `run_now`.
"""

from __future__ import annotations

import enum
import os
import threading
import time
from collections import deque
from collections.abc import Callable

from allcores.engine import batching
from allcores.engine.backlog import Backlog, cancelled_error
from allcores.engine.batch import Batch, CallsBatch
from allcores.engine.calls import BulkCall, Call, SingleCall, StreamCall
from allcores.engine.crew import Crew
from allcores.engine.interventions import Interventions
from allcores.engine.lane import Death, Lane, Lanes, LaneState
from allcores.engine.ledger import Ledger
from allcores.engine.outcome import Failure
from allcores.engine.patrol import Patrol
from allcores.engine.reactor import Reactor
from allcores.engine.repertoire import Repertoire
from allcores.engine.settlement import Settlement
from allcores.engine.supervisor import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.watch.stats import Entry

__all__ = ["PoolState", "Scheduler"]


class PoolState(enum.Enum):
    """What a pool may still be asked."""

    OPEN = "takes calls"
    CLOSED = "finishes what it has, takes no more"
    ENDED = "has nothing left to do; its lanes are ending or gone"


_OPEN = PoolState.OPEN


class Scheduler:
    """Runs calls on lanes.

    Args:
        lanes: makes the lanes.
        size: how many lanes there may be.
        name: for threads and messages.
        tasks_per_lane: after how many tasks a lane is replaced; None for never.
        memory_limit: bytes that a lane and what it starts may occupy; None for any number.
    """

    def __init__(
        self,
        lanes: Lanes,
        size: int,
        name: str,
        tasks_per_lane: int | None = None,
        memory_limit: int | None = None,
    ) -> None:
        self.lanes = lanes
        self.size = size
        self.name = name
        self.pid = os.getpid()
        self.state = PoolState.OPEN
        self.broken: BaseException | None = None
        # Reentrant: a signal handler may use the pool while the main thread is in it.
        self.lock: Any = threading.RLock()
        self.reactor = Reactor(f"{name}-reactor")
        self.settlement = Settlement(self.lock, self.reactor, self._try_again)
        self.patrol = Patrol(self)
        self._ledger = Ledger()
        self._supervisor = Supervisor()
        self.memory_limit = memory_limit
        self._tasks_per_lane = tasks_per_lane
        self.backlog = Backlog()
        self._streams: set[StreamCall] = set()  # those whose input is not at its end
        self.crew = Crew(size)
        self.repertoire = Repertoire(lanes, self.crew, self.lock, self.reactor)
        self.interventions = Interventions(self)
        self._deferred: deque[Callable[[], object]] = deque()  # see `later`
        self._ended = threading.Event()

    # Taking calls in

    def submit(self, call: Call) -> None:
        """Queue a call; its tasks start as soon as lanes are free.

        Raises:
            ValueError: when the pool takes no more calls.
            PoolBroken: when it cannot start workers.
        """
        interrupted = self.lock._is_owned()  # as in `interrupted`
        with self.lock:
            if self.state is not _OPEN or self.broken is not None:
                self.check_open()
            self.backlog.add(call, call.available)
            stuck = self.lanes.concurrent and self.crew.spent
        if interrupted:
            self.later(self.dispatch)  # what the handler has interrupted is not done with the lanes
        elif not stuck:
            self.dispatch()

    def open_stream(self, call: StreamCall) -> None:
        """Take in a call whose items come by `more`, until `end_stream`.

        Raises:
            ValueError, PoolBroken: as `submit`.
        """
        with self.lock:
            self.check_open()
            self._streams.add(call)

    def end_stream(self, call: StreamCall, error: BaseException | None = None) -> None:
        """No more items come.

        Args:
            call: the stream.
            error: what to raise at the end of its outcomes; None for an ordinary end.
        """
        with self.lock:
            self._streams.discard(call)
            call.end(error)
            self._end_if_finished()
        self.settlement.complete([call])
        self._run_deferred()

    def more(self, call: StreamCall, items: Any) -> bool:
        """Give a submitted call further items; False when they are not wanted any more."""
        with self.lock:
            if call.cancelled or self.state is PoolState.ENDED:
                return False
            call.draw(items)
            self.backlog.add(call, len(items))
            stuck = self._stuck
        if not stuck:
            self.dispatch()
        return True

    def run_now(self, call: SingleCall) -> bool:
        """Run a call's task from the calling thread, if a lane is idle and nothing else waits.

        This is the shortest way there and back: no other thread takes part.

        Returns:
            Whether the task was given to a lane; the call is then done, or will be.
        """
        interrupted = self.interrupted
        lane: Lane | None = None
        try:
            with self.lock:
                self.check_open()
                lane = None if interrupted or self.backlog else self.crew.first_idle()
                if lane is None or not lane.borrow():
                    lane = None
                    return False
                self.crew.pop_idle()
                batch = CallsBatch([call])
                self._give(lane, batch)
                lane.sender = 0
            lane.exchange(batch)
        except BaseException:
            if lane is not None:
                # A Ctrl-C, most likely. What it has interrupted is anybody's guess, so the lane is replaced.
                lane.give_up()
            raise
        return True

    @property
    def _stuck(self) -> bool:
        """Whether nobody can take anything just now."""
        return self.lanes.concurrent and self.crew.spent

    def check_open(self) -> None:
        """Raise the reason if the pool takes no calls."""
        if self.broken is not None:
            raise self.broken
        if self.state is not PoolState.OPEN:
            raise ValueError("Pool not running")

    # Giving work to lanes

    def dispatch(self) -> None:
        if not self.lanes.concurrent:
            self._run_inline()
            return
        try:
            while self._dispatch_one():
                pass
        except BaseException:  # a Ctrl-C, most likely, at any point
            self._rescue()
            raise

    def _dispatch_one(self) -> bool:
        """Start the lanes that are wanted, and give one batch to a lane; False when there is none to give."""
        with self.lock:
            starting = self._lanes_to_start()
            work = self._assign()
        for lane in starting:
            self._start(lane)
        if work is None:
            return False
        lane, batch = work
        lane.send(batch)
        with self.lock:
            lane.sender = 0
            self._note_room(lane)
        return True

    def _rescue(self) -> None:
        """This thread has left lanes half started, or batches half sent: replace those lanes."""
        with self.lock:
            me = threading.get_ident()
            mine = [lane for lane in self.crew.active if lane.sender == me]
            for lane in mine:
                lane.sender = 0
        for lane in mine:
            if lane.state is LaneState.STARTING:
                self.lane_ended(lane, Death(True))
            else:
                lane.give_up()

    def _start(self, lane: Lane) -> None:
        try:
            lane.sender = 0  # before it can tell that it is ready
            self.reactor.start()
            lane.start()
        except BaseException as error:  # no descriptors, no threads to be had: whoever calls may be innocent
            self.lane_ended(lane, Death(False, setup=Failure(error)))
            if not isinstance(error, Exception):
                raise

    def _run_inline(self) -> None:
        """Run what waits in the calling thread, the newest call first: that may be a task's, which waits for it."""
        while True:
            with self.lock:
                call = self.backlog.pop_newest()
            if call is None:
                break
            lane = self._inline_lane()
            while lane is not None:
                with self.lock:
                    if not call.available:
                        break
                    batch = call.take(1) if isinstance(call, BulkCall) else CallsBatch([call])  # type: ignore[list-item]
                    lane.batches.append(batch)
                lane.send(batch)
                if not isinstance(call, BulkCall):
                    break
            with self.lock:
                if lane is not None:
                    self.crew.note_idle(lane)
                failed = [call] if self.broken is not None and not call.done and call.fail_rest(self.broken) else []
            self.settlement.complete(failed)
        self._run_deferred()

    def _inline_lane(self) -> Lane | None:
        """A lane that runs nothing: there is one for the caller, and one for each task that calls its own pool."""
        while self.broken is None:
            with self.lock:
                idle = self.crew.pop_idle()
                if idle is not None:
                    return idle
                lane = self.lanes.make(self, self.crew.next_number())
                self.crew.add(lane)
            lane.start()
            if lane.state is LaneState.OPEN:
                return lane
        return None

    def _lanes_to_start(self) -> list[Lane]:
        started: list[Lane] = []
        if self.broken is not None or self.state is PoolState.ENDED:
            return started
        crew = self.crew
        while not crew.full and crew.starting + crew.idle < self.backlog.tasks:
            lane = self.lanes.make(self, crew.next_number())
            lane.quota = self._tasks_per_lane
            lane.sender = threading.get_ident()
            crew.add(lane)
            started.append(lane)
        return started

    def _assign(self) -> tuple[Lane, Batch] | None:
        """Take the next batch from the queue, for the lane that can have it soonest."""
        call = self.backlog.first()
        lane = self.crew.lane_for(call.function) if call is not None else None
        if lane is None:
            return None
        batch = self.backlog.take(lane.quota, len(self.crew.active))
        self._give(lane, batch)
        return lane, batch

    def _give(self, lane: Lane, batch: Batch) -> None:
        lane.batches.append(batch)
        lane.admit(batch)
        lane.sender = threading.get_ident()
        if lane.quota is not None:
            lane.quota -= batch.count
        if batch.count > 1 or len(lane.batches) > 1 or self.memory_limit is not None:
            self.patrol.watch()
        elif batch.timeout is not None:
            self.patrol.watch(batch.timeout)

    def _note_room(self, lane: Lane) -> None:
        """Remember whether a lane can be given something, and end one that has done its share."""
        if lane.state is not LaneState.OPEN or lane.sender or lane.withdrawing or lane.killed_for is not None:
            return
        if not self.lanes.concurrent:
            return  # `_run_inline` knows
        if lane.quota is not None and lane.quota <= 0:
            if not lane.batches:
                self._retire(lane)
        elif not lane.batches:
            self.crew.note_idle(lane)
        elif len(lane.batches) == 1:
            self.crew.note_room(lane)

    def _retire(self, lane: Lane) -> None:
        self.crew.retire(lane)
        self.later(lane.stop)

    def later(self, function: Callable[[], object]) -> None:
        """Call `function` without the lock: in the reactor's thread, or where all is done in the caller's, there."""
        if self.lanes.concurrent:
            self.reactor.call_soon(function)
        else:
            self._deferred.append(function)

    def _run_deferred(self) -> None:
        while self._deferred:
            self._deferred.popleft()()

    def give_back(self, batch: Batch, position: int, stop: int) -> list[Call]:
        """Queue tasks again that were not begun; returns calls that were given up meanwhile."""
        refusal = self.broken
        if refusal is None and self.state is PoolState.ENDED:
            refusal = cancelled_error()
        return self.backlog.give_back(batch, position, stop, refusal)

    def _try_again(self, batch: Batch, position: int) -> None:
        with self.lock:
            given_up = self.give_back(batch, position, position + 1)
        self.settlement.complete(given_up)
        self.dispatch()

    # What lanes tell

    def lane_ready(self, lane: Lane) -> None:
        """A lane has started."""
        with self.lock:
            if lane.state is not LaneState.STARTING:
                return
            lane.state = LaneState.OPEN
            lane.opened = time.monotonic()
            self.crew.opened()
            self._supervisor.started()
            self._note_room(lane)
            self._end_if_finished()
        self.dispatch()

    def task_over(self, lane: Lane, batch: Batch, value: Any, elapsed: int) -> bool:
        """A lane has done the only task of its only batch, and well.

        Does in one go what settling the outcome and `batch_over` do in general, for a lone task waits for nothing but
        this.

        Returns:
            False where the case is not as simple as that; nothing has been done then.
        """
        assert isinstance(batch, CallsBatch)
        call = batch.calls[0]
        if call.has_callback:
            return False
        with self.lock:
            usual = lane.state is LaneState.OPEN and self.state is PoolState.OPEN and not self.backlog
            if not usual or lane.sender or lane.withdrawing or lane.quota is not None or lane.killed_for is not None:
                return False
            if len(lane.batches) != 1 or batch.closed or batch.doomed is not None or call.cancelled:
                return False
            lane.batches.popleft()
            lane.busy += elapsed
            lane.tasks += 1
            batch.settled = 1
            batching.learn(call.function, 1, elapsed)
            self.crew.note_idle(lane)
            call.value = value
            call.done = True
            held = call.release()
            waiters, call.waiters = call.waiters, None
        del held  # without the lock
        for wake in waiters or ():
            wake()
        if self.crew.idle < len(self.crew.active) and self.hungry:
            self.patrol.share_out()
        return True

    def batch_over(self, lane: Lane, batch: Batch, elapsed: int) -> None:
        """A lane has reported on the whole of its oldest batch; what it did not begin goes elsewhere."""
        with self.lock:
            if not lane.batches or lane.batches[0] is not batch:
                return
            lane.batches.popleft()
            lane.busy += elapsed
            lane.tasks += batch.settled
            batching.learn(batch.function, batch.settled, elapsed)
            given_up = self.give_back(batch, batch.settled, batch.withdrawn)
            if not lane.batches and lane.withdrawing:
                lane.withdrawing = False
                lane.resume()
            self._note_room(lane)
            waiting = bool(self.backlog)
            if not waiting:
                self._end_if_finished()
        if given_up:
            self.settlement.complete(given_up)
        if waiting:
            self.dispatch()
        elif self.crew.idle < len(self.crew.active) and self.hungry:
            self.patrol.share_out()

    def lane_ended(self, lane: Lane, death: Death) -> None:
        """A lane is gone. Its last outcomes have been settled."""
        victims: list[tuple[Batch, int]] = []
        given_up: list[Call] = []
        with self.lock:
            if lane.state is LaneState.ENDED:
                return
            unexpected = not death.expected and lane.killed_for is None
            failed_start = lane.state is LaneState.STARTING and unexpected
            self.crew.ended(lane)
            for_all = all(batch.doomed is None for batch in lane.batches)
            for batch in reversed(lane.batches):
                batch.closed = True
                begun = max(batch.settled, min(lane.begun(batch), batch.withdrawn))
                victims += [(batch, position) for position in range(batch.settled, begun)]
                given_up += self.give_back(batch, begun, batch.withdrawn)
            lane.batches.clear()
            self._ledger.ended(lane, death)
            if failed_start and self.broken is None:
                self.broken = self._supervisor.start_failed(death)
            if self.broken is not None:
                given_up += self._fail_all(self.broken)
        for batch, position in victims:
            batch.settled = position
            error = lane.killed_for if for_all or batch.doomed == position else None
            batch.doomed = None
            if error is None:
                call, index = batch.calls_from(position, position + 1)[0]
                deaths = call.count_death(index)
                error = self._supervisor.explain(death, batch.describe(position), deaths)
            self.settlement.settle(batch, [Failure(error)], True, last=True)
        self.settlement.complete(given_up)
        with self.lock:
            self._end_if_finished()
        self.dispatch()

    def _fail_all(self, error: BaseException) -> list[Call]:
        """Let all tasks that no lane has fail; returns the calls that are to be completed."""
        calls = list(dict.fromkeys([*self.backlog.drain(), *self._streams]))
        self._streams.clear()
        for call in calls:
            call.cancelled = True
        return [*self.settlement.abort(error), *(call for call in calls if call.fail_rest(error))]

    # What the patrol asks

    @property
    def used(self) -> bool:
        """Whether any lane has ever been made."""
        return self.crew.made > 0

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        with self.lock:
            return bool(self.backlog) or any(lane.batches for lane in self.crew)

    @property
    def hungry(self) -> bool:
        """Whether a lane could take work and none waits."""
        return not self.backlog and (self.crew.idle > 0 or not self.crew.full)

    def lanes_now(self) -> list[Lane]:
        """Every lane that there is."""
        with self.lock:
            return list(self.crew)

    def attend(self, lane: Lane, trim: bool) -> None:
        """Let a lane tell its worker what it has not been told; see `Lane.tend`."""
        with self.lock:
            idle = self.crew.reserve(lane)
        try:
            lane.tend(trim, idle)
        finally:
            if idle:
                with self.lock:
                    self._note_room(lane)
                    self._end_if_finished()
                self.dispatch()

    def busy_lanes(self) -> list[tuple[Lane, Batch]]:
        """Lanes that have a batch, with the one that they run."""
        with self.lock:
            return [(lane, lane.batches[0]) for lane in self.crew if lane.batches]

    # Ending

    def close(self) -> None:
        """Take no more calls, and end once those taken are done."""
        if self.interrupted:
            self.reactor.call_soon(self.close)
            return
        with self.lock:
            if self.state is PoolState.OPEN:
                self.state = PoolState.CLOSED
            self._end_if_finished()
        self._run_deferred()

    def terminate(self) -> None:
        """End now: what waits and what runs fails with `CancelledError`."""
        if self.interrupted:
            self.reactor.call_soon(self.terminate)
            return
        error = cancelled_error("the pool was terminated")
        with self.lock:
            self.state = PoolState.ENDED
            abandoned = self._fail_all(error)
            doomed = list(self.crew)
            for lane in doomed:
                lane.killed_for = lane.killed_for or error
        self.settlement.complete(abandoned)
        for lane in doomed:
            lane.kill()
        with self.lock:
            self._end_if_finished()
        self._run_deferred()

    @property
    def interrupted(self) -> bool:
        """Whether this is a signal handler that has come while its thread was changing the state."""
        return bool(self.lock._is_owned())

    def join(self, timeout: float | None = None) -> bool:
        """Wait until no lane is left.

        Returns:
            False when that took longer than `timeout` seconds.
        """
        with self.lock:
            streams = list(self._streams)
        for stream in streams:
            if stream.source is not None:
                stream.source.hurry()
        if self.reactor.inside or self.interrupted:  # the lanes end once the callback or handler has returned
            return False
        if not self._ended.wait(timeout):
            return False
        self.reactor.stop(timeout)
        return True

    def _end_if_finished(self) -> None:
        """With the pool closed and nothing left to do, end the lanes; with no lane left, the pool."""
        if self.state is PoolState.OPEN:
            return
        busy = self.backlog or self._streams or self.settlement.pausing
        if self.state is PoolState.CLOSED:
            if busy or any(lane.batches for lane in self.crew.active):
                return
            self.state = PoolState.ENDED
        for lane in list(self.crew.active):
            if lane.state is LaneState.OPEN and not lane.batches and lane.killed_for is None:
                self._retire(lane)
            elif lane.state is LaneState.STARTING:
                lane.killed_for = lane.killed_for or cancelled_error()
                self.later(lane.kill)
        if not any(self.crew) and not self._ended.is_set():
            self.lanes.close()
            self._ended.set()
            self.reactor.stop(0)

    def abandon(self) -> None:
        """After a fork, in the child: everything is the parent's, and nothing here may touch it."""
        self.state = PoolState.ENDED
        self.lock = threading.RLock()
        for lane in self.crew:
            lane.abandon()
        self.crew.clear()
        self.backlog.drain()
        self._streams.clear()
        self.lanes.abandon()
        self.reactor.abandon()
        self._ended.set()

    def entries(self) -> list[Entry]:
        """The figures of every lane there has been."""
        with self.lock:
            return self._ledger.entries(list(self.crew))
