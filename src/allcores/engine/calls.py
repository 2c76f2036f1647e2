"""Calls: what a caller asked for, from which the scheduler draws tasks.

A call owns its inputs until their tasks are done and its outcomes until they are fetched. The classes in
`allcores.results` add to these the ways in which a caller waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from allcores.engine.batch import ItemsBatch
from allcores.engine.outcome import Failure
from allcores.engine.policy import Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.engine.functions import Function
    from allcores.engine.scheduler import Scheduler

__all__ = ["BulkCall", "Call", "Frozen", "MapCall", "SingleCall", "StreamCall"]


def _brief(value: object) -> str:
    """A value for messages, cut short."""
    import reprlib

    shortener = reprlib.Repr()
    shortener.maxother = shortener.maxstring = 60
    try:
        return shortener.repr(value)
    except Exception:  # a repr of the caller's that fails
        return f"<{type(value).__name__}>"


class Call:
    """One request of a caller.

    The scheduler's lock guards all of it, except `value` while the call is not `done`: that belongs to whoever
    settles the task.

    Attributes:
        function: what to call.
        policy: the limits of its tasks.
        scheduler: who runs it.
        done: whether the caller can fetch the outcome.
        value: the outcome.
        waiters: how each waiting thread is woken.
        attempts: failed attempts of tasks that are to be tried again, by index; None while there are none.
        deaths: how many lanes a task has cost, by index; None while there are none.
        queued: whether it stands in the scheduler's queue.
        cancelled: whether it was given up.
        failed: whether there is a `Failure` among the outcomes so far.
    """

    __slots__ = (
        "__weakref__",
        "attempts",
        "cancelled",
        "deaths",
        "done",
        "failed",
        "function",
        "owner",
        "policy",
        "queued",
        "scheduler",
        "value",
        "waiters",
    )

    def __init__(self, scheduler: Scheduler, function: Function, policy: Policy, owner: Any) -> None:
        self.scheduler = scheduler
        self.function = function
        self.policy = policy
        #: keeps the pool alive while there is something to wait for
        self.owner = owner
        self.done = False
        self.queued = False
        self.cancelled = False
        self.failed = False
        self.value: Any = None
        self.waiters: list[Callable[[], None]] | None = None
        self.attempts: dict[int, int] | None = None
        self.deaths: dict[int, int] | None = None

    def count_attempt(self, index: int) -> int:
        """Note that an attempt at a task has failed; returns how many have."""
        if self.attempts is None:
            self.attempts = {}
        self.attempts[index] = attempts = self.attempts.get(index, 0) + 1
        return attempts

    def count_death(self, index: int) -> int:
        """Note that a task has cost a lane; returns how many it has cost."""
        if self.deaths is None:
            self.deaths = {}
        self.deaths[index] = deaths = self.deaths.get(index, 0) + 1
        return deaths

    @property
    def available(self) -> int:
        """How many tasks can be taken now."""
        raise NotImplementedError

    @property
    def has_callback(self) -> bool:
        """Whether `before_done` has anything to do."""
        return True

    def before_done(self) -> None:
        """Runs once all outcomes are there, before anybody waiting is told; without the lock."""

    def release(self) -> Any:
        """Let go of the inputs.

        Returns:
            What was held, for the caller to drop without the lock: any object may run code when it goes.
        """
        held, self.owner = self.owner, None
        return held

    def fail_rest(self, error: BaseException) -> bool:
        """Let each task that was not taken fail with `error`. Whether the call is complete then."""
        raise NotImplementedError


class SingleCall(Call):
    """A call of a function with its arguments: one task.

    Attributes:
        payload: the arguments, in the form that the pool's lanes take.
        args, kwds: the arguments themselves, for messages; None once they have been let go of.
        callback: called with the result, before anybody waiting is told.
        error_callback: likewise, with the error.
    """

    __slots__ = ("args", "callback", "error_callback", "kwds", "payload")

    def __init__(
        self,
        scheduler: Scheduler,
        function: Function,
        policy: Policy,
        owner: Any,
        payload: Any,
        args: tuple[Any, ...] | None,
        kwds: dict[str, Any] | None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.function = function
        self.policy = policy
        self.owner = owner
        self.done = False
        self.queued = False
        self.cancelled = False
        self.failed = False
        self.value = None
        self.waiters = None
        self.attempts = None
        self.deaths = None
        self.payload = payload
        self.args = args
        self.kwds = kwds
        self.callback = callback
        self.error_callback = error_callback

    available = 1  # always; as a property it would cost each task

    @property
    def has_callback(self) -> bool:
        return self.callback is not None or self.error_callback is not None

    def release(self) -> Any:
        held = (self.owner, self.payload, self.args, self.kwds)
        self.owner = self.payload = self.args = self.kwds = None
        return held

    def fail_rest(self, error: BaseException) -> bool:
        self.value = Failure(error)
        return True

    def describe(self) -> str:
        """The call in brief, such as ``resize('cat.png', 0.5)``."""
        arguments = ""
        args, kwds = self.args, self.kwds
        if args is not None and kwds is not None:
            parts = [_brief(value) for value in args]
            parts += [f"{name}={_brief(value)}" for name, value in kwds.items()]
            arguments = ", ".join(parts)
        return f"{self.function.name}({arguments})"


class Frozen:
    """An item as it was when it was drawn, whatever becomes of the object that it came from.

    Attributes:
        payload: the arguments of its task, in the form that the pool's lanes take.
        item: the object, for messages.
    """

    __slots__ = ("item", "payload")

    def __init__(self, item: Any, payload: Any) -> None:
        self.item = item
        self.payload = payload

    def __repr__(self) -> str:
        return repr(self.item)


class BulkCall(Call):
    """A call of a function over many items: a task for each.

    Attributes:
        star: whether an item is the tuple of the function's arguments.
        singly: whether items must be pickled one by one.
        frozen: whether some items are `Frozen`.
        least: the least number of items to take together, where there are so many.
        on_progress: told how many more tasks are done, or None.
        on_end: told once all are, or None.
    """

    __slots__ = ("_returned", "frozen", "least", "on_end", "on_progress", "singly", "star")

    def __init__(
        self,
        scheduler: Scheduler,
        function: Function,
        policy: Policy,
        owner: Any,
        star: bool,
        least: int = 1,
    ) -> None:
        super().__init__(scheduler, function, policy, owner)
        self.star = star
        self.singly = False
        self.frozen = False
        self.least = least
        self.on_progress: Callable[[int], None] | None = None
        self.on_end: Callable[[], None] | None = None
        self._returned: deque[tuple[int, Sequence[Any]]] = deque()

    def take(self, limit: int) -> ItemsBatch:
        """Take up to `limit` tasks of those `available`, of which there is one at least."""
        if self._returned:
            start, items = self._returned.popleft()
            if len(items) > limit:
                self._returned.appendleft((start + limit, items[limit:]))
                items = items[:limit]
            return ItemsBatch(self, start, items)
        return self._take_fresh(limit)

    def _take_fresh(self, limit: int) -> ItemsBatch:
        raise NotImplementedError

    def give_back(self, start: int, items: Sequence[Any]) -> None:
        """Take back items that were not begun; they are the next to be taken."""
        if len(items):
            self._returned.appendleft((start, items))

    def put(self, start: int, values: list[Any]) -> bool:
        """Take the outcomes of items from `start` on. Whether the call is complete then."""
        raise NotImplementedError

    def describe_item(self, item: Any) -> str:
        """The task of an item in brief."""
        arguments = ", ".join(map(_brief, item)) if self.star else _brief(item)
        return f"{self.function.name}({arguments})"

    @property
    def _given_back(self) -> int:
        return sum(len(items) for _, items in self._returned)


class MapCall(BulkCall):
    """A call over a sequence whose outcomes are wanted together."""

    __slots__ = ("_items", "_left", "_taken", "values")

    def __init__(
        self,
        scheduler: Scheduler,
        function: Function,
        policy: Policy,
        owner: Any,
        star: bool,
        items: Sequence[Any],
        least: int = 1,
    ) -> None:
        super().__init__(scheduler, function, policy, owner, star, least)
        self._items = items
        self._taken = 0
        self._left = len(items)
        #: outcomes so far; None once they have been made into the call's value
        self.values: Any = [None] * len(items)

    @property
    def available(self) -> int:
        return len(self._items) - self._taken + self._given_back

    def _take_fresh(self, limit: int) -> ItemsBatch:
        start = self._taken
        items = self._items[start : start + limit]
        self._taken = start + len(items)
        return ItemsBatch(self, start, items)

    def put(self, start: int, values: list[Any]) -> bool:
        self.values[start : start + len(values)] = values
        self._left -= len(values)
        return self._left == 0

    def fail_rest(self, error: BaseException) -> bool:
        spans = [(start, len(items)) for start, items in self._returned]
        spans.append((self._taken, len(self._items) - self._taken))
        self._returned.clear()
        self._taken = len(self._items)
        self.failed = True
        complete = self._left == 0
        for start, count in spans:
            if count:
                complete = self.put(start, [Failure(error)] * count)
        return complete

    def release(self) -> Any:
        held = (super().release(), self._items, list(self._returned))
        self._items = ()
        self._taken = 0
        self._returned.clear()
        return held


class Source:
    """Draws a stream's items."""

    def hurry(self) -> None:
        """The pool is being joined: come to an end without waiting for outcomes to be fetched."""

    def stop(self) -> None:
        """Draw nothing more."""


