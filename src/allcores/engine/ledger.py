"""Who did what: the figures behind `Pool.stats()`."""

from __future__ import annotations

import time
from collections.abc import Iterable

from allcores.engine.lane import Death, Lane

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.watch.stats import Entry

__all__ = ["Ledger"]


class Ledger:
    """Figures of lanes that are gone. The scheduler's lock guards it."""

    def __init__(self) -> None:
        self._past: list[dict[str, Any]] = []

    def ended(self, lane: Lane, death: Death) -> None:
        """Write down a lane's figures for good."""
        figures = _figures(lane)
        figures.update(alive=False, pid=death.pid, peak_memory=death.peak_memory, exitcode=death.exitcode)
        self._past.append(figures)

    def entries(self, lanes: Iterable[Lane]) -> list[Entry]:
        """Entries of all lanes there have been, with those of `lanes` as they are now."""
        from allcores.watch.stats import Entry  # not before it is asked for: a pool starts and ends the sooner

        figures = [*self._past, *map(_figures, lanes)]
        return [Entry(**each) for each in sorted(figures, key=lambda each: each["number"])]


def _figures(lane: Lane) -> dict[str, Any]:
    busy = lane.busy / 1e9
    lived = time.monotonic() - lane.opened if lane.opened else 0.0
    return {
        "number": lane.number,
        "pid": lane.pid,
        "alive": True,
        "tasks": lane.tasks,
        "busy": busy,
        "idle": max(0.0, lived - busy),
        "bytes_in": lane.bytes_in,
        "bytes_out": lane.bytes_out,
    }
