"""Who does the tasks: the calling thread, or a pool's workers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from .tasks import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queue import SimpleQueue
    from typing import Any

    from allcores.pool import Pool
    from allcores.results import AsyncResult

__all__ = ["Alone", "Crew", "OnPool"]

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


class OnPool(Crew):
    """A pool's workers do them.

    Args:
        pool: the pool.
        workers: how many it has.
        owned: whether to end it with the crew.
    """

    def __init__(self, pool: Pool, workers: int, *, owned: bool) -> None:
        from queue import SimpleQueue

        self._pool = pool
        self._owned = owned
        self._room = workers * (1 + _TASKS_AHEAD)
        self._running: dict[Task, AsyncResult] = {}
        self._ended: SimpleQueue[tuple[Task, Any, BaseException | None]] = SimpleQueue()

    def has_room(self) -> bool:
        return len(self._running) < self._room

    def submit(self, task: Task) -> None:
        # The callbacks are called in a thread of the pool's; what they bring is dealt with in `collect`.
        self._running[task] = self._pool.apply_async(
            task.function, task.arguments, {}, partial(self._end, task), partial(self._fail, task)
        )

    def _end(self, task: Task, result: Any) -> None:
        self._ended.put((task, result, None))

    def _fail(self, task: Task, error: BaseException) -> None:
        self._ended.put((task, None, error))

    def collect(self) -> Iterable[Task]:
        task, result, error = self._ended.get()
        del self._running[task]
        if error is None:
            return task.finish(result)
        if isinstance(error, _ends_of_a_task()):
            return task.lose(f"not counted: {str(error).partition(chr(10))[0]}")
        raise error

    def is_idle(self) -> bool:
        return not self._running

    def dismiss(self, *, done: bool) -> None:
        if self._owned and done:
            self._pool.close()
            self._pool.join()
        elif self._owned:
            self._pool.terminate()
        else:
            for result in self._running.values():
                result.cancel()


def _ends_of_a_task() -> tuple[type[BaseException], ...]:
    """The errors that are a worker's fate, or a limit of the caller's pool, and no fault of this program."""
    from allcores.errors import PoolBroken, TaskTimeout, WorkerDied

    return WorkerDied, TaskTimeout, PoolBroken, MemoryError
