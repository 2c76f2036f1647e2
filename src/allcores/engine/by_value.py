"""Pickling what the standard pickler refuses: functions and classes of `__main__`, lambdas, closures.

cloudpickle does the work. Three things are added:

- A class of `__main__` is registered in the worker's own (empty) `__main__`, so that its instances come back by
  reference, as instances of the very class that the caller knows, and at the standard pickler's speed.
- `multiprocessing`'s queues, pipes, values and locks, which refuse to be pickled except while a process is being
  spawned, may travel as arguments.
- What stands in `__mp_main__`, the name of the main module in a child of `multiprocessing`, goes by value too.
"""

from __future__ import annotations

import io
import sys

import cloudpickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["dumps_by_value"]


def dumps_by_value(value: Any) -> bytes:
    """Pickle `value`, functions and classes that a worker cannot import included.

    Args:
        value: anything.

    Returns:
        A pickle that the standard `pickle.loads` reads where allcores and cloudpickle can be imported.

    Raises:
        Exception: whatever the value raises when it cannot be pickled.
    """
    from multiprocessing import context

    # context.set_spawning_popen is what Popen itself calls; it is how stdlib objects know that the reader is a
    # process of this program.
    outer = context.get_spawning_popen()
    context.set_spawning_popen(_Spawning())  # type: ignore[arg-type]
    try:
        with io.BytesIO() as file:
            _Pickler(file, protocol=5).dump(value)
            return file.getvalue()
    finally:
        context.set_spawning_popen(outer)


class _Spawning:
    """Stands where `multiprocessing` expects the process that is being spawned."""

    def duplicate_for_child(self, fd: int) -> int:
        return fd

    @staticmethod
    def DupFd(fd: int) -> Any:
        from multiprocessing import resource_sharer

        return resource_sharer.DupFd(fd)


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        main: Any = sys.modules.get("__main__")
        if isinstance(obj, type) and getattr(obj, "__module__", None) in ("__main__", "__mp_main__"):
            reduced = super().reducer_override(_by_value(obj))
            name = obj.__qualname__
            if isinstance(reduced, tuple) and getattr(main, name, None) is obj:
                make, arguments, *rest = reduced
                return (_registered, (make, name, *arguments), *rest)
            return reduced
        return super().reducer_override(_by_value(obj))


def _by_value(obj: Any) -> Any:
    if getattr(obj, "__module__", None) == "__mp_main__":
        module = sys.modules.get("__mp_main__")
        if module is not None and "__mp_main__" not in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(module)
    return obj


def _registered(make: Any, name: str, *arguments: Any) -> Any:
    """Runs in the worker: make the class, and let `__main__.name` be it."""
    cls = make(*arguments)
    setattr(sys.modules["__main__"], name, cls)
    return cls
