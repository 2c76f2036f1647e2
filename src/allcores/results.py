"""What a pool's methods return: results that can be waited for, and iterators over them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

from allcores.engine.batching import size_of_window
from allcores.engine.calls import Call, Frozen, MapCall, SingleCall, Source, StreamCall
from allcores.engine.outcome import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["AsyncResult", "MapResult", "ResultIterator", "SingleResult"]


def wait_for(call: Call, ready: Callable[[], Any], timeout: float | None) -> bool:
    """Wait until a call has something for its caller.

    Args:
        call: the call.
        ready: whether it has; asked with the scheduler's lock.
        timeout: seconds to wait at most; None for ever.

    Returns:
        False when the time ran out first.

    Raises:
        RuntimeError: the caller is a callback of the same pool, and would wait for itself.
    """
    scheduler = call.scheduler
    if scheduler.pid != os.getpid():
        raise RuntimeError("this result belongs to the process that this one was forked from; only there it will come")
    deadline = None if timeout is None else time.monotonic() + max(timeout, 0)
    while not ready():
        if scheduler.reactor.inside or threading.get_ident() in scheduler.settlement.calling:
            raise RuntimeError(
                "a callback runs in a thread that takes in results, so it cannot wait for one: "
                "start a thread, or use the result where it is fetched"
            )
        gate = threading.Lock()
        gate.acquire()
        with scheduler.lock:
            if ready():
                return True
            if call.waiters is None:
                call.waiters = []
            call.waiters.append(gate.release)
        if deadline is None:
            gate.acquire()
        elif not gate.acquire(timeout=min(max(deadline - time.monotonic(), 0), threading.TIMEOUT_MAX)):
            with scheduler.lock:
                if call.waiters is not None and gate.release in call.waiters:
                    call.waiters.remove(gate.release)
            return bool(ready())
    return True


class AsyncResult(Call):
    """The result of a task that may still be running.

    It can be fetched with `get`, and awaited in a coroutine: ``await pool.apply_async(f, (1,))``.
    """

    __slots__ = ()

    def get(self, timeout: float | None = None) -> Any:
        """Return the result, when it is there.

        Args:
            timeout: seconds to wait at most; None for ever.

        Raises:
            multiprocessing.TimeoutError: the result was not there in time.
            concurrent.futures.CancelledError: the task was cancelled, or the pool terminated.
            WorkerDied: the task's worker was killed.
            TaskTimeout: the task ran longer than its own limit.
            BaseException: what the task raised, with a `RemoteTraceback` as its cause.
        """
        if not self.done and not wait_for(self, lambda: self.done, timeout):
            from multiprocessing import TimeoutError

            raise TimeoutError
        value = self.value
        if type(value) is Failure:
            raise value.renewed()
        return value

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the result is there, or until `timeout` seconds have passed."""
        if not self.done:
            wait_for(self, lambda: self.done, timeout)

    def ready(self) -> bool:
        """Whether the result is there."""
        return self.done

    def successful(self) -> bool:
        """Whether the task returned without raising.

        Raises:
            ValueError: the result is not there yet.
        """
        if not self.done:
            raise ValueError(f"{self!r} not ready")
        return type(self.value) is not Failure

    def cancel(self) -> bool:
        """Give the task up: one that waits is dropped, one that runs is stopped together with its worker.

        Returns:
            False when it was done already.
        """
        return self.scheduler.interventions.cancel(self)

    def __await__(self) -> Generator[Any, None, Any]:
        import asyncio

        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def tell() -> None:
            if not future.done():
                future.set_result(None)

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(tell)
            except RuntimeError:
                pass  # the loop has been closed, and nobody waits any more

        with self.scheduler.lock:
            if not self.done:
                self.waiters = [*(self.waiters or ()), wake]
            else:
                future.set_result(None)
        yield from future.__await__()
        return self.get()


class SingleResult(AsyncResult, SingleCall):
    """The result of `Pool.apply_async`."""

    __slots__ = ()

    def before_done(self) -> None:
        if type(self.value) is Failure:
            if self.error_callback is not None:
                self.error_callback(self.value.error)
        elif self.callback is not None:
            self.callback(self.value)


