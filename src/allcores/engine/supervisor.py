"""When to go on starting lanes, when to give up, and what to say of a lane that died."""

from __future__ import annotations

import time
from collections import deque

from allcores.engine.lane import Death
from allcores.errors import PoolBroken, WorkerDied, signal_name

__all__ = ["Supervisor"]

#: As an Erlang/OTP supervisor counts restarts: this many failed starts in this many seconds are too many; so is a
#: smaller number one behind the other, of set-ups that fail, or of workers that end by themselves.
MOST_FAILURES = 10
WITHIN_SECONDS = 5.0
MOST_IN_A_ROW = 3
MOST_ENDS_IN_A_ROW = 8

#: Of workers that a signal has ended more is borne, for somebody else may be killing them, and on a busy machine many
#: before they have started. One that crashes whenever it starts has done so that often within a second.
MOST_KILLED_IN_A_ROW = 30


class Supervisor:
    """Counts failed starts. The scheduler's lock guards it."""

    def __init__(self) -> None:
        self._failures: deque[float] = deque(maxlen=MOST_FAILURES)
        self._in_a_row = 0

    def started(self) -> None:
        """A lane has started."""
        self._in_a_row = 0

    def start_failed(self, death: Death) -> BaseException | None:
        """A lane has ended before it could take work.

        Returns:
            Why to give up; None to try again.
        """
        self._in_a_row += 1
        too_many = False
        if death.setup is None and (death.exitcode or 0) < 0:
            most = MOST_KILLED_IN_A_ROW
        else:
            most = MOST_ENDS_IN_A_ROW if death.setup is None else MOST_IN_A_ROW
            now = time.monotonic()
            self._failures.append(now)
            too_many = len(self._failures) == MOST_FAILURES and now - self._failures[0] <= WITHIN_SECONDS
        if not too_many and self._in_a_row < most:
            return None
        times = f"{self._in_a_row} times in a row" if not too_many else f"{MOST_FAILURES} times"
        if death.setup is not None and death.pid is None:
            reason = f"its workers could not be started, {times}; last: {death.setup.error!r}"
        elif death.setup is not None:
            reason = f"the initializer failed {times}; last: {death.setup.error!r}"
        else:
            reason = f"its workers could not start, {times}; the last one {_how(death)}"
        broken = PoolBroken(f"the pool has given up: {reason}{_last_words(death)}")
        if death.setup is not None:
            broken.__cause__ = death.setup.error
        return broken

    @staticmethod
    def explain(death: Death, task: str, deaths: int = 1) -> WorkerDied:
        """The error for the task that a lane died of.

        Args:
            death: how the lane ended.
            task: the task in brief.
            deaths: how many lanes the task has cost.
        """
        parts = [f"the worker (pid {death.pid}) that ran {task} {_how(death)}"]
        if death.note:
            parts.append(f"; {death.note}")
        if death.peak_memory:
            parts.append(f"; its peak memory was {death.peak_memory / 2**20:.0f} MiB")
        if deaths > 1:
            parts.append(f"; the task has cost {deaths} workers")
        parts.append(_last_words(death))
        return WorkerDied(
            "".join(parts),
            pid=death.pid,
            exitcode=death.exitcode,
            task=task,
            peak_memory=death.peak_memory,
            stderr=death.stderr,
            deaths=deaths,
        )


def _how(death: Death) -> str:
    if death.exitcode is None:
        return "ended without a trace"
    if death.exitcode < 0:
        return f"was ended by {signal_name(-death.exitcode)}"
    return f"exited with code {death.exitcode}"


def _last_words(death: Death) -> str:
    return f"; it last wrote to its standard error:\n{death.stderr.rstrip()}" if death.stderr.strip() else ""
