"""Who does the tasks: the calling thread, threads of its own, or a pool's workers.

A pool of threads would do what threads of its own do, and more: none of which is needed here, and importing it
takes as long as counting 200 MB.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial

from .tasks import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queue import SimpleQueue
    from typing import Any

    from allcores.pool import Pool
    from allcores.results import AsyncResult

__all__ = ["Alone", "Crew", "OnPool", "OnThreads"]

# Tasks that a worker finds waiting when it has done one.
_TASKS_AHEAD = 3


class Crew:
    """Does tasks, some at a time."""

    def has_room(self) -> bool:
        """Whether one more task would be worked on soon."""
        raise NotImplementedError

    def submit(self, task: Task) -> None:
        """Do a task, or have it done."""
        raise NotImplementedError

    def collect(self) -> Iterable[Task]:
        """Wait until a task has ended, and give it its result; returns the tasks that follow."""
        raise NotImplementedError

    def is_idle(self) -> bool:
        """Whether nothing is being done, and nothing is to be collected."""
        raise NotImplementedError

    def dismiss(self, *, done: bool) -> None:
        """End it, in good order if all is done."""


class Alone(Crew):
    """The calling thread does a task as soon as it is submitted."""

    def __init__(self) -> None:
        self._following: Iterable[Task] | None = None

    def has_room(self) -> bool:
        return self._following is None

    def submit(self, task: Task) -> None:
        self._following = task.finish(task.function(*task.arguments))

    def collect(self) -> Iterable[Task]:
        following, self._following = self._following, None
        assert following is not None
        return following

    def is_idle(self) -> bool:
        return self._following is None


class _Workers(Crew):
    """Several tasks at a time; each ends with its result, or the error instead, in `_ended`."""

    def __init__(self, workers: int) -> None:
        from queue import SimpleQueue

        self._room = workers * (1 + _TASKS_AHEAD)
        self._running: dict[Task, AsyncResult | None] = {}
        self._ended: SimpleQueue[tuple[Task, Any, BaseException | None]] = SimpleQueue()

    def has_room(self) -> bool:
        return len(self._running) < self._room

    def submit(self, task: Task) -> None:
        self._running[task] = self._begin(task)

    def _begin(self, task: Task) -> AsyncResult | None:
        raise NotImplementedError

    def collect(self) -> Iterable[Task]:
        task, result, error = self._ended.get()
        del self._running[task]
        if error is None:
            return task.finish(result)
        if isinstance(error, _ends_of_a_task()):
            return task.lose(f"not counted: {str(error).partition(chr(10))[0] or type(error).__name__}")
        raise error

    def is_idle(self) -> bool:
        return not self._running


class OnThreads(_Workers):
    """Threads do them, in code that lets go of the interpreter's lock.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        from queue import SimpleQueue

        super().__init__(workers)
        self._is_over = False
        self._waiting: SimpleQueue[Task | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"allcores-count-{number}", daemon=True)
            for number in range(1, workers + 1)
        ]
        for thread in self._threads:
            thread.start()

    def _begin(self, task: Task) -> None:
        self._waiting.put(task)

    def _work(self) -> None:
        while (task := self._waiting.get()) and not self._is_over:
            try:
                self._ended.put((task, task.function(*task.arguments), None))
            except BaseException as error:
                self._ended.put((task, None, error))

    def dismiss(self, *, done: bool) -> None:
        self._is_over = True
        for _ in self._threads:
            self._waiting.put(None)
        if done:  # or else a task may be waiting for a disk that does not answer
            for thread in self._threads:
                thread.join()


class OnPool(_Workers):
    """A pool's workers do them.

    Args:
        pool: the pool.
        workers: how many it has.
        owned: whether to end it with the crew.
    """

    def __init__(self, pool: Pool, workers: int, *, owned: bool) -> None:
        super().__init__(workers)
        self._pool = pool
        self._owned = owned

    def _begin(self, task: Task) -> AsyncResult:
        # The callbacks are called in a thread of the pool's; what they bring is dealt with in `collect`.
        return self._pool.apply_async(
            task.function, task.arguments, {}, partial(self._end, task), partial(self._fail, task)
        )

    def _end(self, task: Task, result: Any) -> None:
        self._ended.put((task, result, None))

    def _fail(self, task: Task, error: BaseException) -> None:
        self._ended.put((task, None, error))

    def dismiss(self, *, done: bool) -> None:
        if self._owned and done:
            self._pool.close()
            self._pool.join()
        elif self._owned:
            self._pool.terminate()
        else:
            for result in self._running.values():
                assert result is not None
                result.cancel()


def _ends_of_a_task() -> tuple[type[BaseException], ...]:
    """The errors that are a worker's fate, or a limit of the caller's pool, and no fault of this program."""
    from allcores.errors import PoolBroken, TaskTimeout, WorkerDied

    return WorkerDied, TaskTimeout, PoolBroken, MemoryError
