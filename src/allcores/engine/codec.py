"""How the parent packs functions and tasks for another process."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Callable
from pickle import PickleBuffer

from allcores.engine.calls import Frozen
from allcores.engine.parcels import LEAST, Parcel, dump, dump_raw, is_raw
from allcores.engine.shared import referred

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Codec", "is_plain", "raising"]


class Codec:
    """Packs for workers. What it returns is a pickle, or a `Parcel` where that has company.

    Args:
        shares_main: whether the workers' ``__main__`` is this process's, inherited by fork. Otherwise what belongs
            to it goes by value.
    """

    def __init__(self, shares_main: bool) -> None:
        self._shares_main = shares_main

    def function(self, target: Callable[..., Any]) -> tuple[bytes | Parcel, bool]:
        """Pickle a function in a way in which a worker can load it.

        Returns:
            The pickle, and whether what it says may change: where it went by value, or carries an object.

        Raises:
            Exception: what pickling it raised.
        """
        buffers: list[PickleBuffer] = []
        try:
            blob = dump(target, buffers)
        except Exception:
            pass
        else:
            if self._loadable(blob) and _importable(target):
                carries = type(target) not in (types.FunctionType, types.BuiltinFunctionType, type)
                return _parcel([blob], buffers, []), carries
        return self._by_value(target), True

    def value(self, value: Any) -> bytes | Parcel:
        """Pickle anything.

        Raises:
            Exception: what pickling it raised.
        """
        buffers: list[PickleBuffer] = []
        try:
            data = dump(value, buffers)
        except Exception:
            pass
        else:
            if self._loadable(data):
                return _parcel([data], buffers, [])
        return self._by_value(value)

    def call(self, args: tuple[Any, ...], kwds: dict[str, Any]) -> bytes | Parcel:
        """Pickle the arguments of one call.

        Raises:
            Exception: what pickling raised, with the part that cannot be pickled named in its text.
        """
        buffers: list[PickleBuffer] = []
        try:
            if is_raw(args):
                pieces = dump_raw((args, kwds), buffers)
                if all(self._loadable(piece) for piece in pieces if len(piece) < LEAST):
                    return _parcel(pieces, buffers, [])
            else:
                data = dump((args, kwds), buffers)
                if self._loadable(data):
                    return _parcel([data], buffers, [])
        except Exception:
            pass
        try:
            return self._by_value((args, kwds))
        except Exception as error:
            raise _explained(error, args, kwds) from error

    def items(self, items: Any) -> bytes | Parcel | None:
        """Pickle a batch's items together; None where that fails and they must go singly."""
        try:
            return self.value(items)
        except Exception:
            return None

    def items_singly(self, items: Any, star: bool) -> list[bytes | Parcel]:
        """Pickle items as arguments of calls, one by one, so that one that cannot be pickled does no harm to others.

        Such an item is replaced with a pickle that raises the reason when the worker loads it, so that the error
        comes out at the item's place.
        """
        packed: list[bytes | Parcel] = []
        for item in items:
            if type(item) is Frozen:
                packed.append(item.payload)
                continue
            try:
                packed.append(self.call(tuple(item) if star else (item,), {}))
            except Exception as error:
                packed.append(raising(error))
        return packed

    @staticmethod
    def _by_value(value: Any) -> bytes | Parcel:
        from allcores.engine.by_value import dumps_for_worker

        referred()  # what an attempt before has left
        buffers: list[PickleBuffer] = []
        kept: list[Any] = []
        data = dumps_for_worker(value, buffers, kept)
        return _parcel([data], buffers, kept)

    def _loadable(self, data: bytes) -> bool:
        """Whether a worker can load a pickle made without its needs in mind.

        Not one that refers to a __main__ (or __mp_main__) that the worker has not, nor one of a connection or the
        like, which is but the number of a descriptor here.
        """
        return b"multiprocessing." not in data and (self._shares_main or b"_main__" not in data)


def _parcel(pieces: list[bytes], buffers: list[PickleBuffer], kept: list[Any]) -> bytes | Parcel:
    """The pickle alone where nothing goes with it."""
    shared = referred()
    if buffers or kept or shared or len(pieces) > 1 or len(pieces[0]) >= LEAST:
        return Parcel(pieces, buffers, kept, shared)
    return pieces[0]


#: Types whose values travel as they are, whoever loads them; and those of which that is so while they are short.
_ATOMS = frozenset({int, float, bool, type(None), complex})
_SHORT = frozenset({str, bytes})


def is_plain(args: tuple[Any, ...]) -> bool:
    """Whether nothing but the pickle is needed for these values, and nobody can change them."""
    for value in args:
        kind = type(value)
        if kind not in _ATOMS and (kind not in _SHORT or len(value) >= LEAST):
            return False
    return True


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


def raising(error: Exception) -> bytes:
    """A pickle that raises an error like this one when it is loaded."""
    return pickle.dumps(_Raise(error), 5)


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
