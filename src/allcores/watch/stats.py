"""The figures of a pool, to read and to print."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Entry", "PoolStats"]


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


@dataclass(frozen=True)
class PoolStats:
    """What a pool's workers did.

    Attributes:
        workers: an entry for each worker there has been, the living ones included.
        processes: how many workers the pool may have at a time.
    """

    workers: tuple[Entry, ...]
    processes: int

    @property
    def started(self) -> int:
        """How many workers have been started."""
        return len(self.workers)

    @property
    def alive(self) -> int:
        """How many workers there are now."""
        return sum(entry.alive for entry in self.workers)

    @property
    def restarts(self) -> int:
        """How many workers were started in the place of others."""
        return max(0, self.started - max(self.alive, min(self.started, self.processes)))

    @property
    def tasks(self) -> int:
        """How many tasks have been done."""
        return sum(entry.tasks for entry in self.workers)

    @property
    def busy(self) -> float:
        """Seconds spent in tasks, over all workers."""
        return sum(entry.busy for entry in self.workers)

    def __str__(self) -> str:
        titles = ("in", "out", "peak")
        lines = [
            f"{'worker':>6} {'pid':>8} {'tasks':>10} {'busy s':>9} {'idle s':>9} "
            + " ".join(f"{title:>9}" for title in titles)
            + "  state"
        ]
        for entry in self.workers:
            ended = f"exit code {entry.exitcode}" if entry.exitcode else "ended"
            state = "alive" if entry.alive else ended
            lines.append(
                f"{entry.number:>6} {entry.pid or '-':>8} {entry.tasks:>10,} {entry.busy:>9.3f} {entry.idle:>9.3f} "
                f"{_size(entry.bytes_in):>9} {_size(entry.bytes_out):>9} {_size(entry.peak_memory):>9}  {state}"
            )
        lines.append(
            f"{self.tasks:,} tasks, {self.busy:.3f} s busy, {self.alive} of at most {self.processes} workers alive, "
            f"{self.restarts} restarts"
        )
        return "\n".join(lines)


def _size(count: int | None) -> str:
    """A number of bytes for people."""
    if count is None:
        return "-"
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
