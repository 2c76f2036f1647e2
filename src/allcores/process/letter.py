"""What a child reads first, where it does not inherit the program's memory.

It is what `multiprocessing` sends, with one difference: what the child is to run travels by value, as to a pool's
workers, and the child does not import the program's main module. So targets may be lambdas, closures and functions
of `__main__`, and no script needs a guard.
"""

from __future__ import annotations

import io
import os
import pickle

from allcores.engine.by_value import dumps_for_child
from allcores.engine.explain import unpicklable_part
from allcores.engine.main_module import make_main, origin_of_main
from allcores.process.lifeline import tie
from allcores.process.report import Outcome, report_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.process.face import Process

__all__ = ["Inheritance", "write_letter"]


class Inheritance:
    """What a child is given besides what it is to run; pickled while the child is being started.

    Attributes:
        outcome: the end for its report.
        lifeline: the end of its lifeline, if it is a daemon; else -1.
        not_its: the parent's end, which a forked child has as well.
    """

    not_its: Outcome | None = None

    def __init__(self, outcome: int, lifeline: int) -> None:
        self.outcome = outcome
        self.lifeline = lifeline

    def enter(self) -> None:
        """In the child, at its beginning."""
        if self.not_its is not None:
            self.not_its.close()
        if self.lifeline >= 0:
            tie(self.lifeline)

    def close(self) -> None:
        """In the parent, once the child has it."""
        os.close(self.outcome)
        if self.lifeline >= 0:
            os.close(self.lifeline)

    def __reduce__(self) -> Any:
        from multiprocessing.reduction import DupFd

        return _inherit, (DupFd(self.outcome), DupFd(self.lifeline) if self.lifeline >= 0 else None)


def _inherit(outcome: Any, lifeline: Any) -> Inheritance:
    inheritance = Inheritance(outcome.detach(), lifeline.detach() if lifeline is not None else -1)
    os.set_inheritable(inheritance.outcome, False)  # by the programs that the child starts
    return inheritance


def write_letter(starting: Any, process: Process, inheritance: Inheritance) -> memoryview:
    """How to prepare, then the process.

    Args:
        starting: the `Popen` object of `multiprocessing` that starts the child, which takes descriptors along.
        process: what the child is to run.
        inheritance: what it is given besides.

    Raises:
        pickle.PicklingError: something cannot be sent, and what.
    """
    from multiprocessing import context, reduction, spawn

    preparation = spawn.get_preparation_data(process.name)
    for key in ("init_main_from_name", "init_main_from_path"):
        preparation.pop(key, None)
    file = io.BytesIO()
    context.set_spawning_popen(starting)
    try:
        reduction.dump(preparation, file)
        reduction.dump(_Letter(process, inheritance, starting), file)
    finally:
        context.set_spawning_popen(None)
    return file.getbuffer()


class _Letter:
    """A process as it travels to a child that has nothing of the program yet."""

    def __init__(self, process: Process, inheritance: Inheritance, starting: Any) -> None:
        self._process = process
        self._inheritance = inheritance
        self._starting = starting

    def __reduce__(self) -> Any:
        return _open_letter, (origin_of_main(), self._inheritance, _pickled(self._process, self._starting))


def _pickled(process: Process, starting: Any) -> bytes:
    try:
        return dumps_for_child(process, starting)
    except Exception as error:
        for name in ("target", "args", "kwargs"):
            part = unpicklable_part(getattr(process, f"_{name}"), name)
            if part is not None:
                raise pickle.PicklingError(f"cannot send {process.name} to a process: {error} ({part})") from error
        raise


def _open_letter(main: tuple[str | None, str | None], inheritance: Inheritance, pickled: bytes) -> Process:
    make_main(*main)
    try:
        process: Process = pickle.loads(pickled)
    except BaseException as error:
        report_failure(inheritance.outcome, error, error.__traceback__)
        raise
    process._inheritance = inheritance
    return process
