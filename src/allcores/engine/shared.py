"""Objects that are sent to each worker once, and then referred to: `Pool.share`."""

from __future__ import annotations

import itertools
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.engine.parcels import Parcel

__all__ = ["Shared", "referred", "resolve"]

#: Numbers of what is introduced to workers: functions, shared objects.
numbers = itertools.count(1)

_pickled = threading.local()


class Shared:
    """A handle to an object. As an argument of a task, or inside of one, it arrives as the object.

    The object is sent to a worker when its first task needs it, and is the same for all tasks that the worker runs.
    Large buffers in it (those of arrays) are mapped by all workers instead of copied; each has a private view: what a
    task writes there, other workers do not see. When the handle has gone, so does the object.
    """

    __slots__ = ("__weakref__", "_name", "blob", "id")

    used = False  #: whether there has ever been a handle

    def __init__(self, value: object, blob: bytes | Parcel) -> None:
        Shared.used = True
        self.id = next(numbers)
        self.blob = blob
        self._name = type(value).__qualname__

    def __repr__(self) -> str:
        return f"<shared {self._name}>"

    def __copy__(self) -> Shared:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Shared:
        return self

    def __reduce__(self) -> Any:
        _handles().append(self)
        return resolve, (self.id,)


def _handles() -> list[Shared]:
    try:
        handles: list[Shared] = _pickled.handles
    except AttributeError:
        handles = _pickled.handles = []
    return handles


def referred() -> list[Shared]:
    """The handles that this thread has pickled since this was last asked."""
    if not Shared.used:
        return []
    handles = _handles()
    _pickled.handles = []
    return handles


# What follows runs in the worker.

#: Objects that have been introduced, by number.
objects: dict[int, Any] = {}


class Unavailable:
    """Stands for an object that could not be unpickled, or a function: each task that needs it raises the reason."""

    def __init__(self, reason: BaseException) -> None:
        self.reason = reason

    def __call__(self, *args: Any, **kwds: Any) -> Any:
        raise self.reason


def resolve(number: int) -> Any:
    """The object behind a handle.

    Raises:
        LookupError: this process is no worker of the handle's program.
    """
    try:
        value = objects[number]
    except KeyError:
        raise LookupError(
            "a handle of Pool.share() has come here by another way than as an argument of a task"
        ) from None
    if type(value) is Unavailable:
        raise value.reason
    return value
