"""What becomes of tasks: outcomes are handed to their calls, failures tried again, callers told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from allcores.engine.batch import Batch, CallsBatch
from allcores.engine.calls import BulkCall, Call, StreamCall
from allcores.engine.complaints import complain
from allcores.engine.outcome import Failure
from allcores.engine.reactor import Reactor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Settlement"]

#: A task that waits for another attempt: its batch, and its position there.
_Pausing = tuple[Batch, int]


class Settlement:
    """Hands outcomes to calls.

    What is the caller's own code (callbacks, back-off functions, progress bars) runs without the lock.

    Args:
        lock: the scheduler's.
        reactor: for attempts that wait for their time.
        try_again: queues the task of a batch at a position; called without the lock.
    """

    def __init__(self, lock: Any, reactor: Reactor, try_again: Callable[[Batch, int], None]) -> None:
        self._lock = lock
        self._reactor = reactor
        self._try_again = try_again
        #: threads that are in a callback
        self.calling: set[int] = set()
        #: failed tasks that wait for their next attempt
        self.pausing: set[_Pausing] = set()

    def settle(self, batch: Batch, values: list[Any], failures: bool, *, last: bool = False) -> None:
        """Hand over the outcomes of a batch's next tasks.

        Args:
            batch: where they belong.
            values: an outcome for each.
            failures: whether there is a `Failure` among them.
            last: whether this comes from the end of the lane.
        """
        if not failures and type(batch) is CallsBatch and batch.quiet:
            self._settle_quietly(batch, values, last)
            return
        pauses = self._pauses(batch, values) if failures else {}
        with self._lock:
            if batch.closed and not last:
                return
            begin = batch.settled
            if failures:
                for call in batch.owners():
                    call.failed = True
            if batch.doomed is not None:
                values = values[: max(0, batch.doomed - begin)]
            if pauses:
                calls, again = self._settle_but(batch, values, pauses)
            else:
                calls, again = batch.settle(values), []
        batch.report_progress(len(values) - len(again))
        if calls:
            self.complete(calls)
        for pause, position in again:
            self._later(pause, (batch, position))

    def _settle_quietly(self, batch: CallsBatch, values: list[Any], last: bool) -> None:
        """Settle results of calls with one task and no callback: what `settle` and `complete` do, in one pass."""
        held: list[Any] = []
        wake: list[Callable[[], None]] = []
        with self._lock:
            if batch.closed and not last:
                return
            begin = batch.settled
            if batch.doomed is not None:
                values = values[: max(0, batch.doomed - begin)]
            batch.settled = end = begin + len(values)
            for call, value in zip(batch.calls[begin:end], values, strict=True):
                call.value = value
                call.done = True
                held += (call.owner, call.payload, call.args, call.kwds)
                call.owner = call.payload = call.args = call.kwds = None
                if call.waiters is not None:
                    wake += call.waiters
                    call.waiters = None
        for waiter in wake:
            waiter()

    def complete(self, calls: Iterable[Call]) -> None:
        """Tell those who wait that these calls have something for them."""
        calls = list(calls)
        for call in calls:
            if not call.done and call.has_callback:
                self._guard(call.before_done)
        wake: list[Callable[[], None]] = []
        ended: list[Callable[[], None]] = []
        held: list[Any] = []
        sources = []
        with self._lock:
            for call in calls:
                if type(call) is StreamCall:
                    if call.complete and call.source is not None:
                        sources.append(call.source)
                    over = call.complete
                else:
                    over = True
                if over:
                    if isinstance(call, BulkCall) and call.on_end is not None and not call.done:
                        ended.append(call.on_end)
                    call.done = True
                    held.append(call.release())
                if call.waiters is not None:
                    wake += call.waiters
                    call.waiters = None
        for waiter in wake:
            waiter()
        for end in ended:
            self._guard(end)
        for source in sources:
            source.stop()

    def abort(self, error: BaseException, owner: Call | None = None) -> list[Call]:
        """Fail tasks that wait for another attempt. Called with the lock.

        Args:
            error: what they fail with.
            owner: whose; None for all.

        Returns:
            The calls that are to be completed.
        """
        calls: list[Call] = []
        for batch, position in list(self.pausing):
            if owner is None or batch.calls_from(position, position + 1)[0][0] is owner:
                self.pausing.discard((batch, position))
                calls += batch.fail_at(position, Failure(error))
        return calls

    def _pauses(self, batch: Batch, values: list[Any]) -> dict[int, float]:
        """Which of a batch's next outcomes are failures to be tried again, and after how many seconds."""
        failed: list[tuple[int, Call, int]] = []
        with self._lock:
            for index, value in enumerate(values):
                if type(value) is Failure:
                    position = batch.settled + index
                    call, number = batch.calls_from(position, position + 1)[0]
                    if call.policy.retry is not None and not call.cancelled:
                        failed.append((index, call, call.count_attempt(number)))
        pauses = {}
        for index, call, attempts in failed:
            retry = call.policy.retry
            assert retry is not None
            try:
                pause = retry.pause(attempts, values[index].error)
            except BaseException:
                complain("allcores: the backoff of %r raised; the task is not tried again", retry)
            else:
                if pause is not None:
                    pauses[index] = pause
        return pauses

    def _settle_but(
        self, batch: Batch, values: list[Any], pauses: dict[int, float]
    ) -> tuple[list[Call], list[tuple[float, int]]]:
        """Settle outcomes, but for those of tasks that are to be tried again."""
        done: list[Call] = []
        again: list[tuple[float, int]] = []
        begin = 0
        for index, pause in pauses.items():
            if index >= len(values):
                break
            done += batch.settle(values[begin:index])
            again.append((pause, batch.settled))
            self.pausing.add((batch, batch.settled))
            batch.settled += 1
            begin = index + 1
        done += batch.settle(values[begin:])
        return done, again

    def _later(self, pause: float, task: _Pausing) -> None:
        def again() -> None:
            with self._lock:
                if task not in self.pausing:
                    return
                self.pausing.discard(task)
            self._try_again(*task)

        if pause:
            self._reactor.start()
            self._reactor.call_at(time.monotonic() + pause, again)
        else:
            again()

    def _guard(self, callback: Callable[[], None]) -> None:
        me = threading.get_ident()
        self.calling.add(me)
        try:
            callback()
        except BaseException:
            # The caller's callback is no part of the task: its error must not keep anybody from the outcome.
            complain("allcores: a callback raised")
        finally:
            self.calling.discard(me)
