"""How a worker runs tasks: claims each, calls the function, writes the outcome where it survives the worker."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pickle import dumps, loads

from allcores.engine import channel as ch
from allcores.engine.known import Known
from allcores.engine.outcome import PLAIN, pack, pack_failure
from allcores.engine.parcels import LEAST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Runner", "flush_output", "pack_error"]

#: The kinds of numbers that have a column, as in `channel.COLUMNS`.
_NUMBERS = (object, int, float)
_COLUMN_OF = {int: 1, float: 2}

#: Reports outcomes: sequence number, count, nanoseconds, bytes valid in the half, flags, stream.
_Report = Callable[[int, int, int, int, int, bytes], None]


class _Run:
    """A batch that is being run.

    Attributes:
        current: the sequence number of the task that comes next.
        stop: the one behind the last task.
        advance: runs the next task.
        half: where outcomes go.
        position: how many bytes of it are filled.
        pending: an outcome that is still to be written.
        boxed: whether some outcomes need unboxing.
        timed: whether to record when each task begins.
        last_kind: the type of the last result.
    """

    __slots__ = ("advance", "boxed", "current", "half", "last_kind", "pending", "position", "stop", "timed")

    def __init__(self, first: int, stop: int, advance: Callable[[], Any], half: memoryview) -> None:
        self.current = first
        self.stop = stop
        self.advance = advance
        self.half = half
        self.position = 0
        self.pending: bytes | None = None
        self.boxed = False
        self.timed = False
        self.last_kind: type = object


class Runner:
    """Runs batches and single tasks.

    Args:
        control: the control block.
        known: functions, by number.
        report: sends a report.
        unreadable: tells the parent that the items of a batch (sequence number, count) cannot be unpickled together.
    """

    def __init__(
        self,
        control: memoryview,
        known: Known,
        report: _Report,
        unreadable: Callable[[int, int], None],
    ) -> None:
        self._words = control[: ch.HALVES_AT].cast("Q")
        middle = ch.HALVES_AT + ch.HALF_SIZE
        self._halves = (control[ch.HALVES_AT : middle], control[middle : middle + ch.HALF_SIZE])
        self._numbers = memoryview(b"")  # the column being filled
        self._known = known
        self._report = report
        self._unreadable = unreadable

    def let_go(self) -> None:
        """In a process that a task has forked: what is shared with the parent is the worker's alone."""
        for view in (self._words, self._numbers, *self._halves):
            view.release()

    def run_call(self, sequence: int, function_id: int, flags: int, body: memoryview) -> None:
        """The shortest way: one task, no batch around it."""
        words = self._words
        words[ch.CLAIM] = sequence
        if sequence >= words[ch.LIMIT]:
            self._report(sequence, 0, 0, 0, ch.LAST, b"")
            return
        began = time.monotonic_ns()
        if flags & ch.TIMED:
            words[ch.STARTED] = began
        try:
            args, kwds = loads(body)
            if self._known.mains:
                self._known.restore_main(function_id)
            value = self._known.functions[function_id](*args, **kwds)
        except BaseException as error:
            data, boxed = pack_error(error), True
        else:
            boxed = type(value) not in PLAIN or _is_large(value)
            data = pack(value, self._known.send_apart) if boxed else dumps(value, 3)[2:-1]
            args = kwds = value = None
        flush_output()
        words[ch.STARTED] = 0
        report = ch.LAST | ch.BOXED if boxed else ch.LAST
        self._report(sequence, 1, time.monotonic_ns() - began, 0, report, data)

    def run_batch(self, sequence: int, count: int, flags: int, body: memoryview) -> None:
        """Run the tasks of a batch, as far as the limit lets them begin."""
        words = self._words
        words[ch.WRITTEN] = words[ch.FORMAT] = 0
        # From here on a death counts as the first task's: what it brings along is being loaded.
        words[ch.CLAIM] = sequence
        if flags & ch.TIMED:
            words[ch.STARTED] = time.monotonic_ns()
        introduced, mode, ids, items = loads(body)
        self._known.introduce(introduced)
        advance = self._apply(mode, ids, items)
        if advance is None:
            words[ch.STARTED] = 0
            self._unreadable(sequence, count)
            return
        run = _Run(sequence, sequence + count, advance, self._halves[1 if flags & ch.SECOND_HALF else 0])
        run.timed = bool(flags & ch.TIMED)
        column = self._known.columns.get(ids, 0) if type(ids) is int and not run.timed else 0
        if 8 * count > ch.HALF_SIZE:
            column = 0
        began = time.monotonic_ns()
        if column:
            column = self._fill_column(run, column)
        if not column:
            self._fill_stream(run, began)
            if type(ids) is int:
                self._known.columns[ids] = _COLUMN_OF.get(run.last_kind, 0)
        if run.current == run.stop:
            words[ch.CLAIM] = run.stop
        words[ch.STARTED] = 0
        # What the tasks were given must be gone before the report, which tells of it.
        del advance, items
        run.advance = _nothing
        flush_output()
        report = ch.LAST | column << ch.COLUMN_SHIFT | (ch.BOXED if run.boxed else 0)
        self._report(run.current, 0, time.monotonic_ns() - began, run.position, report, b"")

    def _fill_column(self, run: _Run, column: int) -> int:
        """Run tasks as long as they return numbers of one kind, which need no pickling.

        Returns:
            The column; 0 once a task has returned something else, whose outcome then is `run.pending`.
        """
        words = self._words
        self._numbers = numbers = run.half.cast(ch.COLUMNS[column])  # type: ignore[call-overload]
        words[ch.FORMAT] = column
        wanted = _NUMBERS[column]
        first, stop, advance = run.current, run.stop, run.advance
        current = first
        value: Any = None
        failure: BaseException | None = None
        fits = True
        # Each line of this loop is paid for by every small task of every user.
        try:
            for current in range(first, stop):
                words[0] = current  # CLAIM
                if current >= words[1]:  # LIMIT
                    break
                value = advance()
                if type(value) is not wanted:
                    fits = False
                    break
                try:
                    numbers[current - first] = value
                except ValueError:  # an integer of more than 8 bytes
                    fits = False
                    break
            else:
                current = stop
        except BaseException as error:
            failure = error
        run.position = 8 * (current - first)
        run.current = current
        if fits and failure is None:
            return column
        # What has come is no such number: the column ends here, and a stream follows it in the half.
        run.pending = self._pack(run, value) if failure is None else self._pack_failure(run, failure)
        self._report(current, 0, 0, run.position, column << ch.COLUMN_SHIFT, b"")
        words[ch.WRITTEN] = run.position
        words[ch.FORMAT] = 0
        return 0

    def _fill_stream(self, run: _Run, began: int) -> None:
        """Run the tasks that are left, writing outcomes of any kind."""
        words, half, advance, position = self._words, run.half, run.advance, run.position
        for current in range(run.current, run.stop):
            run.current = current
            if run.pending is None:
                words[ch.CLAIM] = current
                if current >= words[ch.LIMIT]:
                    break
                if run.timed:
                    words[ch.STARTED] = time.monotonic_ns()
                try:
                    value = advance()
                except BaseException as error:
                    data = self._pack_failure(run, error)
                else:
                    data = self._pack(run, value)
                    value = None
            else:
                data, run.pending = run.pending, None
            end = position + len(data)
            if end > ch.HALF_SIZE or len(data) > ch.LARGE_RESULT:
                elapsed = time.monotonic_ns() - began
                self._report(current, 1, elapsed, position, ch.BOXED if run.boxed else 0, data)
            else:
                half[position:end] = data
                words[ch.WRITTEN] = position = end
        else:
            run.current = run.stop
        run.position = position

    def _pack(self, run: _Run, value: Any) -> bytes:
        run.last_kind = type(value)
        if run.last_kind in PLAIN and not _is_large(value):
            return dumps(value, 3)[2:-1]
        run.boxed = True
        return pack(value, self._known.send_apart)

    def _pack_failure(self, run: _Run, error: BaseException) -> bytes:
        run.last_kind = object
        run.boxed = True
        return pack_error(error)

    def _apply(self, mode: int, ids: Any, items: Any) -> Callable[[], Any] | None:
        """An iterator's ``__next__`` that runs one task a call, or None where the items cannot be unpickled."""
        applied: Iterator[Any]
        if mode == ch.MODE_CALLS:
            each = ids if type(ids) is list else itertools.repeat(ids)
            applied = map(self._call, each, self._opened(items))
        elif mode == ch.MODE_PLAIN:
            if self._known.mains:
                self._known.restore_main(ids)
            applied = itertools.starmap(self._known.functions[ids], items)
        else:
            try:
                loaded = self._known.load(items)
                if self._known.mains:
                    self._known.restore_main(ids)
            except BaseException:
                return None
            function = self._known.functions[ids]
            applied = map(function, loaded) if mode == ch.MODE_EACH else itertools.starmap(function, loaded)
        return applied.__next__

    def _opened(self, items: list[Any]) -> Iterator[Any]:
        """Take in what came apart, also of tasks that will not be begun: that returns it."""
        for index, item in enumerate(items):
            if type(item) is not bytes:
                items[index] = self._known.apart.open(item)
        return iter(items)

    def _call(self, function_id: int, blob: bytes | Callable[[], Any]) -> Any:
        args, kwds = loads(blob) if type(blob) is bytes else blob()  # type: ignore[operator]
        if self._known.mains:
            self._known.restore_main(function_id)
        return self._known.functions[function_id](*args, **kwds)


def pack_error(error: BaseException) -> bytes:
    """Pack an exception of the user's code, whose traceback begins where that does."""
    traceback = error.__traceback__
    engine = __name__.rpartition(".")[0] + "."
    while traceback is not None and traceback.tb_frame.f_globals.get("__name__", "").startswith(engine):
        traceback = traceback.tb_next
    return pack_failure(error, traceback or error.__traceback__)


def _is_large(value: Any) -> bool:
    """Whether a plain value is too large for the stream."""
    return type(value) in (str, bytes) and len(value) >= LEAST


def _nothing() -> None:
    """Stands where tasks were."""


def flush_output() -> None:
    """What a task has printed is out before its result is."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            continue
