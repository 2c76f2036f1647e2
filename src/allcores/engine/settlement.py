"""What becomes of tasks: outcomes are handed to their calls, failures tried again, callers told."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from allcores.engine.batch import Batch
from allcores.engine.calls import Call, StreamCall
from allcores.engine.outcome import Failure
from allcores.engine.reactor import Reactor

__all__ = ["Settlement"]

_log = logging.getLogger("allcores")


class Settlement:
    """Hands outcomes to calls.

    Args:
        lock: the scheduler's.
        reactor: for attempts that wait for their time.
        try_again: queues the task of a batch at a position; called without the lock.
    """

    def __init__(self, lock: threading.Lock, reactor: Reactor, try_again: Callable[[Batch, int], None]) -> None:
        self._lock = lock
        self._reactor = reactor
        self._try_again = try_again
        #: failed tasks that wait for their next attempt
        self.pausing = 0

    def settle(self, batch: Batch, values: list[Any], failures: bool) -> None:
        """Hand over the outcomes of a batch's next tasks.

        Args:
            batch: where they belong.
            values: an outcome for each.
            failures: whether there is a `Failure` among them.
        """
        with self._lock:
            if failures:
                calls, again = self._sift(batch, values)
            else:
                calls, again = batch.settle(values), []
        if calls:
            self.complete(calls)
        for pause, position in again:
            self._later(pause, batch, position)

    def complete(self, calls: Iterable[Call]) -> None:
        """Tell those who wait that these calls have something for them."""
        calls = list(calls)
        for call in calls:
            if type(call) is not StreamCall and not call.done:
                self._guard(call.before_done)
        wake: list[Callable[[], None]] = []
        with self._lock:
            for call in calls:
                if not isinstance(call, StreamCall) or call.complete:
                    call.done = True
                    call.release()
                if call.waiters is not None:
                    wake += call.waiters
                    call.waiters = None
        for waiter in wake:
            waiter()

    def _sift(self, batch: Batch, values: list[Any]) -> tuple[list[Call], list[tuple[float, int]]]:
        """Settle outcomes, but for failures that the call's policy wants tried again."""
        done: list[Call] = []
        again: list[tuple[float, int]] = []
        offset = batch.settled
        settled = 0
        for index, value in enumerate(values):
            if type(value) is not Failure:
                continue
            pause = self._pause(batch, offset + index, value.error)
            if pause is None:
                continue
            done += batch.settle(values[settled:index])
            batch.settled += 1
            settled = index + 1
            again.append((pause, offset + index))
            self.pausing += 1
        done += batch.settle(values[settled:])
        return done, again

    @staticmethod
    def _pause(batch: Batch, position: int, error: BaseException) -> float | None:
        call, index = batch.calls_from(position, position + 1)[0]
        retry = call.policy.retry
        if retry is None or call.cancelled:
            return None
        if call.attempts is None:
            call.attempts = {}
        call.attempts[index] = failed = call.attempts.get(index, 0) + 1
        try:
            return retry.pause(failed, error)
        except Exception:
            _log.exception("allcores: the backoff of %r raised; the task is not tried again", retry)
            return None

    def _later(self, pause: float, batch: Batch, position: int) -> None:
        def again() -> None:
            with self._lock:
                self.pausing -= 1
            self._try_again(batch, position)

        if pause:
            self._reactor.start()
            self._reactor.call_at(time.monotonic() + pause, again)
        else:
            again()

    @staticmethod
    def _guard(callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            # The caller's callback is no part of the task: its error must not keep anybody from the outcome.
            _log.exception("allcores: a callback raised")
