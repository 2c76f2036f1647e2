"""Every error that allcores itself raises, in one place.

    RuntimeError
      WorkerDied                    the task's worker is gone
        MemoryLimitExceeded         ... because the task used more memory than allowed
      PoolBroken                    workers cannot be started; waiting tasks fail with the reason
      RemoteError                   stands in for an exception that cannot be rebuilt here
    multiprocessing.TimeoutError, TimeoutError
      TaskTimeout                   a task ran longer than its `timeout`
      ResultTimeout                 the result of a process was not there in time
    RuntimeWarning
      LockRecovered                 a lock was taken over from a holder that has died; a warning

`RemoteTraceback` and `MaybeEncodingError` are `multiprocessing.pool`'s own classes, so that code which
already catches them goes on working.
"""

from __future__ import annotations

import signal as _signal
from multiprocessing import TimeoutError as _MultiprocessingTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "LockRecovered",
    "MemoryLimitExceeded",
    "PoolBroken",
    "RemoteError",
    "ResultTimeout",
    "TaskTimeout",
    "WorkerDied",
    "maybe_encoding_error",
    "remote_traceback",
]


class WorkerDied(RuntimeError):
    """The worker that ran a task ended before the task did.

    Attributes:
        pid: process id of the worker, or None where it never had one.
        exitcode: its exit code; ``-N`` when signal ``N`` ended it, None when it is not known.
        signal: the number of the signal that ended it, or None.
        task: the task in brief, such as ``resize('cat.png', 0.5)``; None when no task was running.
        peak_memory: the largest resident set that the worker had, in bytes, or None.
        stderr: the last lines that the worker wrote to its standard error.
        deaths: how many workers this task has cost, counting this one.
    """

    def __init__(
        self,
        message: str,
        *,
        pid: int | None = None,
        exitcode: int | None = None,
        task: str | None = None,
        peak_memory: int | None = None,
        stderr: str = "",
        deaths: int = 1,
    ) -> None:
        super().__init__(message)
        self.pid = pid
        self.exitcode = exitcode
        self.task = task
        self.peak_memory = peak_memory
        self.stderr = stderr
        self.deaths = deaths

    @property
    def signal(self) -> int | None:
        """The number of the signal that ended the worker, or None."""
        return -self.exitcode if self.exitcode is not None and self.exitcode < 0 else None

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class MemoryLimitExceeded(WorkerDied):
    """A task's worker, with the processes it started, used more than the pool's ``memory_limit``."""


class PoolBroken(RuntimeError):
    """The pool cannot start workers; its cause says why."""


class RemoteError(RuntimeError):
    """Stands in for a task's exception that cannot be rebuilt in this process.

    Attributes:
        type_name: the qualified name of the original exception's class.
    """

    def __init__(self, type_name: str, text: str) -> None:
        super().__init__(f"{type_name}: {text}" if text else type_name)
        self.type_name = type_name
        self._text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.type_name, self._text)


class TaskTimeout(_MultiprocessingTimeout, TimeoutError):
    """A task ran longer than its ``timeout``; its worker was ended and replaced.

    Attributes:
        task: the task in brief.
        timeout: the limit that was passed, in seconds.
    """

    def __init__(self, message: str, *, task: str | None = None, timeout: float | None = None) -> None:
        super().__init__(message)
        self.task = task
        self.timeout = timeout

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class ResultTimeout(_MultiprocessingTimeout, TimeoutError):
    """The result of a process was not there in time; the process runs on."""


class LockRecovered(RuntimeWarning):
    """A lock was taken over from a process that has died with it. What it guards may be half done.

    Attributes:
        pid: the process id of the dead holder; None where it is not known any more.
    """

    def __init__(self, pid: int | None) -> None:
        who = f"process {pid}, which has died" if pid else "a process that has died"
        super().__init__(f"a lock was recovered: it was held by {who}, and what it guards may be half done")
        self.pid = pid

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.pid,)


def _rebuild(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    """Make an exception again without calling an ``__init__`` that wants keyword arguments."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9, or ``signal 99`` for a number without a name."""
    try:
        return _signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class _Text:
    """A value whose repr has come from another process."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def maybe_encoding_error(reason: str, value: str) -> Exception:
    """`multiprocessing.pool.MaybeEncodingError` for a result that could not be pickled.

    Args:
        reason: repr of the pickling error.
        value: repr of the result.
    """
    from multiprocessing import pool

    error: Exception = pool.MaybeEncodingError(_Text(reason), _Text(value))  # type: ignore[attr-defined]
    return error


def remote_traceback(text: str) -> Exception:
    """`multiprocessing.pool.RemoteTraceback`, which prints `text` as the cause of a task's error."""
    from multiprocessing import pool

    error: Exception = pool.RemoteTraceback(text)  # type: ignore[attr-defined]
    return error
