"""How the parent packs functions and tasks for another process."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Codec"]


class Codec:
    """Packs for workers.

    Args:
        shares_main: whether the workers' ``__main__`` is this process's, inherited by fork. Otherwise what belongs
            to it goes by value.
    """

    def __init__(self, shares_main: bool) -> None:
        self._shares_main = shares_main

    def function(self, target: Callable[..., Any]) -> tuple[bytes, bool]:
        """Pickle a function in a way in which a worker can load it.

        Returns:
            The pickle, and whether what it says may change: where it went by value, or carries an object.

        Raises:
            Exception: what pickling it raised.
        """
        try:
            blob = pickle.dumps(target, 5)
        except Exception:
            pass
        else:
            if self._loadable(blob) and _importable(target):
                return blob, type(target) not in (types.FunctionType, types.BuiltinFunctionType, type)
        from allcores.engine.by_value import dumps_for_worker

        return dumps_for_worker(target), True

    def value(self, value: Any) -> bytes:
        """Pickle anything.

        Raises:
            Exception: what pickling it raised.
        """
        try:
            data = pickle.dumps(value, 5)
        except Exception:
            pass
        else:
            if self._loadable(data):
                return data
        from allcores.engine.by_value import dumps_for_worker

        return dumps_for_worker(value)

    def call(self, args: tuple[Any, ...], kwds: dict[str, Any]) -> bytes:
        """Pickle the arguments of one call.

        Raises:
            Exception: what pickling raised, with the part that cannot be pickled named in its text.
        """
        try:
            data = pickle.dumps((args, kwds), 5)
        except Exception:
            pass
        else:
            if self._loadable(data):
                return data
        from allcores.engine.by_value import dumps_for_worker

        try:
            return dumps_for_worker((args, kwds))
        except Exception as error:
            raise _explained(error, args, kwds) from error

    def items(self, items: Any) -> bytes | None:
        """Pickle a batch's items together; None where that fails and they must go singly."""
        try:
            return self.value(items)
        except Exception:
            return None

    def items_singly(self, items: Any, star: bool) -> list[bytes]:
        """Pickle items as arguments of calls, one by one, so that one that cannot be pickled does no harm to others.

        Such an item is replaced with a pickle that raises the reason when the worker loads it, so that the error
        comes out at the item's place.
        """
        packed = []
        for item in items:
            try:
                packed.append(self.call(tuple(item) if star else (item,), {}))
            except Exception as error:
                packed.append(pickle.dumps(_Raise(error), 5))
        return packed

    def _loadable(self, data: bytes) -> bool:
        """Whether a worker can load a pickle made without its needs in mind.

        Not one that refers to a __main__ (or __mp_main__) that the worker has not, nor one of a connection or the
        like, which is but the number of a descriptor here.
        """
        return b"multiprocessing." not in data and (self._shares_main or b"_main__" not in data)


def _importable(target: Callable[..., Any]) -> bool:
    """Whether another process can be expected to import the function's module."""
    module = sys.modules.get(getattr(target, "__module__", None) or "")
    return module is None or getattr(module, "__spec__", None) is not None or hasattr(module, "__file__")


def _explained(error: Exception, args: tuple[Any, ...], kwds: dict[str, Any]) -> Exception:
    from allcores.engine.explain import unpicklable_part

    named = [(f"argument {index}", value) for index, value in enumerate(args)]
    named += [(f"argument {name}", value) for name, value in kwds.items()]
    for name, value in named:
        part = unpicklable_part(value, name)
        if part:
            return _like(error, f"cannot send the task to a worker: {error} ({part})")
    return error


class _Raise:
    """Pickles to something that raises when it is unpickled."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return _raise, (_like(self._error, str(self._error)),)


def _like(error: Exception, text: str) -> Exception:
    """An error of the same kind with another text, as far as the kind takes a text and nothing else."""
    if type(error).__module__ == "builtins":
        try:
            return type(error)(text)
        except TypeError:
            pass
    return pickle.PicklingError(text)


def _raise(error: Exception) -> None:
    raise error
