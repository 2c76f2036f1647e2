"""Who did what: the figures behind `Pool.stats()`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from allcores.engine.lane import Death, Lane

__all__ = ["Entry", "Ledger"]


@dataclass
class Entry:
    """What one worker did.

    Attributes:
        number: counts the pool's workers from 1.
        pid: its process.
        alive: whether it still runs.
        tasks: how many tasks it has done.
        busy: seconds spent in tasks.
        idle: seconds spent waiting for them.
        bytes_in, bytes_out: sent to it, and received from it.
        peak_memory: its largest resident set in bytes; None where it is not known.
        exitcode: its exit code once it has ended; ``-N`` for signal N.
    """

    number: int
    pid: int | None
    alive: bool
    tasks: int
    busy: float
    idle: float
    bytes_in: int
    bytes_out: int
    peak_memory: int | None = None
    exitcode: int | None = None


@dataclass
class Ledger:
    """Entries of lanes that are gone. The scheduler's lock guards it."""

    past: list[Entry] = field(default_factory=list)

    def ended(self, lane: Lane, death: Death) -> None:
        """Write down a lane's figures for good."""
        entry = _entry(lane)
        entry.alive = False
        entry.pid = death.pid
        entry.peak_memory = death.peak_memory
        entry.exitcode = death.exitcode
        self.past.append(entry)

    def entries(self, lanes: Iterable[Lane]) -> list[Entry]:
        """Entries of all lanes there have been, with those of `lanes` as they are now."""
        return sorted([*self.past, *map(_entry, lanes)], key=lambda entry: entry.number)


def _entry(lane: Lane) -> Entry:
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
