"""The worker loop: take a batch, call, report. Runs in a worker process.

Everything imported here is part of every user's start-up time.
"""

from __future__ import annotations

import itertools
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from mmap import mmap
from pickle import dumps, loads

from allcores.engine import channel as ch
from allcores.engine.citizenship import Reporting, limit_threads
from allcores.engine.frames import Frame, FrameReader, frame
from allcores.engine.outcome import PLAIN, pack, pack_failure
from allcores.engine.parcels import LEAST
from allcores.engine.shared import Unavailable, objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.engine.by_value import MainState
    from allcores.engine.lane import Hook
    from allcores.engine.out_of_band import OutOfBand
    from allcores.engine.parcels import Parcel

__all__ = ["Setup", "Worker"]

#: The kinds of numbers that have a column, as in `channel.COLUMNS`.
_NUMBERS = (object, int, float)
_COLUMN_OF = {int: 1, float: 2}


class Setup:
    """What a worker is to know before its first task.

    Attributes:
        name: the worker's name, as `multiprocessing.current_process().name` shows it.
        authkey: the program's key for `multiprocessing` connections.
        reporting: how loggers and warnings are set up in the program.
        threads: how many threads a numeric library may use; 0 for any number.
    """

    __slots__ = ("authkey", "name", "reporting", "threads")

    def __init__(self, name: str, authkey: bytes, reporting: Reporting, threads: int) -> None:
        self.name = name
        self.authkey = authkey
        self.reporting = reporting
        self.threads = threads


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


