"""Ways to start a worker process: from a warm template, by fork, or as a fresh interpreter."""

from __future__ import annotations

import multiprocessing
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.lanes.start.starter import Starter

__all__ = ["make_starter"]


def make_starter(context: Any, preload: tuple[str, ...]) -> Starter:
    """The way of starting that a context of `multiprocessing` asks for.

    Args:
        context: one for ``fork``, ``spawn`` or ``forkserver``, or the name of one; None for the default.
        preload: modules that workers are to find imported.

    Raises:
        TypeError: `context` is no context.
        ValueError: there is no context of this name here.
    """
    method = "forkserver"
    if context is not None:
        if isinstance(context, str):
            context = multiprocessing.get_context(context)
        if not hasattr(context, "get_start_method"):
            raise TypeError(f"context must come from multiprocessing.get_context(), or be its name, not {context!r}")
        # The default context knows a method only once it has been asked for; that it exists says nothing.
        chosen = getattr(context, "_name", None) or context.get_start_method(allow_none=True)
        method = chosen or method
    if method == "forkserver" and sys.platform == "linux":
        from allcores.lanes.start.template import TemplateStarter

        return TemplateStarter(preload)
    from allcores.lanes.start.direct import DirectStarter

    return DirectStarter("fork" if method == "fork" else "spawn", preload)
