"""Ways to start a worker process: from a warm template, by fork, or as a fresh interpreter."""

from __future__ import annotations

import sys

from allcores.engine.reactor import Reactor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Starter", "make_starter"]


class Starter:
    """Starts worker processes, ends them, and tells of their ends."""

    #: whether workers have this process's ``__main__``
    shares_main = False

    def open(self, reactor: Reactor, threads: int) -> None:
        """Get ready, without waiting.

        Args:
            reactor: in whose thread workers are told.
            threads: how many threads a numeric library may use that is imported ahead of time.
        """

    def start(self, worker: Any, fds: list[int]) -> None:
        """Start a worker, with these descriptors for `run_worker`."""

    def kill(self, worker: Any, grace: float) -> None:
        """End a worker and all that it started."""

    def close(self) -> None:
        """Let go of everything; no worker is left."""

    def abandon(self) -> None:
        """After a fork, in the child."""


def make_starter(context: Any, preload: tuple[str, ...]) -> Starter:
    """The way of starting that a context of `multiprocessing` asks for.

    Args:
        context: one for ``fork``, ``spawn`` or ``forkserver``; None for the default.
        preload: modules that workers are to find imported.

    Raises:
        TypeError: `context` is no context.
    """
    method = "forkserver"
    if context is not None:
        if not hasattr(context, "get_start_method"):
            raise TypeError(f"context must come from multiprocessing.get_context(), not {context!r}")
        # The default context knows a method only once it has been asked for; that it exists says nothing.
        chosen = getattr(context, "_name", None) or context.get_start_method(allow_none=True)
        method = chosen or method
    if method == "forkserver" and sys.platform == "linux":
        from allcores.lanes.start.template import TemplateStarter

        return TemplateStarter(preload)
    from allcores.lanes.start.direct import DirectStarter

    return DirectStarter("fork" if method == "fork" else "spawn", preload)
