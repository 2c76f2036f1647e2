"""Functions travel once: pickled when they are first used, known to workers by number from then on.

A function that a worker can import is pickled by reference, and for good. One that cannot (of `__main__`, a
lambda, a closure) is pickled by value, with the values that it captures. Using it again without pickling it again
is right only as long as those values are the same, so a `_Snapshot` remembers them; where a captured value could
have changed in place (a list, an object), the function is pickled anew for each call of the pool.
"""

from __future__ import annotations

import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator

from allcores.engine.shared import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.engine.parcels import Parcel

    Blob = bytes | Parcel

__all__ = ["Function", "FunctionTable", "global_names"]

#: How many functions are remembered. Arbitrary; a program that uses more pays for pickling again.
_REMEMBERED = 256

#: And how many bytes their pickles may take together.
_REMEMBERED_BYTES = 32 << 20

#: How many of those that carry large buffers, which are not among these bytes.
_REMEMBERED_LARGE = 2

_CONSTANTS = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    type(...),
    types.ModuleType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
)


#: Stands for a global that there is not (yet).
_MISSING = object()


class Function:
    """A function as the engine knows it.

    Attributes:
        id: its number, never used again for another function.
        target: the function itself, for lanes in this process.
        blob: its pickle.
        name: for messages.
        cost: what one task of it has been seen to cost, in nanoseconds; 0 while that is not known.
        weight: how many bytes the arguments of one task have been seen to take; 0 while that is not known.
        snapshot: tells whether the pickle still says what the function is; None where it always does.
    """

    __slots__ = ("blob", "cost", "id", "name", "snapshot", "target", "weight")

    def __init__(self, number: int, target: Callable[..., Any], blob: Blob, snapshot: _Snapshot | None):
        self.id = number
        self.target = target
        self.blob = blob
        self.name = describe(target)
        self.cost = 0
        self.weight = 0
        self.snapshot = snapshot

    @property
    def large(self) -> bool:
        """Whether it carries large buffers, in shared memory."""
        return not isinstance(self.blob, bytes) and self.blob.large


class FunctionTable:
    """The functions that a pool has used lately. Its caller holds the lock."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, Function] = OrderedDict()
        self._by_blob: dict[bytes, Function] = {}
        self._forgotten: list[int] = []
        self._last: Function | None = None
        self._size = 0

    def find(self, target: Callable[..., Any]) -> Function | None:
        """The function's record, if it was used before and is still what it was. Needs no lock."""
        function = self._known.get(id(target))
        if function is None or function.target is not target:
            return None
        snapshot = function.snapshot
        return function if snapshot is None or snapshot.holds() else None

    def known(self, blob: Blob, by_value: bool) -> Function | None:
        """The function that has this pickle, where it may stand for another object with the same pickle.

        That is so of ``obj.method`` or ``partial(f, 1)``. One that went by value brings globals along, and these are
        in the workers as the last pickle said.
        """
        known = self._by_blob.get(_stream(blob))
        return known if known is not None and (not by_value or known is self._last) else None

    def add(self, target: Callable[..., Any], blob: Blob, by_value: bool) -> Function:
        """Remember a function that neither `find` nor `known` has found.

        Args:
            target: the function.
            blob: its pickle, from the lanes.
            by_value: whether it was pickled by value.
        """
        stream = _stream(blob)
        known = self._by_blob.get(stream)
        snapshot = _Snapshot(target) if by_value else None
        function = Function(next(numbers), target, blob, snapshot)
        if known is not None:
            self._drop(known)
        if function.large:
            self.drop_large(_REMEMBERED_LARGE - 1)
        self._size += _size(blob)
        while self._by_blob and (len(self._by_blob) >= _REMEMBERED or self._size > _REMEMBERED_BYTES):
            self._drop_oldest()
        self._by_blob[stream] = function
        if by_value:
            self._last = function
        self._known[id(target)] = function
        return function

    def drop_large(self, left: int = 0) -> None:
        """Forget functions with large buffers.

        Args:
            left: how many of them may stay.
        """
        large = [function for function in self._by_blob.values() if function.large]
        for function in large[: max(0, len(large) - left)]:
            self._drop(function)

    def _drop_oldest(self) -> None:
        self._drop(next(iter(self._by_blob.values())))

    def _drop(self, oldest: Function) -> None:
        del self._by_blob[_stream(oldest.blob)]
        if self._known.get(id(oldest.target)) is oldest:
            del self._known[id(oldest.target)]
        self._size -= _size(oldest.blob)
        self._forgotten.append(oldest.id)

    def take_forgotten(self) -> list[int]:
        """The numbers of functions that have been forgotten since this was last asked."""
        forgotten, self._forgotten = self._forgotten, []
        return forgotten


