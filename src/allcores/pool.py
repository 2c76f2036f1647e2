"""`Pool`: the interface of `multiprocessing.Pool` over the engine."""

from __future__ import annotations

import itertools
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType

from allcores.arguments import check_callbacks, check_count, check_modules, check_tuple
from allcores.cpu import cpu_count
from allcores.engine.calls import StreamCall
from allcores.engine.lane import Lanes
from allcores.engine.outcome import Failure
from allcores.engine.policy import NO_POLICY, UNSET, Retry, check_memory, make_policy
from allcores.engine.scheduler import PoolState, Scheduler
from allcores.lanes import make_lanes
from allcores.results import AsyncResult, MapResult, ResultIterator, SingleResult, stream
from allcores.seeding import SeededCall, Seeds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.watch.stats import PoolStats

__all__ = ["Pool"]

_OPEN = PoolState.OPEN

#: The keyword arguments of a call without any.
_NOTHING: dict[str, Any] = {}

_numbers = itertools.count(1)
_alive: weakref.WeakSet[Scheduler] = weakref.WeakSet()


class Pool:
    """Runs functions in worker processes.

    The methods and their meaning are those of `multiprocessing.Pool`; what it adds is keyword-only. Workers are
    started when there is work for them. Any function travels: lambdas, closures, functions of ``__main__``. A
    worker that dies costs the task that it ran, which raises `WorkerDied`; the pool goes on.

    Args:
        processes: how many workers there may be; None for `cpu_count()`.
        initializer: called as ``initializer(*initargs)`` in each worker before its first task.
        initargs: its arguments.
        maxtasksperchild: after how many tasks a worker is replaced; None for never. An item of `map` is a task.
        context: a context of `multiprocessing`, or its name. One for ``fork`` forks workers from this process, so
            that they inherit its variables; one for ``spawn`` starts each afresh; None and ``forkserver`` take workers
            from a warm template, which is quick and safe with threads.
        engine: where tasks run: ``"processes"``, ``"threads"``, or ``"serial"`` (in the calling thread, to debug).
        timeout: seconds that each task may run, from its start; past that it raises `TaskTimeout`.
        retries: how often a failed task is tried again; a number, or a `Retry`.
        memory_limit: what a worker and the processes it starts may occupy (their resident sets together), in bytes or
            as text such as ``"2GB"``; the task that is over it raises `MemoryLimitExceeded`.
        seed: seeds `random` and `numpy.random` before each task, each task with a seed of its own that does not
            depend on the number of workers; None leaves the generators alone.
        finalizer: called as ``finalizer()`` in each worker that ends in good order.
        preload: names of modules that workers find imported.
        progress: whether `map` and its like show a progress bar; a dict is passed to tqdm.
        name: what workers and threads are called after.

    Raises:
        TypeError, ValueError: for an argument out of its range, naming it.
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
        *,
        engine: str = "processes",
        timeout: float | None = None,
        retries: int | Retry = 0,
        memory_limit: int | str | None = None,
        seed: int | None = None,
        finalizer: Callable[[], object] | None = None,
        preload: Iterable[str] = (),
        progress: bool | dict[str, Any] = False,
        name: str | None = None,
    ) -> None:
        self._closed = True  # until all is well, for __del__
        size = check_count("processes", processes, none=cpu_count())
        tasks_per_lane = check_count("maxtasksperchild", maxtasksperchild, none=None)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if finalizer is not None and not callable(finalizer):
            raise TypeError("finalizer must be a callable")
        self._policy = make_policy(NO_POLICY, timeout, retries)
        limit = check_memory("memory_limit", memory_limit)
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise TypeError(f"seed must be a whole number or None, not {seed!r}")
        self._seeds = Seeds(seed) if seed is not None else None
        if not isinstance(progress, (bool, dict)):
            raise TypeError(f"progress must be True, False or a dict of options for tqdm, not {progress!r}")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be text or None, not {name!r}")
        self._progress = progress
        self._name = name or f"allcores-{next(_numbers)}"
        lanes = make_lanes(
            engine,
            name=self._name,
            initializer=(initializer, check_tuple("initargs", initargs)) if initializer is not None else None,
            finalizer=(finalizer, ()) if finalizer is not None else None,
            preload=check_modules(preload),
            context=context,
        )
        assert size is not None
        self._processes = size
        self._scheduler = Scheduler(lanes, size, self._name, tasks_per_lane, limit)
        self._lanes: Lanes = lanes
        self._pid = os.getpid()
        self._closed = False
        lanes.open(self._scheduler)
        _alive.add(self._scheduler)
        _register_exit()

    # One task

    def apply(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = _NOTHING,
        *,
        timeout: Any = UNSET,
        retries: Any = UNSET,
    ) -> Any:
        """Call ``func(*args, **kwds)`` in a worker and return its result.

        Args:
            func: any function.
            args: positional arguments.
            kwds: keyword arguments.
            timeout: seconds that the task may run; left out, the pool's.
            retries: further attempts after a failure; left out, the pool's.

        Raises:
            BaseException: what the task raised, as `AsyncResult.get` does.
        """
        result = self._single(func, args, kwds, None, None, timeout, retries)
        try:
            if not result.done and (result.policy is not NO_POLICY or not self._scheduler.run_now(result)):
                self._scheduler.submit(result)
            return result.get()
        except BaseException:
            if not result.done:
                result.cancel()  # a Ctrl-C: nobody can fetch the result any more
            raise

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = _NOTHING,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        *,
        timeout: Any = UNSET,
        retries: Any = UNSET,
    ) -> AsyncResult:
        """Call ``func(*args, **kwds)`` in a worker, without waiting.

        Args:
            func, args, kwds, timeout, retries: as for `apply`.
            callback: called with the result, in a thread of the pool; it should return at once.
            error_callback: likewise, with the error.

        Returns:
            The result to come.
        """
        result = self._single(func, args, kwds, callback, error_callback, timeout, retries)
        if not result.done:
            self._scheduler.submit(result)
        return result

    def _single(
        self,
        func: Callable[..., Any],
        args: Iterable[Any],
        kwds: Mapping[str, Any],
        callback: Callable[[Any], object] | None,
        error_callback: Callable[[BaseException], object] | None,
        timeout: Any,
        retries: Any,
    ) -> SingleResult:
        scheduler = self._scheduler
        if scheduler.state is not _OPEN:
            self._check_usable()
        policy = self._policy
        if timeout is not UNSET or retries is not UNSET:
            policy = make_policy(policy, timeout, retries)
        failure = payload = None
        if type(args) is not tuple:
            args = check_tuple("args", args)
        keywords = _NOTHING
        if kwds is not _NOTHING:
            try:
                keywords = dict(kwds)
            except (TypeError, ValueError):
                raise TypeError(f"kwds must be a mapping, not {kwds!r}") from None
        if callback is not None or error_callback is not None:
            check_callbacks(callback, error_callback)
        if self._seeds is not None:
            key = next(self._seeds.number((None,)))[0]
            func, args = SeededCall(func), (key, *args)
        try:
            payload = self._lanes.pack(args, keywords)
            function = scheduler.repertoire.function(func)
        except Exception as error:
            failure = Failure(error)
            function = scheduler.repertoire.unsendable(func)
        result = SingleResult(scheduler, function, policy, self, payload, args, keywords, callback, error_callback)
        if failure is not None:
            result.value = failure
            scheduler.settlement.complete([result])
        return result

    # Many tasks, results together

    def map(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        *,
        timeout: Any = UNSET,
        retries: Any = UNSET,
        progress: Any = UNSET,
        return_exceptions: bool = False,
    ) -> list[Any]:
        """Call ``func(item)`` for each item and return the results in order.

        Args:
            func: any function of one argument.
            iterable: the items; drawn to the end first.
            chunksize: the least number of items that travel together; left out, the engine chooses.
            timeout, retries: as for `apply`, for each item.
            progress: whether to show a bar; left out, as the pool was told.
            return_exceptions: put the error of an item that failed into the list, in its place.

        Raises:
            BaseException: what the first item that failed raised, once all are done.
        """
        options = {"timeout": timeout, "retries": retries, "progress": progress}
        return self._wait(self._map(func, iterable, chunksize, False, return_exceptions=return_exceptions, **options))

    def starmap(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        *,
        timeout: Any = UNSET,
        retries: Any = UNSET,
        progress: Any = UNSET,
        return_exceptions: bool = False,
    ) -> list[Any]:
        """Like `map`, with ``func(*item)``."""
        options = {"timeout": timeout, "retries": retries, "progress": progress}
        return self._wait(self._map(func, iterable, chunksize, True, return_exceptions=return_exceptions, **options))

    def map_async(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[list[Any]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        *,
        timeout: Any = UNSET,
        retries: Any = UNSET,
        progress: Any = UNSET,
        return_exceptions: bool = False,
    ) -> AsyncResult:
        """Like `map`, without waiting; callbacks as for `apply_async`."""
        options = {"timeout": timeout, "retries": retries, "progress": progress}
        return self._map(func, iterable, chunksize, False, callback, error_callback, return_exceptions, **options)

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[list[Any]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        *,
        timeout: Any = UNSET,
        retries: Any = UNSET,
        progress: Any = UNSET,
        return_exceptions: bool = False,
    ) -> AsyncResult:
        """Like `starmap`, without waiting; callbacks as for `apply_async`."""
        options = {"timeout": timeout, "retries": retries, "progress": progress}
        return self._map(func, iterable, chunksize, True, callback, error_callback, return_exceptions, **options)

    def _map(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        chunksize: int | None,
        star: bool,
        callback: Callable[[list[Any]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        return_exceptions: bool = False,
        *,
        timeout: Any,
        retries: Any,
        progress: Any,
    ) -> MapResult:
        self._check_usable()
        policy = make_policy(self._policy, timeout, retries)
        least = check_count("chunksize", chunksize, none=1)
        assert least is not None
        check_callbacks(callback, error_callback)
        if self._seeds is not None:
            func, iterable, star = self._seeds.seeded(func, star), self._seeds.number(iterable), False
        # A list is copied: the caller may change it while tasks run.
        items = iterable if isinstance(iterable, (tuple, range)) else list(iterable)
        scheduler = self._scheduler
        unsendable: Exception | None = None
        try:
            function = scheduler.repertoire.function(func)
        except Exception as error:
            unsendable = error
            function = scheduler.repertoire.unsendable(func)
        result = MapResult(
            scheduler,
            function,
            policy,
            self,
            star,
            items,
            least,
            callback=callback,
            error_callback=error_callback,
            return_exceptions=return_exceptions,
        )
        self._show_progress(result, len(items), progress)
        if unsendable is not None:
            result.fail_rest(unsendable)
        if unsendable is not None or not items:
            scheduler.settlement.complete([result])
        else:
            scheduler.submit(result)
        return result

    def _wait(self, result: MapResult) -> list[Any]:
        try:
            values: list[Any] = result.get()
        except BaseException:
            if not result.done:
                result.cancel()  # a Ctrl-C: nobody can fetch the rest any more
            raise
        return values

    # Many tasks, results as they come

    def imap(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        *,
        buffersize: int | None = None,
        timeout: Any = UNSET,
        retries: Any = UNSET,
        progress: Any = UNSET,
    ) -> ResultIterator:
        """Call ``func(item)`` for each item; iterate over the results in order, as they come.

        Args:
            func: any function of one argument.
            iterable: the items, which may be endless: they are drawn as results are fetched.
            chunksize: the least number of items that travel together, when so many are there.
            buffersize: how many items may be drawn ahead of the results that have been fetched; left out, a number
                that suits the tasks: at least 2 for each worker and 2 more, at most 256.
            timeout, retries, progress: as for `map`.

        Raises:
            ValueError: chunksize or buffersize is less than 1.
        """
        return self._stream(func, iterable, chunksize, buffersize, True, timeout, retries, progress)

    def imap_unordered(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        *,
        buffersize: int | None = None,
        timeout: Any = UNSET,
        retries: Any = UNSET,
        progress: Any = UNSET,
    ) -> ResultIterator:
        """Like `imap`, with the results in the order in which they are done."""
        return self._stream(func, iterable, chunksize, buffersize, False, timeout, retries, progress)

    def _stream(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None,
        buffersize: int | None,
        ordered: bool,
        timeout: Any,
        retries: Any,
        progress: Any,
    ) -> ResultIterator:
        self._check_usable()
        policy = make_policy(self._policy, timeout, retries)
        least = check_count("chunksize", chunksize, none=1)
        room = check_count("buffersize", buffersize, none=None)
        assert least is not None
        total = len(iterable) if isinstance(iterable, Sequence) else None
        if self._seeds is not None:
            func, iterable = self._seeds.seeded(func, False), self._seeds.number(iterable)
        scheduler = self._scheduler
        try:
            function = scheduler.repertoire.function(func)
        except Exception as error:
            call = StreamCall(scheduler, scheduler.repertoire.unsendable(func), policy, self, False, ordered)
            call.end(error)
            return stream(call, (), None)
        call = StreamCall(scheduler, function, policy, self, False, ordered, least)
        self._show_progress(call, total, progress)
        return stream(call, iterable, room)

    def _show_progress(self, call: Any, total: int | None, progress: Any) -> None:
        wanted = self._progress if progress is UNSET else progress
        if wanted:
            from allcores.watch.progress import progress_bar

            call.on_progress, call.on_end = progress_bar(total, wanted, call.function.name)

    # Large data

    def share(self, obj: Any) -> Any:
        """Send an object to each worker once, instead of with each task.

        Args:
            obj: anything that can be pickled. The arrays in it are mapped by the workers, not copied; what a task
                writes to one, only tasks of the same worker see.

        Returns:
            A handle, to be passed to tasks as an argument, in an argument, in a `functools.partial` or a closure; it
            arrives as the object. The object lives in the workers until the handle is gone. Where tasks run in
            this process (``engine="threads"`` or ``"serial"``), it is the object itself.

        Raises:
            Exception: what pickling the object raised.
        """
        self._check_usable()
        return self._scheduler.repertoire.share(obj)

    # Life

    def stats(self) -> PoolStats:
        """What each worker has done so far; printable."""
        from allcores.watch.stats import PoolStats

        return PoolStats(tuple(self._scheduler.entries()), self._processes)

    def close(self) -> None:
        """Take no more tasks; workers end once they have done those they were given."""
        self._closed = True
        self._scheduler.close()

    def terminate(self) -> None:
        """End all workers at once; tasks that are not done raise `concurrent.futures.CancelledError`."""
        self._closed = True
        if self._pid != os.getpid():
            return  # a fork has inherited this object; the workers are the parent's
        self._scheduler.terminate()
        self._scheduler.join(timeout=10)

    def join(self) -> None:
        """Wait until the workers have ended.

        Raises:
            ValueError: `close` or `terminate` must come first.
        """
        if self._scheduler.state is PoolState.OPEN:
            raise ValueError("Pool is still running")
        self._scheduler.join()

    def __enter__(self) -> Pool:
        self._check_usable()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.terminate()

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if self._closed or self._pid != os.getpid() or self._scheduler.state is not PoolState.OPEN:
            return
        if self._scheduler.used:
            # A collection may come at any moment, also while this very thread holds the scheduler's lock.
            self._scheduler.reactor.call_soon(self._scheduler.terminate)
            _warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, source=self, stacklevel=2)
        else:
            self._lanes.close()

    def __repr__(self) -> str:
        cls = type(self)
        return f"<{cls.__module__}.{cls.__qualname__} {self._name} processes={self._processes}>"

    def __reduce__(self) -> Any:
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    def _check_usable(self) -> None:
        if self._pid != os.getpid():
            raise RuntimeError("this pool belongs to the process that this one was forked from; make a new one here")
        self._scheduler.check_open()


# The end of the program

_exit_lock = threading.Lock()
_exit_registered = False


def _register_exit() -> None:
    global _exit_registered
    with _exit_lock:
        if not _exit_registered:
            import atexit

            atexit.register(_end_all)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_forked)
            _exit_registered = True


def _end_all() -> None:
    for scheduler in list(_alive):
        scheduler.terminate()
    for scheduler in list(_alive):
        scheduler.join(timeout=5)


def _forked() -> None:
    """In a child that the program has forked: its pools are the parent's."""
    for scheduler in list(_alive):
        scheduler.abandon()
    _alive.clear()
