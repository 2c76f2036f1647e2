"""Checks of what callers pass: the error names the argument."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["check_callbacks", "check_count", "check_modules", "check_tuple"]


def check_tuple(name: str, value: Any) -> tuple[Any, ...]:
    """Return an iterable as a tuple.

    Raises:
        TypeError: naming the argument.
    """
    try:
        return tuple(value)
    except TypeError:
        raise TypeError(f"{name} must be iterable, not {value!r}") from None


def check_callbacks(callback: Any, error_callback: Any) -> None:
    """Raise TypeError for a callback that cannot be called, naming it."""
    for name, value in (("callback", callback), ("error_callback", error_callback)):
        if value is not None and not callable(value):
            raise TypeError(f"{name} must be a callable or None, not {value!r}")


def check_modules(preload: Any) -> tuple[str, ...]:
    """Return names of modules as a tuple.

    Raises:
        TypeError: there is something else among them, or they are one text.
    """
    names = () if isinstance(preload, str) else check_tuple("preload", preload)
    if isinstance(preload, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"preload must be names of modules, such as ['numpy'], not {preload!r}")
    return names


def check_count(name: str, value: Any, none: int | None) -> int | None:
    """Return `value` if it is a count of 1 or more, `none` if it is None.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    if value is None:
        return none
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        wrong = ValueError if name == "maxtasksperchild" else TypeError  # as the standard pool has it
        raise wrong(f"{name} must be a whole number or None, not {value!r}")
    count = int(value.__index__())
    if count < 1:
        raise ValueError(f"{name} must be 1 or more, not {count}")
    return count
