"""The worker loop: take a batch, call, report. Runs in a worker process.

Everything imported here is part of every user's start-up time.
"""

from __future__ import annotations

import itertools
import pickle
import socket
import sys
import time
from collections.abc import Callable, Iterator
from mmap import mmap
from typing import Any

from allcores.engine import channel as ch
from allcores.engine.frames import Frame, FrameReader, frame
from allcores.engine.outcome import pack, pack_failure

__all__ = ["Setup", "Worker"]


class Setup:
    """What a worker is to do before its first task and after its last one.

    Attributes:
        name: the worker's name, as `multiprocessing.current_process().name` shows it.
        authkey: the program's key for `multiprocessing` connections.
        initializer: a pickled ``(function, args)`` called before the first task, or None.
        finalizer: a pickled ``(function, args)`` called when the worker ends in good order, or None.
    """

    __slots__ = ("authkey", "finalizer", "initializer", "name")

    def __init__(self, name: str, authkey: bytes, initializer: bytes | None, finalizer: bytes | None) -> None:
        self.name = name
        self.authkey = authkey
        self.initializer = initializer
        self.finalizer = finalizer


class Worker:
    """One worker's side of a channel.

    Only the worker's main thread calls its methods.
    """

    def __init__(self, connection: socket.socket, control: mmap) -> None:
        self._connection = connection
        block = memoryview(control)
        self._words = block[: ch.HALVES_AT].cast("Q")
        first = ch.HALVES_AT
        second = first + ch.HALF_SIZE
        self._halves = (block[first:second], block[second : second + ch.HALF_SIZE])
        self._functions: dict[int, Callable[..., Any]] = {}
        self._finalizer: bytes | None = None
        self._frames = FrameReader(connection)

    def serve(self) -> None:
        """Run tasks until told to stop, or until the parent is gone."""
        while True:
            try:
                frame = self._receive()
            except KeyboardInterrupt:
                continue  # a Ctrl-C between tasks is the parent's business
            except (EOFError, ConnectionError):
                return
            if not self._handle(*frame):
                return

    def _handle(self, kind: int, sequence: int, count: int, flags: int, body: memoryview) -> bool:
        if kind == ch.CALL:
            self._run_call(sequence, count, flags, body)
        elif kind == ch.BATCH:
            self._run_batch(sequence, count, flags, body)
        elif kind == ch.FORGET:
            for function_id in pickle.loads(body):
                self._functions.pop(function_id, None)
        elif kind == ch.SETUP:
            return self._set_up(pickle.loads(body))
        elif kind == ch.STOP:
            self._finalize()
            return False
        return True

    # Life

    def _set_up(self, setup: Setup) -> bool:
        from multiprocessing import process

        current = process.current_process()
        current.name = setup.name
        current.authkey = setup.authkey
        self._finalizer = setup.finalizer
        try:
            if setup.initializer is not None:
                function, arguments = pickle.loads(setup.initializer)
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
            function, arguments = pickle.loads(self._finalizer)
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
            args, kwds = pickle.loads(body)
            value = self._functions[function_id](*args, **kwds)
        except BaseException as error:
            data, boxed = self._failure(error), 1
        else:
            data, boxed = pack(value, _dumps_by_value)
            args = kwds = value = None
        _flush_output()
        words[ch.STARTED] = 0
        report = ch.LAST | ch.BOXED if boxed else ch.LAST
        self._report(sequence, 1, time.monotonic_ns() - began, 0, report, data)

    def _run_batch(self, sequence: int, count: int, flags: int, body: memoryview) -> None:
        words = self._words
        words[ch.WRITTEN] = 0
        # From here on a death counts as the first task's: what it brings along is being loaded.
        words[ch.CLAIM] = sequence
        functions, mode, ids, items = pickle.loads(body)
        for function_id, blob in functions:
            self._functions[function_id] = _load_function(blob)
        half = self._halves[1 if flags & ch.SECOND_HALF else 0]
        advance = self._apply(mode, ids, items)
        if advance is None:
            self._send(ch.UNREADABLE, sequence, count, b"")
            return
        timed = flags & ch.TIMED
        position = boxed = 0
        began = time.monotonic_ns()
        # A loop over the batch with no call but the task's own and the pickler's: each line here is paid for by
        # every task of every user.
        for current in range(sequence, sequence + count):
            words[ch.CLAIM] = current
            if current >= words[ch.LIMIT]:
                break
            if timed:
                words[ch.STARTED] = time.monotonic_ns()
            try:
                value = advance()
            except BaseException as error:
                data, box = self._failure(error), 1
            else:
                data, box = pack(value, _dumps_by_value)
                value = None
            boxed |= box
            end = position + len(data)
            if end > ch.HALF_SIZE or len(data) > ch.LARGE_RESULT:
                elapsed = time.monotonic_ns() - began
                self._report(current, 1, elapsed, position, ch.BOXED if boxed else 0, data)
                continue
            half[position:end] = data
            words[ch.WRITTEN] = position = end
        else:
            current += 1
            words[ch.CLAIM] = current
        words[ch.STARTED] = 0
        advance = items = None
        _flush_output()
        elapsed = time.monotonic_ns() - began
        self._report(current, 0, elapsed, position, ch.LAST | (ch.BOXED if boxed else 0), b"")

    def _apply(self, mode: int, ids: Any, items: Any) -> Callable[[], Any] | None:
        """An iterator's ``__next__`` that runs one task a call, or None where the items cannot be unpickled."""
        applied: Iterator[Any]
        if mode == ch.MODE_CALLS:
            each = ids if type(ids) is list else itertools.repeat(ids)
            applied = map(self._call, each, items)
        else:
            try:
                loaded = pickle.loads(items)
            except BaseException:
                return None
            function = self._functions[ids]
            applied = map(function, loaded) if mode == ch.MODE_EACH else itertools.starmap(function, loaded)
        return applied.__next__

    def _call(self, function_id: int, blob: bytes) -> Any:
        args, kwds = pickle.loads(blob)
        return self._functions[function_id](*args, **kwds)

    def _failure(self, error: BaseException) -> bytes:
        traceback = error.__traceback__
        here = __file__
        while traceback is not None and traceback.tb_frame.f_code.co_filename == here:
            traceback = traceback.tb_next
        return pack_failure(error, traceback or error.__traceback__, _dumps_by_value)

    # Frames

    def _report(
        self, sequence: int, count: int, elapsed: int, position: int, flags: int, stream: bytes
    ) -> None:
        body = ch.REPORT.pack(elapsed, position, flags) + stream
        self._send(ch.RESULTS, sequence, count, body)

    def _send(self, kind: int, sequence: int, count: int, body: bytes) -> None:
        self._connection.sendall(frame(kind, sequence, count, 0, body))

    def _receive(self) -> Frame:
        """Wait for the next frame. Its body is valid until the next call."""
        while True:
            complete = self._frames.next()
            if complete is not None:
                return complete
            if not self._frames.fill():
                raise EOFError


def _load_function(blob: bytes) -> Callable[..., Any]:
    """Unpickle a function; one that cannot be raises the reason for each task, instead of ending the worker."""
    try:
        function: Callable[..., Any] = pickle.loads(blob)
    except BaseException as error:
        reason = error

        def unavailable(*args: Any, **kwds: Any) -> Any:
            raise reason

        return unavailable
    return function


def _dumps_by_value(value: Any) -> bytes:
    from allcores.engine.by_value import dumps_by_value

    return dumps_by_value(value)


def _flush_output() -> None:
    """What a task has printed is out before its result is."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            continue