class Worker:
    """One worker's side of a channel.

    Only the worker's main thread calls its methods.

    Args:
        connection: the channel.
        control: the control block.
        side: the socket for descriptors of large buffers.
        hooks: initializer and finalizer, where they are inherited from the program by fork.
    """

    def __init__(
        self,
        connection: socket.socket,
        control: mmap,
        side: socket.socket,
        hooks: tuple[Hook | None, Hook | None] = (None, None),
    ) -> None:
        self._connection = connection
        self._side = side
        self._out_of_band: OutOfBand | None = None
        self._initializer, self._finalizer = hooks
        self._sending = threading.Lock()
        self._sender = 0  # the thread that sends
        self._pid = os.getpid()
        block = memoryview(control)
        self._words = block[: ch.HALVES_AT].cast("Q")
        first = ch.HALVES_AT
        second = first + ch.HALF_SIZE
        self._halves = (block[first:second], block[second : second + ch.HALF_SIZE])
        self._numbers = memoryview(b"")  # the column being filled
        self._functions = objects
        self._columns: dict[int, int] = {}  # by function id: the column that its last results would fit
        self._mains: dict[int, MainState] = {}  # by function id: the main module's globals that it came with
        self._main = 0  # the function whose globals were put in place last
        self._came: dict[str, Any] = {}  # globals that have been put there since
        self._reporting: Reporting | None = None
        self._frames = FrameReader(connection)

    def serve(self) -> None:
        """Run tasks until told to stop, or until the parent is gone."""
        os.register_at_fork(after_in_child=self._let_go)
        while True:
            try:
                frame = self._receive()
            except KeyboardInterrupt:
                continue  # a Ctrl-C between tasks is the parent's business
            except (EOFError, ConnectionError):
                return
            try:
                if not self._handle(*frame):
                    return
            except BaseException:
                if os.getpid() == self._pid:
                    raise
                # A process that a task has forked has come back from the task; it is no worker.
                _flush_output()
                os._exit(0)

    def _let_go(self) -> None:
        """In a process that a task has forked: what is shared with the parent is the worker's alone."""
        for view in (self._words, self._numbers, *self._halves):
            view.release()
        self._connection.detach()

    def _handle(self, kind: int, sequence: int, count: int, flags: int, body: memoryview) -> bool:
        if kind == ch.CALL:
            self._run_call(sequence, count, flags, body)
        elif kind == ch.BATCH:
            self._run_batch(sequence, count, flags, body)
        elif kind == ch.FORGET:
            for function_id in loads(body):
                self._functions.pop(function_id, None)
                self._columns.pop(function_id, None)
                self._mains.pop(function_id, None)
        elif kind == ch.NOTICE:
            self._apart.take_notice(body)
        elif kind == ch.SETUP:
            return self._set_up(*loads(body))
        elif kind == ch.STOP:
            self._finalize()
            return False
        return True

    # Life

    def _set_up(self, setup: Setup, introduced: list[tuple[int, Any]], initializer: Any, finalizer: Any) -> bool:
        from multiprocessing import process

        current = process.current_process()
        current.name = setup.name
        current.authkey = setup.authkey
        self._reporting = setup.reporting
        setup.reporting.install(self._send_report)
        limit_threads(setup.threads)
        try:
            self._introduce(introduced)
            if initializer is not None:
                self._initializer = self._load(initializer)
            if finalizer is not None:
                self._finalizer = self._load(finalizer)
            if self._initializer is not None:
                function, arguments = self._initializer
                function(*arguments)
        except BaseException as error:
            self._send(ch.BROKEN, 0, 0, self._failure(error))
            return False
        self._send(ch.READY, 0, 0, b"")
        return True

    def _finalize(self) -> None:
        if self._finalizer is None:
            return
        try:
            function, arguments = self._finalizer
            function(*arguments)
        except BaseException:
            sys.excepthook(*sys.exc_info())

    # Tasks

    def _run_call(self, sequence: int, function_id: int, flags: int, body: memoryview) -> None:
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
            if self._mains:
                self._restore_main(function_id)
            args, kwds = loads(body)
            value = self._functions[function_id](*args, **kwds)
        except BaseException as error:
            data, boxed = self._failure(error), True
        else:
            boxed = type(value) not in PLAIN or _is_large(value)
            data = pack(value, self._send_apart) if boxed else dumps(value, 3)[2:-1]
            args = kwds = value = None
        _flush_output()
        words[ch.STARTED] = 0
        report = ch.LAST | ch.BOXED if boxed else ch.LAST
        self._report(sequence, 1, time.monotonic_ns() - began, 0, report, data)

    def _run_batch(self, sequence: int, count: int, flags: int, body: memoryview) -> None:
        words = self._words
        words[ch.WRITTEN] = words[ch.FORMAT] = 0
        # From here on a death counts as the first task's: what it brings along is being loaded.
        words[ch.CLAIM] = sequence
        if flags & ch.TIMED:
            words[ch.STARTED] = time.monotonic_ns()
        introduced, mode, ids, items = loads(body)
        self._introduce(introduced)
        advance = self._apply(mode, ids, items)
        if advance is None:
            words[ch.STARTED] = 0
            self._send(ch.UNREADABLE, sequence, count, b"")
            return
        run = _Run(sequence, sequence + count, advance, self._halves[1 if flags & ch.SECOND_HALF else 0])
        run.timed = bool(flags & ch.TIMED)
        column = self._columns.get(ids, 0) if type(ids) is int and not run.timed else 0
        if 8 * count > ch.HALF_SIZE:
            column = 0
        began = time.monotonic_ns()
        if column:
            column = self._fill_column(run, column)
        if not column:
            self._fill_stream(run, began)
            if type(ids) is int:
                self._columns[ids] = _COLUMN_OF.get(run.last_kind, 0)
        if run.current == run.stop:
            words[ch.CLAIM] = run.stop
        words[ch.STARTED] = 0
        # What the tasks were given must be gone before the report, which tells of it.
        del advance, items
        run.advance = _nothing
        _flush_output()
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
        return pack(value, self._send_apart)

    def _pack_failure(self, run: _Run, error: BaseException) -> bytes:
        run.last_kind = object
        run.boxed = True
        return self._failure(error)

    def _apply(self, mode: int, ids: Any, items: Any) -> Callable[[], Any] | None:
        """An iterator's ``__next__`` that runs one task a call, or None where the items cannot be unpickled."""
        applied: Iterator[Any]
        if mode == ch.MODE_CALLS:
            each = ids if type(ids) is list else itertools.repeat(ids)
            applied = map(self._call, each, self._opened(items))
        else:
            try:
                if self._mains:
                    self._restore_main(ids)
                loaded = self._load(items)
            except BaseException:
                return None
            function = self._functions[ids]
            applied = map(function, loaded) if mode == ch.MODE_EACH else itertools.starmap(function, loaded)
        return applied.__next__

    def _opened(self, items: list[Any]) -> Iterator[Any]:
        """Take in what came apart, also of tasks that will not be begun: that returns it."""
        for index, item in enumerate(items):
            if type(item) is not bytes:
                items[index] = self._apart.open(item)
        return iter(items)

    def _call(self, function_id: int, blob: bytes | Callable[[], Any]) -> Any:
        if self._mains:
            self._restore_main(function_id)
        args, kwds = loads(blob) if type(blob) is bytes else blob()  # type: ignore[operator]
        return self._functions[function_id](*args, **kwds)

    def _introduce(self, introduced: list[tuple[int, Any]]) -> None:
        """Unpickle functions and shared objects; one that cannot be raises the reason for each task."""
        for number, blob in introduced:
            self._take_main()
            try:
                self._functions[number] = self._load(blob)
            except BaseException as error:
                self._functions[number] = Unavailable(error)
            if self._reporting is not None and self._reporting.filters:
                self._reporting.catch_up()  # with what loading it has imported
            main = self._take_main()
            if main is not None:
                self._mains[number] = main
                self._main = number

    def _take_main(self) -> MainState | None:
        """The globals of the main module that have come with what was loaded last; they are in place."""
        by_value: Any = sys.modules.get("allcores.engine.by_value")
        if by_value is None:
            return None
        self._came = by_value.came
        main: MainState | None = by_value.MainState.taken()
        if main is not None:
            self._main = 0
        return main

    def _restore_main(self, function_id: int) -> None:
        """Let a function find the main module as it was when it was sent, whatever has come since."""
        if self._main == function_id and not self._came:
            return
        self._take_main()
        main = self._mains.get(function_id)
        if main is not None:
            main.restore()
            self._main = function_id

    def _load(self, blob: Any) -> Any:
        return loads(blob) if type(blob) is bytes else self._apart.open(blob)()

    # Large buffers

    @property
    def _apart(self) -> OutOfBand:
        if self._out_of_band is None:
            from allcores.engine.out_of_band import OutOfBand
            from allcores.engine.segments import Segments

            self._out_of_band = OutOfBand(self._side, Segments(), gives_away=True)
        return self._out_of_band

    def _send_apart(self, parcel: Parcel) -> Any:
        return self._apart.pack(parcel)

    def _failure(self, error: BaseException) -> bytes:
        traceback = error.__traceback__
        here = __file__
        while traceback is not None and traceback.tb_frame.f_code.co_filename == here:
            traceback = traceback.tb_next
        return pack_failure(error, traceback or error.__traceback__)

    # Frames

    def _report(self, sequence: int, count: int, elapsed: int, position: int, flags: int, stream: bytes) -> None:
        body = ch.REPORT.pack(elapsed, position, flags) + stream
        notice = self._out_of_band.notice() if self._out_of_band is not None else b""
        self._send(ch.RESULTS, sequence, count, body, frame(ch.NOTICE, body=notice) if notice else b"")

    def _send(self, kind: int, sequence: int, count: int, body: bytes, before: bytes = b"") -> None:
        with self._sending:
            self._sender = threading.get_ident()
            self._connection.sendall(before + frame(kind, sequence, count, 0, body))
            self._sender = 0

    def _send_report(self, kind: int, body: bytes) -> bool:
        """Send a log record or a warning; any thread of the worker may.

        Returns:
            False where that cannot be: in a process that a task has forked, or in a signal handler that has
            interrupted another frame.
        """
        if os.getpid() != self._pid or self._sender == threading.get_ident():
            return False
        self._send(kind, 0, 0, body)
        return True

    def _receive(self) -> Frame:
        """Wait for the next frame. Its body is valid until the next call."""
        while True:
            complete = self._frames.next()
            if complete is not None:
                return complete
            if not self._frames.fill():
                raise EOFError


def _is_large(value: Any) -> bool:
    """Whether a plain value is too large for the stream."""
    return type(value) in (str, bytes) and len(value) >= LEAST


def _nothing() -> None:
    """Stands where tasks were."""


def _flush_output() -> None:
    """What a task has printed is out before its result is."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            continue
