"""How a worker packs what became of a task, and how the parent unpacks it.

The outcomes of a batch are one *stream*: the pickle opcodes of each outcome one behind the other, which between
`_LIST_OPENS` and `_LIST_ENDS` make the pickle of a list, so that the parent unpacks thousands in one call.
Protocol 3 allows this: it has no frames, and it numbers its memo entries explicitly, so that each outcome refers
to its own.

Numbers, strings and the like stand in the stream as they are. Everything else is *boxed*, a 1-tuple with a pickle
of its own that may fail to load without harm to its neighbours; a failure is a 2-tuple `(None, description)`; a longer
tuple is what `parcels` has on the wire for a result of which large parts travel apart.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from types import TracebackType

from allcores import errors
from allcores.engine.parcels import LEAST, Parcel, dump, dump_raw, is_raw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Failure", "failed", "pack", "pack_failure", "pack_unpicklable", "unpack_stream"]

_LIST_OPENS = b"\x80\x03("
_LIST_ENDS = b"l."

#: Types whose pickles cannot fail and name no class: these need no box.
PLAIN = frozenset({int, float, bool, type(None), str, bytes, complex})


#: Where the objects are from that the standard pickler takes for their descriptors' numbers.
_CONNECTIONS = "multiprocessing.connection"


class Failure:
    """What stands in the place of a result when there is none: the error to raise."""

    __slots__ = ("_traceback", "error")

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self._traceback = error.__traceback__

    def renewed(self) -> BaseException:
        """The error, without what raising it before has added to its traceback."""
        return self.error.with_traceback(self._traceback)


def pack(value: Any, apart: Callable[[Parcel], Any]) -> bytes:
    """Pack the result of a task in a box.

    Args:
        value: what the task returned.
        apart: sends what is large, and returns what stands for it on the wire.

    Returns:
        The opcodes for the stream.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        pieces = dump_raw(value, buffers) if is_raw((value,)) else [dump(value, buffers)]
        if _CONNECTIONS in sys.modules and any(_CONNECTIONS.encode() in piece for piece in pieces):
            raise pickle.PicklingError("the number of a descriptor means nothing elsewhere")
    except Exception:
        buffers.clear()
        try:
            # A pickler for what the standard one refuses: lambdas, local classes, ends of pipes.
            from allcores.engine.by_value import dumps_by_value

            pieces = [dumps_by_value(value, buffers)]
        except Exception as error:
            return pack_unpicklable(error, value)
    if buffers or len(pieces) > 1 or len(pieces[0]) >= LEAST:
        wire = apart(Parcel(pieces, buffers, []))
        box = (*wire, None) if len(wire) == 2 else wire  # a pair is a failure
    else:
        box = (pieces[0],)
    try:
        return pickle.dumps(box, 3)[2:-1]
    except (OverflowError, MemoryError) as error:  # over 4 GiB
        return pack_unpicklable(error, type(value))


def pack_unpicklable(error: Exception, value: Any) -> bytes:
    """Pack the news that a result cannot be pickled.

    Args:
        error: what was raised when that was tried.
        value: the result.

    Returns:
        The opcodes for the stream.
    """
    from allcores.engine.explain import unpicklable_part

    part = unpicklable_part(value, "result")
    reason = f"{error!r}{f' ({part})' if part else ''}"
    return pickle.dumps((None, ("encoding", reason, _safe_repr(value))), 3)[2:-1]


def pack_failure(error: BaseException, traceback: TracebackType | None) -> bytes:
    """Pack the exception that a task raised.

    It travels twice: as it pickles itself, and as class, arguments and attributes, from which it can be made
    again where its own pickle does not load (the classic case: an ``__init__`` with two required arguments).

    Args:
        error: the exception.
        traceback: where the traceback to show begins.

    Returns:
        The opcodes for the stream.
    """
    from traceback import format_exception

    try:
        text = "".join(format_exception(type(error), error, traceback))
    except Exception as broken:
        text = f"{type(error).__qualname__} (its traceback cannot be formatted: {broken!r})\n"
    whole = _try_dumps(error)
    parts = _try_dumps((type(error), error.args, error.__dict__))
    if parts is None:
        parts = _try_dumps((type(error), tuple(_safe_repr(argument) for argument in error.args), {}))
    cls = type(error)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    return pickle.dumps((None, ("raised", whole, parts, name, _safe_str(error), text)), 3)[2:-1]


def unpack_stream(
    stream: bytes | memoryview, boxed: bool, opened: Callable[[tuple[Any, ...]], Callable[[], Any]] | None = None
) -> tuple[list[Any], bool]:
    """Unpack the outcomes of a batch.

    Args:
        stream: opcodes as the worker wrote them.
        boxed: whether some need unboxing.
        opened: takes in what was sent apart, and returns what unpickles it.

    Returns:
        The outcomes, in order, with `Failure` in the place of each result that there is not; and whether there
        is any `Failure` among them.
    """
    values: list[Any] = pickle.loads(b"".join((_LIST_OPENS, stream, _LIST_ENDS)))
    failures = False
    if boxed:
        for position, value in enumerate(values):
            if type(value) is tuple:
                outcome = _unbox(value, opened)
                if type(outcome) is Failure:
                    failures = True
                values[position] = outcome
    return values, failures


def _unbox(box: tuple[Any, ...], opened: Callable[[tuple[Any, ...]], Callable[[], Any]] | None) -> Any:
    if len(box) == 2:
        return failed(box[1])
    try:
        if len(box) == 1:
            return pickle.loads(box[0])
        assert opened is not None
        return opened(box[:2] if len(box) == 3 else box)()
    except BaseException as error:
        return Failure(_annotated(error, "a task's result cannot be unpickled in this process"))


def failed(description: tuple[Any, ...]) -> Failure:
    """Turn a description from a worker into the error to raise, with the worker's traceback as its cause."""
    if description[0] == "encoding":
        return Failure(errors.maybe_encoding_error(description[1], description[2]))
    _, whole, parts, name, text, traceback = description
    error = _load_exception(whole) or _remake_exception(parts) or errors.RemoteError(name, text)
    error.__cause__ = errors.remote_traceback(traceback)
    return Failure(error)


def _load_exception(whole: bytes | None) -> BaseException | None:
    if whole is None:
        return None
    try:
        error = pickle.loads(whole)
    except BaseException:
        return None
    return error if isinstance(error, BaseException) else None


def _remake_exception(parts: bytes | None) -> BaseException | None:
    if parts is None:
        return None
    try:
        cls, arguments, attributes = pickle.loads(parts)
        error = cls.__new__(cls, *arguments)
        error.args = arguments
        error.__dict__.update(attributes)
    except BaseException:
        return None
    return error if isinstance(error, BaseException) else None


def _try_dumps(value: Any) -> bytes | None:
    try:
        return pickle.dumps(value)
    except Exception:
        pass
    try:
        from allcores.engine.by_value import dumps_by_value

        return dumps_by_value(value)
    except Exception:
        return None


def _safe_repr(value: Any, limit: int = 1000) -> str:
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__qualname__} object whose repr failed: {error!r}>"
    return text if len(text) <= limit else f"{text[:limit]}…"


def _safe_str(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"(its text cannot be had: {broken!r})"


def _annotated(error: BaseException, note: str) -> BaseException:
    if sys.version_info >= (3, 11):
        error.add_note(note)
    return error
