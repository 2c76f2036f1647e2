"""Pickling what the standard pickler refuses: functions and classes of `__main__`, lambdas, closures.

cloudpickle does the work. What is added, for pickles that go to workers:

- Functions of `__main__` share the worker's (otherwise empty) `__main__` as their globals, so that what one of them
  sets, an initializer say, the others find. A value that the program has rebound or changed arrives; one that has
  stayed as it was does not overwrite what a task has made of it. Tasks of a call made before that see the value
  that was: `MainState` puts it back for them.
- A global that cannot be pickled keeps no function from travelling: using it there raises an error that says so.
- A class of `__main__` is registered in the worker's `__main__`, so that its instances come back by reference, as
  instances of the very class that the caller knows, and at the standard pickler's speed.
- `multiprocessing`'s queues, pipes, values and locks, which refuse to be pickled except while a process is being
  spawned, may travel as arguments.
- What stands in `__mp_main__`, the name of the main module in a child of `multiprocessing`, goes by value too.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import sys
import types
from collections import ChainMap
from collections.abc import Callable

import cloudpickle

from allcores.engine.channel import MADE_MAIN
from allcores.engine.descriptors import Enclosing, Spawning, answering
from allcores.engine.functions import global_names
from allcores.engine.parcels import split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pickle import PickleBuffer
    from typing import Any

__all__ = ["MainState", "came", "dumps_by_value", "dumps_enclosing", "dumps_for_child", "dumps_for_worker"]

_MAINS = ("__main__", "__mp_main__")
_SIMPLE = (type(None), bool, int, float, complex, str, bytes)

#: The token of a global that there is not (any more).
_GONE = "gone"

#: In a worker: of what the program sent, what stands for each global of its main module now.
_tokens: dict[str, object] = {}

#: In a worker: the globals that came with the pickles loaded since `MainState.taken`.
came: dict[str, tuple[object, Any]] = {}

_always = itertools.count()


def dumps_by_value(value: Any, buffers: list[PickleBuffer] | None = None) -> bytes:
    """Pickle a value that goes to the program, functions and classes that it cannot import included.

    Args:
        value: anything.
        buffers: takes large buffers; None leaves them in the pickle.

    Raises:
        Exception: whatever the value raises when it cannot be pickled.
    """
    with io.BytesIO() as file, answering():
        callback = None if buffers is None else split(buffers)
        _PicklerWithReducers(file, callback).dump(value)
        return file.getvalue()


def dumps_enclosing(value: Any, enclosing: Enclosing) -> bytes:
    """Pickle a value that goes to the program together with descriptors.

    Args:
        value: anything.
        enclosing: gathers the descriptors.

    Raises:
        Exception: whatever the value raises when it cannot be pickled.
    """
    return _dumps(value, enclosing, _PicklerWithReducers)


def dumps_for_child(value: Any, starting: Any) -> bytes:
    """Pickle a value that goes to a process which is being started, what it cannot import included.

    Args:
        value: anything.
        starting: the `Popen` object of `multiprocessing` that starts it, which takes descriptors along.

    Raises:
        Exception: whatever the value raises when it cannot be pickled.
    """
    return _dumps(value, starting, _Pickler)


def dumps_for_worker(value: Any, buffers: list[PickleBuffer], kept: list[Any]) -> bytes:
    """Pickle a value that goes to a worker, functions and classes that it cannot import included.

    Args:
        value: anything.
        buffers: takes large buffers.
        kept: takes what must live until the pickle has been loaded.

    Returns:
        A pickle that the standard `pickle.loads` reads where allcores and cloudpickle can be imported.

    Raises:
        Exception: whatever the value raises when it cannot be pickled.
    """
    return _dumps(value, Spawning(kept), _Pickler, buffers)


def _dumps(
    value: Any, starting: Any, pickler: type[_PicklerWithReducers], buffers: list[PickleBuffer] | None = None
) -> bytes:
    from multiprocessing import context

    # context.set_spawning_popen is what Popen itself calls; it is how stdlib objects know that the reader is a
    # process of this program.
    outer = context.get_spawning_popen()
    context.set_spawning_popen(starting)
    try:
        with io.BytesIO() as file:
            pickler(file, None if buffers is None else split(buffers)).dump(value)
            return file.getvalue()
    finally:
        context.set_spawning_popen(outer)


class _PicklerWithReducers(cloudpickle.CloudPickler):  # type: ignore[misc]
    def __init__(self, file: io.BytesIO, buffer_callback: Callable[[PickleBuffer], object] | None) -> None:
        if "multiprocessing.reduction" in sys.modules:  # how connections and shared memory are pickled
            reducers = sys.modules["multiprocessing.reduction"].ForkingPickler._extra_reducers
            # Before __init__, which looks it up once and for all.
            self.dispatch_table = ChainMap(reducers, cloudpickle.CloudPickler.dispatch_table)
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)


class _Pickler(_PicklerWithReducers):
    def __init__(self, file: io.BytesIO, buffer_callback: Callable[[PickleBuffer], object] | None) -> None:
        super().__init__(file, buffer_callback)
        self._namespaces = []
        for name in _MAINS:
            module = sys.modules.get(name)
            if module is not None:
                self._namespaces.append(module.__dict__)
                self.globals_ref[id(module.__dict__)] = _MainGlobals()

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type) and getattr(obj, "__module__", None) in _MAINS:
            return self._reduce_class(obj)
        if type(obj) is types.FunctionType and any(obj.__globals__ is main for main in self._namespaces):
            return self._reduce_function(obj)
        return super().reducer_override(obj)

    def _reduce_class(self, cls: type) -> Any:
        _register_mp_main(cls)
        reduced = super().reducer_override(cls)
        name = cls.__qualname__
        if isinstance(reduced, tuple) and getattr(sys.modules["__main__"], name, None) is cls:
            make, arguments, *rest = reduced
            return (_registered, (make, name, *arguments), *rest)
        return reduced

    def _reduce_function(self, function: types.FunctionType) -> Any:
        _register_mp_main(function)
        reduced = super().reducer_override(function)
        if not isinstance(reduced, tuple):
            return reduced
        make, arguments, (attributes, slots), items, pairs, set_state = reduced
        slots = dict(slots)
        used = {name: _with_token(name, value) for name, value in slots["__globals__"].items()}
        gone = {name: (_GONE, None) for name in global_names(function.__code__) if name not in function.__globals__}
        slots["__globals__"] = {**gone, **used}
        return make, arguments, (attributes, slots, set_state), items, pairs, _set_function_state


def _register_mp_main(obj: Any) -> None:
    if obj.__module__ == "__mp_main__":
        module = sys.modules.get("__mp_main__")
        if module is not None and "__mp_main__" not in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(module)


def _with_token(name: str, value: Any) -> tuple[object, Any]:
    """A global's value, with a token that changes when the value does; None for what is always sent anew."""
    if isinstance(value, (types.FunctionType, type, types.ModuleType)):
        return None, value
    if type(value) in _SIMPLE:
        return (type(value).__name__, value), value
    buffers: list[PickleBuffer] = []
    try:
        digest = hashlib.sha1(dumps_for_worker(value, buffers, []), usedforsecurity=False)
        for buffer in buffers:
            with buffer.raw() as view:
                digest.update(view)
        return digest.digest(), value
    except Exception as error:
        return None, _Absent(name, f"{type(error).__name__}: {error}")


