"""Batches: what a lane runs at a time."""

from __future__ import annotations

from collections.abc import Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.engine.calls import BulkCall, Call, SingleCall
    from allcores.engine.functions import Function
    from allcores.engine.outcome import Failure

__all__ = ["Batch", "CallsBatch", "ItemsBatch"]


class Batch:
    """Some tasks that belong to one lane. They run in order, and are settled in order.

    Attributes:
        count: how many tasks.
        first: the sequence number of the first one, in the lane that has the batch.
        half: which half of the lane's control block takes the results.
        settled: how many tasks have their outcome.
        consumed: how many bytes of the half have been read.
        sent: when it was given to the lane, by `time.monotonic`.
        timeout: seconds that each of its tasks may run, or None.
        withdrawn: tasks from this position on were taken back before they began.
        parcel: the pickle of its items, where that must be kept until they have been loaded.
        closed: whether its lane has ended; what a thread left to itself comes up with later is not wanted.
        doomed: the position of the task that the lane is being ended for; its outcome is not wanted any more.
    """

    __slots__ = (
        "closed",
        "consumed",
        "count",
        "doomed",
        "first",
        "half",
        "parcel",
        "sent",
        "settled",
        "timeout",
        "withdrawn",
    )

    def __init__(self, count: int, timeout: float | None) -> None:
        self.count = count
        self.first = 0
        self.half = 0
        self.settled = 0
        self.consumed = 0
        self.sent = 0.0
        self.timeout = timeout
        self.withdrawn = count
        self.closed = False
        self.doomed: int | None = None
        self.parcel: object = None

    @property
    def function(self) -> Function | None:
        """The function of all its tasks; None where there are several."""
        raise NotImplementedError

    def calls_from(self, position: int, stop: int) -> list[tuple[Call, int]]:
        """The tasks at these positions, as the call that each belongs to and its index there."""
        raise NotImplementedError

    def owners(self) -> Sequence[Call]:
        """The calls that it has tasks of."""
        raise NotImplementedError

    def settle(self, values: list[Any]) -> list[Call]:
        """Hand over the outcomes of the next ``len(values)`` tasks.

        Returns:
            The calls that are complete now.
        """
        raise NotImplementedError

    def give_back(self, position: int, stop: int) -> list[Call]:
        """Return the tasks at these positions to their calls, to be taken again.

        Returns:
            The calls that must be in the queue now, in order.
        """
        raise NotImplementedError

    def fail_at(self, position: int, failure: Failure) -> list[Call]:
        """Settle one task that is past its turn, having waited for another attempt.

        Returns:
            The calls that are complete now.
        """
        raise NotImplementedError

    def report_progress(self, count: int) -> None:
        """Tell who watches that `count` more tasks are done. Called without the lock."""

    def describe(self, position: int) -> str:
        """The task at this position, in brief."""
        raise NotImplementedError


class CallsBatch(Batch):
    """Tasks of calls that have one task each.

    Attributes:
        quiet: whether none of the calls has a callback.
    """

    __slots__ = ("_function", "calls", "quiet")

    def __init__(self, calls: list[SingleCall]) -> None:
        super().__init__(len(calls), calls[0].policy.timeout)
        self.calls = calls
        self._function: Function | None = calls[0].function
        self.quiet = True
        for call in calls:
            if call.function is not self._function:
                self._function = None
            if call.callback is not None or call.error_callback is not None:
                self.quiet = False

    @property
    def function(self) -> Function | None:
        return self._function

    def calls_from(self, position: int, stop: int) -> list[tuple[Call, int]]:
        return [(call, 0) for call in self.calls[position:stop]]

    def owners(self) -> Sequence[Call]:
        return self.calls

    def settle(self, values: list[Any]) -> list[Call]:
        begin = self.settled
        self.settled = end = begin + len(values)
        done: list[Call] = list(self.calls[begin:end])
        for call, value in zip(done, values, strict=True):
            call.value = value
        return done

    def give_back(self, position: int, stop: int) -> list[Call]:
        return list(self.calls[position:stop])

    def fail_at(self, position: int, failure: Failure) -> list[Call]:
        call = self.calls[position]
        call.value = failure
        return [call]

    def describe(self, position: int) -> str:
        return self.calls[position].describe()


class ItemsBatch(Batch):
    """Tasks of one call: a run of its items."""

    __slots__ = ("call", "items", "start")

    def __init__(self, call: BulkCall, start: int, items: Sequence[Any]) -> None:
        super().__init__(len(items), call.policy.timeout)
        self.call = call
        self.start = start
        self.items = items

    @property
    def function(self) -> Function | None:
        return self.call.function

    def calls_from(self, position: int, stop: int) -> list[tuple[Call, int]]:
        return [(self.call, self.start + index) for index in range(position, stop)]

    def owners(self) -> Sequence[Call]:
        return (self.call,)

    def settle(self, values: list[Any]) -> list[Call]:
        position = self.settled
        self.settled = position + len(values)
        return [self.call] if self.call.put(self.start + position, values) else []

    def give_back(self, position: int, stop: int) -> list[Call]:
        self.call.give_back(self.start + position, self.items[position:stop])
        return [self.call]

    def fail_at(self, position: int, failure: Failure) -> list[Call]:
        self.call.failed = True
        return [self.call] if self.call.put(self.start + position, [failure]) else []

    def report_progress(self, count: int) -> None:
        if self.call.on_progress is not None:
            self.call.on_progress(count)

    def describe(self, position: int) -> str:
        return self.call.describe_item(self.items[position])