class MapResult(AsyncResult, MapCall):
    """The result of `Pool.map_async` and `Pool.starmap_async`: a list, or the error of the first item that failed."""

    __slots__ = ("callback", "error_callback", "return_exceptions")

    def __init__(
        self,
        *arguments: Any,
        callback: Callable[[list[Any]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        return_exceptions: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(*arguments, **keywords)
        self.callback = callback
        self.error_callback = error_callback
        self.return_exceptions = return_exceptions

    def before_done(self) -> None:
        values, self.values = self.values, None
        if values is None:
            return
        if not self.failed:
            self.value = values
        elif self.return_exceptions:
            self.value = [value.error if type(value) is Failure else value for value in values]
        else:
            self.value = next((value for value in values if type(value) is Failure), values)
        if type(self.value) is Failure:
            if self.error_callback is not None:
                self.error_callback(self.value.error)
        elif self.callback is not None:
            self.callback(self.value)


class ResultIterator(Iterator["Any"]):
    """Iterates over the results of `Pool.imap` and `Pool.imap_unordered`, as they come.

    Input is drawn as results are fetched, a bounded number of items ahead.
    """

    def __init__(self, call: StreamCall, source: SequenceSource | IteratorSource) -> None:
        self._call = call
        self._source = source

    def __iter__(self) -> ResultIterator:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, timeout: float | None = None) -> Any:
        """Return the next result.

        Args:
            timeout: seconds to wait at most; None for ever.

        Raises:
            StopIteration: there are no more.
            multiprocessing.TimeoutError: none came in time.
            BaseException: what the item's task raised; the iteration can go on after it.
        """
        call = self._call
        while True:
            try:
                value = call.ready.popleft()
                break
            except IndexError:
                pass  # nothing yet, or another thread was quicker
            with call.scheduler.lock:
                due = call.fetched >= self._source.refill_at
            if due:
                self._source.refill()
            if not wait_for(call, lambda: call.ready or call.complete, timeout):
                from multiprocessing import TimeoutError

                raise TimeoutError
            with call.scheduler.lock:
                if not call.ready and call.complete:
                    raise StopIteration
        if call.fetched >= self._source.refill_at:
            self._source.refill()
        if type(value) is Failure:
            error = value.renewed()
            if isinstance(error, StopIteration):
                # Raised as it is, it would end the iteration in silence.
                raise RuntimeError("the task raised StopIteration") from error
            raise error
        return value

    def __del__(self) -> None:
        # Whoever has fetched something and drops the iterator wants no more; whoever has fetched nothing wants
        # the tasks to be run, and no results. In the reactor's thread: a collection may come at any moment, also
        # while this very thread holds the scheduler's lock.
        call, source = self._call, self._source
        if not call.done:
            source.unwatched = not call.fetched
            call.scheduler.reactor.call_soon(source.run_unwatched if source.unwatched else source.stop)


class SequenceSource(Source):
    """Draws a stream's items from a sequence, in the thread that fetches results."""

    def __init__(self, call: StreamCall, items: Sequence[Any], buffersize: int | None) -> None:
        self._call = call
        self._items = items
        self._buffersize = buffersize
        self._drawn = 0
        self._lock = threading.RLock()  # on the serial engine tasks run, and end, while it is held
        self.unwatched = False
        self.refill_at = 0

    def begin(self) -> None:
        """Draw the first items."""
        self.refill()
        if not self._items:
            self._call.scheduler.end_stream(self._call)

    def refill(self) -> None:
        """Draw what the window has room for."""
        call = self._call
        window = self._buffersize or size_of_window(call.function, call.scheduler.size)
        self._draw_to(call.fetched + window)
        self.refill_at = call.fetched + max(1, window // 4)

    def hurry(self) -> None:
        """Draw everything: its number is known, and nobody may be fetching."""
        self._draw_to(len(self._items))

    run_unwatched = hurry

    def stop(self) -> None:
        """Draw nothing more."""
        with self._lock:
            self._items = self._items[: self._drawn]
        self._call.scheduler.end_stream(self._call)

    def _draw_to(self, end: int) -> None:
        call = self._call
        with self._lock:
            start = self._drawn
            items = self._items[start:end]
            self._drawn = start + len(items)
            if items:
                call.scheduler.more(call, items)
            ended = self._drawn == len(self._items)
        if ended:
            call.scheduler.end_stream(call)


class IteratorSource(Source):
    """Draws a stream's items from an iterator, in a thread of its own.

    An iterator may take its time, or wait for something that happens only once a result has been fetched; neither
    may keep finished results from the caller.
    """

    def __init__(self, call: StreamCall, items: Iterator[Any], buffersize: int | None) -> None:
        self._call = call
        self._items = items
        self._buffersize = buffersize
        self._room = threading.Condition()
        self._stopped = False
        self.unwatched = False
        self._limit = 0
        self.refill_at = 0

    def begin(self) -> None:
        """Start to draw."""
        self.refill()
        threading.Thread(target=self._run, name="allcores-feeder", daemon=True).start()

    def refill(self) -> None:
        """Let what the window has room for be drawn."""
        call = self._call
        window = self._buffersize or size_of_window(call.function, call.scheduler.size)
        with self._room:
            self._limit = call.fetched + window
            self._room.notify()
        self.refill_at = call.fetched + max(1, window // 4)

    def hurry(self) -> None:
        """Draw nothing more: without anybody fetching results the end may never come."""
        if not self.unwatched:
            self._stop(
                RuntimeError(
                    "the pool was joined before the input of imap was drawn to its end: fetch the results first, "
                    "or pass a list"
                )
            )

    def stop(self) -> None:
        """Draw nothing more."""
        self._stop(None)

    def run_unwatched(self) -> None:
        """Draw everything; results are dropped as they come."""
        call = self._call
        watcher = call.on_progress

        def drop(count: int) -> None:
            if watcher is not None:
                watcher(count)
            call.ready.clear()
            self.refill()

        call.on_progress = drop
        drop(0)

    def _stop(self, error: BaseException | None) -> None:
        with self._room:
            if self._stopped:
                return
            self._stopped = True
            self._room.notify()
        self._call.scheduler.end_stream(self._call, error)

    def _run(self) -> None:
        drawn = 0
        while True:
            with self._room:
                while drawn >= self._limit and not self._stopped:
                    self._room.wait()
                if self._stopped:
                    return
            while drawn < self._limit:
                if self._stopped:
                    return
                chunk, ended, error = self._draw()
                drawn += len(chunk)
                if (chunk and not self._call.scheduler.more(self._call, self._freeze(chunk))) or ended:
                    self._stop(error)
                    return

    def _draw(self) -> tuple[list[Any], bool, BaseException | None]:
        """The next chunk, whether the iterator is at its end, and the error that it ended with.

        A chunk that the iterator does not complete is lost with its error, as in the standard pool.
        """
        chunk: list[Any] = []
        try:
            while len(chunk) < self._call.least:
                chunk.append(next(self._items))
        except StopIteration:
            return chunk, True, None
        except BaseException as error:
            return [], True, error
        return chunk, False, None

    def _freeze(self, chunk: list[Any]) -> list[Any]:
        """The iterator may use an object again that it has given out, as many readers do with their buffer."""
        frozen = [self._call.scheduler.lanes.freeze(item) for item in chunk]
        self._call.frozen |= any(type(item) is Frozen for item in frozen)
        return frozen


class InlineSource(IteratorSource):
    """Draws items one at a time in the thread that fetches results: for the engine that runs tasks in that thread."""

    def begin(self) -> None:
        self.refill()

    def refill(self) -> None:
        call = self._call
        while not self._stopped and call.drawn <= call.fetched:
            chunk, ended, error = self._draw()
            if (chunk and not call.scheduler.more(call, chunk)) or ended:
                self._stop(error)
        self.refill_at = 0


def _iterate(items: Iterable[Any]) -> Iterator[Any]:
    """An iterator over `items`; where they cannot be iterated over, the first item tells, as in the standard pool."""
    yield from items


def stream(call: StreamCall, items: Iterable[Any], buffersize: int | None) -> ResultIterator:
    """Open a stream call over `items`.

    Args:
        call: the call, not submitted.
        items: any iterable; of a list, a tuple or a range the end is known, and no thread is needed.
        buffersize: how many items may be under way; None for a number that suits the tasks.
    """
    source: SequenceSource | IteratorSource
    if isinstance(items, list):
        items = tuple(items)  # the caller may change it while tasks run
    if type(items) in (tuple, range):
        source = SequenceSource(call, items, buffersize)  # type: ignore[arg-type]
    elif not call.scheduler.lanes.concurrent:
        source = InlineSource(call, _iterate(items), buffersize)
    else:
        source = IteratorSource(call, _iterate(items), buffersize)
    call.source = source
    call.scheduler.open_stream(call)
    source.begin()
    return ResultIterator(call, source)
