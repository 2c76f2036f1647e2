"""Starting a process by fork, forkserver or spawn, with a way for its outcome to come back."""

from __future__ import annotations

from importlib import import_module

from allcores.process.letter import Inheritance
from allcores.process.lifeline import Lifeline
from allcores.process.report import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.process.face import Process

__all__ = ["launch"]

#: Each is imported when it is first used.
_WAYS = {
    "fork": "allcores.process.fork",
    "forkserver": "allcores.process.forkserver",
    "spawn": "allcores.process.spawn",
}


def launch(process: Process, method: str) -> Any:
    """Start a process.

    Args:
        process: what it is to run.
        method: ``"fork"``, ``"forkserver"`` or ``"spawn"``.

    Returns:
        A `Watched`: `multiprocessing`'s object for a running process, with an attribute ``outcome``.
    """
    popen_class = import_module(_WAYS[method]).Popen
    lifeline = Lifeline.current() if process.daemon else None
    outcome = Outcome()
    inheritance = Inheritance(outcome.child_end(), lifeline.child_end() if lifeline is not None else -1)
    try:
        popen = popen_class(process, inheritance, outcome)
    finally:
        inheritance.close()
    popen.lifeline = lifeline  # stays as long as the process is known
    return popen