class _Absent:
    """Stands in a worker for a global that could not be sent."""

    def __init__(self, name: str, reason: str) -> None:
        self.__dict__.update(_name=name, _reason=reason)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") and attribute.endswith("__"):
            raise AttributeError(attribute)
        raise RuntimeError(
            f"the global {self._name!r} of the main module could not be sent to this worker ({self._reason}); "
            f"make it in the worker, in an initializer for example, or pass what the task needs as an argument"
        )

    def __call__(self, *args: Any, **kwds: Any) -> Any:
        return self.__getattr__("call")

    def __enter__(self) -> Any:
        return self.__getattr__("enter")

    def __exit__(self, *error: object) -> None:
        pass

    def __iter__(self) -> Any:
        return self.__getattr__("iter")

    def __getitem__(self, key: Any) -> Any:
        return self.__getattr__("getitem")


# What follows runs in the worker.


class _MainGlobals:
    """Pickles to the globals of the worker's main module."""

    def __reduce__(self) -> Any:
        return _main_globals, ()


def _main_globals() -> dict[str, Any]:
    return sys.modules["__main__"].__dict__


def _set_function_state(function: types.FunctionType, state: Any) -> None:
    attributes, slots, set_state = state
    namespace = function.__globals__
    for name, (token, value) in slots["__globals__"].items():
        if MADE_MAIN in namespace:
            sent = (next(_always) if token is None else token), value
            came[name] = sent
            _put(namespace, name, *sent)
        elif token != _GONE:  # the program's own, inherited by fork: only what is missing is added
            namespace.setdefault(name, value)
    slots["__globals__"] = {}
    set_state(function, (attributes, slots))


def _put(namespace: dict[str, Any], name: str, token: object, value: Any) -> None:
    """Give a global its value, unless it has it, or what a task has made of that."""
    if token == _GONE:
        if _tokens.pop(name, None) is not None:
            namespace.pop(name, None)
    elif name not in namespace or _tokens.get(name) != token:
        namespace[name] = value
        _tokens[name] = token


class MainState:
    """The globals of the main module as one pickle brought them."""

    def __init__(self, values: dict[str, tuple[object, Any]]) -> None:
        self._values = values

    @classmethod
    def taken(cls) -> MainState | None:
        """What has come since this was last asked; None for nothing."""
        if not came:
            return None
        state = cls(dict(came))
        came.clear()
        return state

    def restore(self) -> None:
        """Let the globals be these again."""
        namespace = _main_globals()
        for name, (token, value) in self._values.items():
            _put(namespace, name, token, value)


def _registered(make: Any, name: str, *arguments: Any) -> Any:
    """Make the class, and let `__main__.name` be it."""
    cls = make(*arguments)
    setattr(sys.modules["__main__"], name, cls)
    return cls
