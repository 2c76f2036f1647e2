"""allcores runs your Python functions on all the cores you have, and keeps going when something breaks.

``import allcores as multiprocessing`` works: every public name of `multiprocessing` is here. Some are allcores' own;
the rest is the standard library's, passed on. What is in which module:

    Pool                                          allcores.pool
    Process                                       allcores.process
    Lock, RLock, Semaphore, BoundedSemaphore,
    Event, Condition, Barrier                     allcores.sync
    AsyncResult, MapResult, ResultIterator        allcores.results
    Retry                                         allcores.engine.policy
    WorkerDied, TaskTimeout, LockRecovered, …     allcores.errors
    cpu_count                                     allcores.cpu
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    # For type checkers and editors: what `__getattr__` below does at run time.
    from multiprocessing import *  # noqa: F403
    from multiprocessing.pool import MaybeEncodingError as MaybeEncodingError  # type: ignore[attr-defined]
    from multiprocessing.pool import RemoteTraceback as RemoteTraceback  # type: ignore[attr-defined]
    from typing import Any

    from allcores.cpu import cpu_count as cpu_count
    from allcores.engine.policy import Retry as Retry
    from allcores.errors import LockRecovered as LockRecovered
    from allcores.errors import MemoryLimitExceeded as MemoryLimitExceeded
    from allcores.errors import PoolBroken as PoolBroken
    from allcores.errors import RemoteError as RemoteError
    from allcores.errors import TaskTimeout as TaskTimeout
    from allcores.errors import WorkerDied as WorkerDied
    from allcores.pool import Pool as Pool  # type: ignore[assignment]
    from allcores.process import Process as Process
    from allcores.results import AsyncResult as AsyncResult
    from allcores.results import ResultIterator as ResultIterator
    from allcores.sync import Barrier as Barrier  # type: ignore[assignment]
    from allcores.sync import BoundedSemaphore as BoundedSemaphore  # type: ignore[assignment]
    from allcores.sync import Condition as Condition  # type: ignore[assignment]
    from allcores.sync import Event as Event  # type: ignore[assignment]
    from allcores.sync import Lock as Lock  # type: ignore[assignment]
    from allcores.sync import RLock as RLock  # type: ignore[assignment]
    from allcores.sync import Semaphore as Semaphore  # type: ignore[assignment]

__version__ = "0.1.0"

# Names are imported when they are first used: a worker, and a command line that only shows its help, need few.
_OURS = {
    "AsyncResult": "allcores.results",
    "Barrier": "allcores.sync",
    "BoundedSemaphore": "allcores.sync",
    "Condition": "allcores.sync",
    "Event": "allcores.sync",
    "Lock": "allcores.sync",
    "LockRecovered": "allcores.errors",
    "MaybeEncodingError": "multiprocessing.pool",
    "MemoryLimitExceeded": "allcores.errors",
    "Pool": "allcores.pool",
    "PoolBroken": "allcores.errors",
    "Process": "allcores.process",
    "RLock": "allcores.sync",
    "RemoteError": "allcores.errors",
    "RemoteTraceback": "multiprocessing.pool",
    "ResultIterator": "allcores.results",
    "Retry": "allcores.engine.policy",
    "Semaphore": "allcores.sync",
    "TaskTimeout": "allcores.errors",
    "WorkerDied": "allcores.errors",
    "cpu_count": "allcores.cpu",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _OURS:
        value = getattr(importlib.import_module(_OURS[name]), name)
    elif name == "__all__":
        import multiprocessing

        value = sorted({*multiprocessing.__all__, *_OURS})
    elif name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    else:
        import multiprocessing

        # The program's default start method forks; objects made for it could not be passed on to workers, which
        # are not forked from this process. Those made for "spawn" can, and serve forked processes as well.
        source: Any = multiprocessing.get_context("spawn") if name in _SHAREABLE else multiprocessing
        try:
            value = getattr(source, name)
        except AttributeError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = value
    return value


_SHAREABLE = {"Array", "JoinableQueue", "Queue", "SimpleQueue", "Value"}


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
