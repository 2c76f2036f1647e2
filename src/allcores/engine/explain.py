"""Finding the part of a value that keeps it from being pickled, to name it in the error."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["unpicklable_part"]

_DEEPEST = 8


def unpicklable_part(value: Any, name: str) -> str | None:
    """Name the smallest part of `value` that cannot be pickled.

    Args:
        value: a value that could not be pickled.
        name: what to call it: ``argument 0``, ``result``.

    Returns:
        Something like ``argument 0['lock'] is a _thread.lock``, or None where nothing can be told.
    """
    from allcores.engine.by_value import dumps_for_worker

    def refuses(part: Any) -> bool:
        try:
            pickle.dumps(part)
        except Exception:
            try:
                dumps_for_worker(part, [], [])
            except Exception:
                return True
        return False

    if not refuses(value):
        return None
    for _ in range(_DEEPEST):
        for suffix, part in _parts(value):
            if refuses(part):
                value, name = part, name + suffix
                break
        else:
            break
    cls = type(value)
    return f"{name} is a {cls.__module__}.{cls.__qualname__}".replace("builtins.", "")


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield f"[{key!r}]", part
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            yield f"[{index}]", part
    elif isinstance(value, (set, frozenset)):
        for part in value:
            yield "{…}", part
    else:
        for key, part in getattr(value, "__dict__", {}).items():
            yield f".{key}", part
        for index, cell in enumerate(getattr(value, "__closure__", None) or ()):
            try:
                yield f" closing over {value.__code__.co_freevars[index]!r}, which", cell.cell_contents
            except ValueError:
                continue
