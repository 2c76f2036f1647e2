"""The `__main__` of processes that do not import the user's."""

from __future__ import annotations

import sys
import types

from allcores.engine.channel import MADE_MAIN

__all__ = ["make_main", "origin_of_main"]


def origin_of_main() -> tuple[str | None, str | None]:
    """The file that the user's `__main__` was read from, and the package it is in (``python -m``), if any."""
    main = sys.modules.get("__main__")
    return getattr(main, "__file__", None), getattr(main, "__package__", None)


def make_main(file: str | None, package: str | None) -> None:
    """Give this process an empty `__main__`, into which is put what of the user's travels by value.

    Args:
        file: where the user's was read from; None where it was not read from a file.
        package: the package it is in, to which relative imports in its functions refer.
    """
    main = types.ModuleType("__main__")
    main.__dict__.update({"__builtins__": __builtins__, MADE_MAIN: True})
    if file is not None:
        main.__file__ = file
    main.__package__ = package
    sys.modules["__main__"] = main
