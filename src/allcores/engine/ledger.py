"""Who did what: the figures behind `Pool.stats()`."""

from __future__ import annotations

import time
from collections.abc import Iterable

from allcores.engine.lane import Death, Lane

TYPE_CHECKING = False
if TYPE_CHECKING:
    from allcores.watch.stats import Entry

__all__ = ["Ledger"]


class Ledger:
    """Entries of lanes that are gone. The scheduler's lock guards it."""

    def __init__(self) -> None:
        self._past: list[Entry] = []

    def ended(self, lane: Lane, death: Death) -> None:
        """Write down a lane's figures for good."""
        entry = _entry(lane)
        entry.alive = False
        entry.pid = death.pid
        entry.peak_memory = death.peak_memory
        entry.exitcode = death.exitcode
        self._past.append(entry)

    def entries(self, lanes: Iterable[Lane]) -> list[Entry]:
        """Entries of all lanes there have been, with those of `lanes` as they are now."""
        return sorted([*self._past, *map(_entry, lanes)], key=lambda entry: entry.number)


def _entry(lane: Lane) -> Entry:
    from allcores.watch.stats import Entry  # not before it is needed: a pool starts the sooner

    busy = lane.busy / 1e9
    lived = time.monotonic() - lane.opened if lane.opened else 0.0
    return Entry(
        number=lane.number,
        pid=lane.pid,
        alive=True,
        tasks=lane.tasks,
        busy=busy,
        idle=max(0.0, lived - busy),
        bytes_in=lane.bytes_in,
        bytes_out=lane.bytes_out,
    )
