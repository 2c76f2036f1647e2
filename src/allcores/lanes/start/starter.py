"""What a way of starting workers must offer."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.engine.lane import Hook
    from allcores.engine.reactor import Reactor

__all__ = ["Starter"]


class Starter:
    """Starts worker processes, ends them, and tells of their ends."""

    #: whether workers have this process's ``__main__``
    shares_main = False

    #: initializer and finalizer, for workers that inherit them
    hooks: tuple[Hook | None, Hook | None] = (None, None)

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