class StreamCall(BulkCall):
    """A call whose items are drawn, and whose outcomes are fetched, while it runs.

    Attributes:
        ordered: whether outcomes are fetched in the order of their items.
        ready: outcomes that can be fetched.
        total: how many items there are; None while that is not known.
        source: what draws the items.
    """

    __slots__ = (
        "_ahead",
        "_buffer",
        "_next",
        "_taken",
        "ordered",
        "ready",
        "source",
        "total",
    )

    def __init__(
        self,
        scheduler: Scheduler,
        function: Function,
        policy: Policy,
        owner: Any,
        star: bool,
        ordered: bool,
        least: int = 1,
    ) -> None:
        super().__init__(scheduler, function, policy, owner, star, least)
        self.ordered = ordered
        self.ready: deque[Any] = deque()
        self.total: int | None = None
        self.source: Source | None = None
        self._buffer: deque[Any] = deque()
        self._taken = 0  # items taken so far, which is also the index of the next one
        self._next = 0  # how many outcomes have become ready; if ordered, the index of the next one
        self._ahead: dict[int, list[Any]] = {}  # outcomes that came before their turn, by first index

    @property
    def available(self) -> int:
        return len(self._buffer) + self._given_back

    @property
    def fetched(self) -> int:
        """How many outcomes have been fetched."""
        return self._next - len(self.ready)

    @property
    def drawn(self) -> int:
        """How many items have been drawn."""
        return self._taken + len(self._buffer)

    @property
    def has_callback(self) -> bool:
        return False

    def draw(self, items: Sequence[Any]) -> None:
        """Add items that wait to be taken."""
        self._buffer.extend(items)

    def _take_fresh(self, limit: int) -> ItemsBatch:
        buffer = self._buffer
        count = min(limit, len(buffer))
        start = self._taken
        self._taken = start + count
        popleft = buffer.popleft
        return ItemsBatch(self, start, [popleft() for _ in range(count)])

    def put(self, start: int, values: list[Any]) -> bool:
        if not values:
            return False
        if not self.ordered:
            self._next += len(values)
            self.ready.extend(values)
        elif start != self._next:
            self._ahead[start] = values
        else:
            run = list(values)
            while (following := self._ahead.pop(start + len(run), None)) is not None:
                run += following
            self._next += len(run)
            self.ready.extend(run)
        return True  # somebody may be waiting for these

    def release(self) -> Any:
        held = (super().release(), self.source)
        self.source = None
        return held

    @property
    def complete(self) -> bool:
        """Whether every outcome there will ever be is ready or fetched."""
        return self.total is not None and self._next >= self.total

    def fail_rest(self, error: BaseException) -> bool:
        spans = [(start, len(items)) for start, items in self._returned]
        spans.append((self._taken, len(self._buffer)))
        self._taken += len(self._buffer)
        self._returned.clear()
        self._buffer.clear()
        for start, count in spans:
            if count:
                self.put(start, [Failure(error)] * count)
        self.end(error)
        return True

    def end(self, error: BaseException | None = None) -> None:
        """No more items come; with `error`, a last outcome says why."""
        if self.total is None:
            # What was not drawn has no task that could fail: an outcome of its own carries the reason.
            self.total = self.drawn + (error is not None)
            if error is not None:
                self.put(self.total - 1, [Failure(error)])
