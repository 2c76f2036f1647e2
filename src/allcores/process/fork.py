"""Starting a process by fork: it inherits what it is to run, with everything else."""

from __future__ import annotations

from multiprocessing import popen_fork

from allcores.process.letter import Inheritance
from allcores.process.report import Outcome
from allcores.process.watched import Watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from allcores.process.face import Process

__all__ = ["Popen"]


class Popen(Watched, popen_fork.Popen):
    """A process that was forked from this one.

    Args:
        process: what it is to run.
        inheritance: what it is given besides.
        outcome: takes what becomes of it.
    """

    def __init__(self, process: Process, inheritance: Inheritance, outcome: Outcome) -> None:
        inheritance.not_its = outcome
        process._inheritance = inheritance
        try:
            super().__init__(process, outcome)
        finally:
            process._inheritance = None
