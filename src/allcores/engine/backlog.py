"""Calls whose tasks wait for a lane, in the order in which these are to run."""

from __future__ import annotations

from collections import deque

from allcores.engine import batching
from allcores.engine.batch import Batch, CallsBatch
from allcores.engine.calls import BulkCall, Call, SingleCall

__all__ = ["Backlog"]


class Backlog:
    """The queue. The scheduler's lock guards it.

    Attributes:
        tasks: how many tasks wait.
    """

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        self.tasks = 0

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, call: Call, tasks: int) -> None:
        """Some more tasks of a call wait, behind all others."""
        self.tasks += tasks
        if not call.queued:
            call.queued = True
            self._calls.append(call)

    def first(self) -> Call | None:
        """The call whose tasks come next."""
        while self._calls:
            call = self._calls[0]
            if call.available:
                return call
            self._calls.popleft()
            call.queued = False
        return None

    def pop_newest(self) -> Call | None:
        """Take out the call that came last, with all its tasks."""
        if not self._calls:
            return None
        call = self._calls.pop()
        call.queued = False
        self.tasks -= call.available
        return call

    def take(self, quota: int | None, lanes: int) -> Batch:
        """Take the next batch; `first` has just told that there is something.

        Args:
            quota: the most tasks that its lane may be given; None for any number.
            lanes: how many lanes there are to share what waits.
        """
        call = self._calls[0]
        limit = batching.size_of_batch(call.function, self.tasks, lanes)
        if isinstance(call, BulkCall):
            limit = max(limit, min(call.least, batching.LARGEST))
        if quota is not None:
            limit = min(limit, quota)
        batch = call.take(limit) if isinstance(call, BulkCall) else CallsBatch(self._take_singles(limit))
        self.tasks -= batch.count
        return batch

    def _take_singles(self, limit: int) -> list[SingleCall]:
        """The calls of one task each at the head of the queue that may travel together."""
        queue = self._calls
        calls: list[SingleCall] = []
        timeout = queue[0].policy.timeout
        first = queue[0].function
        while queue and len(calls) < limit:
            call = queue[0]
            if not isinstance(call, SingleCall) or call.policy.timeout != timeout:
                break
            if call.function is not first and not 0 < call.function.cost <= first.cost:
                break  # another function may join if it is known to cost no more
            call.queued = False
            calls.append(call)
            queue.popleft()
        return calls

    def give_back(self, batch: Batch, position: int, stop: int, refusal: BaseException | None) -> list[Call]:
        """Queue tasks again that were not begun, ahead of all others.

        Args:
            batch: whose tasks.
            position: of the first of them in the batch.
            stop: behind the last.
            refusal: what they fail with instead; None if the pool goes on.

        Returns:
            Calls that were given up meanwhile and must be completed.
        """
        if position >= stop:
            return []
        given_up: list[Call] = []
        calls = batch.give_back(position, stop)
        each = (stop - position) // len(calls)
        for call in reversed(calls):
            if call.cancelled or refusal is not None:
                if call.queued:
                    self.tasks -= call.available - each
                if call.fail_rest(refusal or cancelled_error()):
                    given_up.append(call)
                continue
            self.tasks += each
            if not call.queued:
                call.queued = True
                self._calls.appendleft(call)
        return given_up

    def remove(self, call: Call) -> bool:
        """Take a call out. Whether it was in."""
        if not call.queued:
            return False
        self._calls.remove(call)
        call.queued = False
        self.tasks -= call.available
        return True

    def drain(self) -> list[Call]:
        """Take all out."""
        calls = list(self._calls)
        self._calls.clear()
        self.tasks = 0
        for call in calls:
            call.queued = False
        return calls


def cancelled_error(text: str = "the task was cancelled") -> BaseException:
    """The error of a task that was given up."""
    from concurrent.futures import CancelledError

    return CancelledError(text)
