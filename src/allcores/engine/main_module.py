"""The `__main__` of processes that do not import the user's."""

from __future__ import annotations

import sys
import types

from allcores.engine.channel import MADE_MAIN

__all__ = ["make_main"]


def make_main(file: str | None) -> None:
    """Give this process an empty `__main__`, into which is put what of the user's travels by value.

    Args:
        file: where the user's was read from; None where it was not read from a file.
    """
    main = types.ModuleType("__main__")
    main.__dict__.update({"__builtins__": __builtins__, MADE_MAIN: True})
    if file is not None:
        main.__file__ = file
    sys.modules["__main__"] = main
