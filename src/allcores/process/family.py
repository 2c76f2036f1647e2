"""What a process has started, and what that has started: to end it all."""

from __future__ import annotations

import os
import signal

__all__ = ["signal_family"]


def signal_family(pid: int, number: int) -> None:
    """Send a signal to a process and to all that descends from it.

    They are stopped first, so that none can start another meanwhile, and go on with the signal. What was started by
    one of them that is gone is nobody's descendant, and not found.

    Args:
        pid: the process.
        number: the signal.
    """
    from allcores.lanes.family import descendants

    stopped: list[int] = []
    found = [pid]
    while found:
        for member in found:
            _signal(member, signal.SIGSTOP)
        stopped += found
        found = [member for member in descendants(pid) if member not in stopped]
    for member in stopped:
        _signal(member, number)
    for member in stopped:
        _signal(member, signal.SIGCONT)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        pass  # gone, or somebody else's by now (a set-user-id program)