def _stream(blob: Blob) -> bytes:
    """The pickle that tells functions apart."""
    return blob if isinstance(blob, bytes) else blob.key


def _size(blob: Blob) -> int:
    return len(_stream(blob))


def describe(target: Callable[..., Any]) -> str:
    """The function's name, for messages."""
    inner = getattr(target, "func", None)  # functools.partial
    name = getattr(target, "__qualname__", None) or getattr(inner, "__qualname__", None)
    return name or type(target).__qualname__


class _Snapshot:
    """The values that a function captures, to tell later whether they are the same."""

    __slots__ = ("_bindings", "_cells", "_codes", "_stable")

    def __init__(self, target: Callable[..., Any]) -> None:
        self._bindings: list[tuple[Any, str, Any]] = []
        self._cells: list[tuple[types.CellType, Any]] = []
        self._codes: list[tuple[types.FunctionType, Any, Any]] = []
        self._stable = self._capture(target, set())

    def holds(self) -> bool:
        """Whether every captured value is the one that it was, and could not have changed within."""
        if not self._stable:
            return False
        for function, code, defaults in self._codes:
            same = function.__code__ is code and function.__defaults__ is defaults
            if not same or function.__dict__ or function.__kwdefaults__:
                return False
        for namespace, name, value in self._bindings:
            if namespace.get(name, _MISSING) is not value:
                return False
        for cell, value in self._cells:
            try:
                if cell.cell_contents is not value:
                    return False
            except ValueError:
                return False
        return True

    def _capture(self, value: Any, seen: set[int]) -> bool:
        """Follow what `value` refers to. False where something could change unnoticed."""
        if id(value) in seen or isinstance(value, _CONSTANTS):
            return True
        seen.add(id(value))
        if isinstance(value, types.FunctionType):
            return self._importable_function(value) or self._capture_function(value, seen)
        if isinstance(value, type):
            return value.__module__ not in ("__main__", "__mp_main__") and "<locals>" not in value.__qualname__
        if isinstance(value, (tuple, frozenset)):
            return all(self._capture(part, seen) for part in value)
        return False

    @staticmethod
    def _importable_function(value: types.FunctionType) -> bool:
        module = sys.modules.get(value.__module__ or "")
        return (
            module is not None
            and value.__module__ not in ("__main__", "__mp_main__")
            and getattr(module, value.__qualname__, None) is value
        )

    def _capture_function(self, function: types.FunctionType, seen: set[int]) -> bool:
        if function.__dict__ or function.__kwdefaults__:
            return False
        self._codes.append((function, function.__code__, function.__defaults__))
        stable = self._capture(function.__defaults__ or (), seen)
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:
                return False
            self._cells.append((cell, content))
            stable = stable and self._capture(content, seen)
        namespace = function.__globals__
        for name in global_names(function.__code__):
            value = namespace.get(name, _MISSING)
            self._bindings.append((namespace, name, value))
            stable = stable and (value is _MISSING or self._capture(value, seen))
        return stable


def global_names(code: types.CodeType) -> Iterator[str]:
    """The names that a function's code looks up, globals and (not told apart) attributes."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from global_names(constant)
