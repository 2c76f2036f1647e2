"""Lanes: the only part that knows where work runs. What one must offer to the scheduler."""

from __future__ import annotations

import enum
import time
from collections import deque
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.engine.batch import Batch
    from allcores.engine.outcome import Failure
    from allcores.engine.parcels import Parcel
    from allcores.engine.scheduler import Scheduler

__all__ = ["Death", "Hook", "Lane", "LaneState", "Lanes"]


#: A function, and its arguments, to be called once in each lane.
Hook = tuple[Callable[..., object], tuple[object, ...]]


class LaneState(enum.Enum):
    """The life of a lane, in this order."""

    STARTING = "it cannot take work yet"
    OPEN = "it takes work"
    ENDING = "it has been told to end; what it runs may finish"
    ENDED = "it is gone"


class Death:
    """How a lane ended.

    Attributes:
        expected: whether it had been told to end.
        pid: its process.
        exitcode: its exit code, ``-N`` for signal N; None where it is not known.
        peak_memory: its largest resident set, in bytes; None where it is not known.
        stderr: what it wrote last to its standard error.
        setup: why its set-up failed, where it did.
        note: what else is known of it.
    """

    __slots__ = ("exitcode", "expected", "note", "peak_memory", "pid", "setup", "stderr")

    def __init__(
        self,
        expected: bool,
        exitcode: int | None = None,
        peak_memory: int | None = None,
        setup: Failure | None = None,
    ) -> None:
        self.expected = expected
        self.exitcode = exitcode
        self.peak_memory = peak_memory
        self.setup = setup
        self.pid: int | None = None
        self.stderr = ""
        self.note = ""


class Lane:
    """A place that runs one batch at a time, and holds one more at most.

    The scheduler's lock guards the attributes. Methods are called without it, `send` by one thread at a time.

    Attributes:
        number: counts the lanes of a pool from 1.
        state: where it is in its life.
        batches: what it has to run, oldest first.
        sender: the thread that is starting it or sending it a batch; 0 while none is.
        withdrawing: whether tasks have been taken back from it and it has not said so yet.
        quota: how many more tasks it may be given; None for any number.
        killed_for: the error of the task that it is being killed for, where that is so.
        tasks: how many tasks it has done.
        busy: nanoseconds spent in them.
        bytes_in, bytes_out: sent to it, and received.
    """

    __slots__ = (
        "batches",
        "busy",
        "bytes_in",
        "bytes_out",
        "killed_for",
        "number",
        "opened",
        "pid",
        "quota",
        "scheduler",
        "sender",
        "state",
        "tasks",
        "withdrawing",
    )

    def __init__(self, scheduler: Scheduler, number: int) -> None:
        self.scheduler = scheduler
        self.number = number
        self.state = LaneState.STARTING
        self.batches: deque[Batch] = deque()
        self.sender = 0
        self.withdrawing = False
        self.quota: int | None = None
        self.killed_for: BaseException | None = None
        self.pid: int | None = None
        self.tasks = 0
        self.busy = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.opened = 0.0

    def start(self) -> None:
        """Begin to start; `Scheduler.lane_ready` or `Scheduler.lane_ended` is called later.

        Raises:
            Exception: it cannot start; nothing is left of the attempt.
        """
        raise NotImplementedError

    def send(self, batch: Batch) -> None:
        """Run a batch that is in `batches`; the scheduler hears of its outcomes."""
        raise NotImplementedError

    def exchange(self, batch: Batch) -> None:
        """Run a batch in the calling thread, if that is the shortest way."""
        self.send(batch)

    def borrow(self) -> bool:
        """Whether the calling thread may `exchange`; if so, it must."""
        return False

    def forget(self, number: int) -> None:
        """The function or shared object of this number will not be used for long. Called with the lock."""

    def tend(self, trim: bool, idle: bool) -> None:
        """Now and then, while large buffers are about: tell the worker what it should know of them.

        Args:
            trim: whether it should let go of memory that it has no use for.
            idle: whether nobody else can be sending.
        """

    def admit(self, batch: Batch) -> None:
        """A batch has been appended to `batches`. Called with the lock."""
        batch.sent = time.monotonic()

    def give_up(self) -> None:
        """After an exception in a thread that had borrowed the lane: it is in no state to be used again."""

    def finished(self, batch: Batch) -> bool:
        """Whether the lane has done all of a batch, so far as can be seen, whether or not it has reported it."""
        return False

    def begun(self, batch: Batch) -> int:
        """How many tasks of a batch have begun, so far as can be seen without disturbing the lane."""
        return batch.count

    def withdraw(self) -> None:
        """Let no task begin that has not: lowers `Batch.withdrawn` of each batch. Called with the lock."""

    def resume(self) -> None:
        """Take tasks again after `withdraw`; `batches` is empty. Called with the lock."""

    def collect(self) -> None:
        """Settle finished tasks of the batch under way, without waiting for its end."""

    def running_since(self) -> float | None:
        """When the task that runs began, by `time.monotonic`, where that is recorded."""
        return None

    def memory(self) -> int:
        """The resident set of the lane and of what it started, in bytes; 0 where that has no meaning."""
        return 0

    def stop(self) -> None:
        """End in good order, after what it runs."""
        raise NotImplementedError

    def kill(self, grace: float = 0.0) -> None:
        """End now, whatever runs, with everything that it started.

        Args:
            grace: seconds between a polite signal and the last one.
        """
        raise NotImplementedError

    def abandon(self) -> None:
        """After a fork, in the child: close what was inherited."""


class Lanes:
    """Makes lanes of one kind, and knows the form in which they take arguments."""

    #: whether tasks run while the caller does something else
    concurrent: bool

    def make(self, scheduler: Scheduler, number: int) -> Lane:
        """A new lane, not started."""
        raise NotImplementedError

    def pickle(self, target: Callable[..., Any]) -> tuple[bytes | Parcel, bool]:
        """The function's pickle, and whether it went by value."""
        raise NotImplementedError

    def keep(self, blob: Any) -> Any:
        """What `pickle` has returned, made independent of the objects that it came from."""
        return blob

    def pack(self, args: tuple[Any, ...], kwds: dict[str, Any]) -> Any:
        """Arguments in the form that the lanes take."""
        raise NotImplementedError

    def freeze(self, item: Any) -> Any:
        """An item that has been drawn from an iterator, which may go on changing it: a `Frozen` where need be."""
        return item

    def share(self, value: Any, on_end: Callable[[int], object]) -> Any:
        """What arrives as `value` when it is, or is part of, an argument.

        Args:
            value: the object.
            on_end: called with a number for `Lane.forget` when it is not used any more.
        """
        return value

    def open(self, scheduler: Scheduler) -> None:
        """Get ready to start lanes, without waiting."""

    def close(self) -> None:
        """Let go of what was needed to start lanes. No lane is left."""

    def abandon(self) -> None:
        """After a fork, in the child: close what was inherited."""
