"""Starting a process by fork, forkserver or spawn, with a way for its outcome to come back.

What is done is what `multiprocessing` does, with one difference: where the child does not inherit the program's
memory, what it is to run travels by value, as to a pool's workers, and the child does not import the program's main
module. So targets may be lambdas, closures and functions of `__main__`, and no script needs a guard.
"""

from __future__ import annotations

import io
import os
import pickle
import sys

from allcores.engine.by_value import dumps_for_child
from allcores.engine.explain import unpicklable_part
from allcores.engine.main_module import make_main
from allcores.process.lifeline import lifeline_end
from allcores.process.report import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.process.face import Process

__all__ = ["Inheritance", "launch"]


class Inheritance:
    """What a child is given besides what it is to run; pickled while the child is being started.

    Args:
        outcome: the end for its report.
        lifeline: the end of its lifeline, if it is a daemon; else -1.
    """

    def __init__(self, outcome: int, lifeline: int) -> None:
        self.outcome = outcome
        self.lifeline = lifeline

    def close(self) -> None:
        """In the parent, once the child has it."""
        os.close(self.outcome)
        if self.lifeline >= 0:
            os.close(self.lifeline)

    def __reduce__(self) -> Any:
        from multiprocessing.reduction import DupFd

        return _inherit, (DupFd(self.outcome), DupFd(self.lifeline) if self.lifeline >= 0 else None)


def _inherit(outcome: Any, lifeline: Any) -> Inheritance:
    return Inheritance(outcome.detach(), lifeline.detach() if lifeline is not None else -1)


class _Letter:
    """A process as it travels to a child that has nothing of the program yet."""

    def __init__(self, process: Process, inheritance: Inheritance, starting: Any) -> None:
        self._process = process
        self._inheritance = inheritance
        self._starting = starting

    def __reduce__(self) -> Any:
        main_file = getattr(sys.modules["__main__"], "__file__", None)
        return _open_letter, (main_file, self._inheritance, _pickled(self._process, self._starting))


def _pickled(process: Process, starting: Any) -> bytes:
    try:
        return dumps_for_child(process, starting)
    except Exception as error:
        for name in ("target", "args", "kwargs"):
            part = unpicklable_part(getattr(process, f"_{name}"), name)
            if part is not None:
                raise pickle.PicklingError(f"cannot send {process.name} to a process: {error} ({part})") from error
        raise


def _open_letter(main_file: str | None, inheritance: Inheritance, pickled: bytes) -> Process:
    make_main(main_file)
    process: Process = pickle.loads(pickled)
    process._inheritance = inheritance
    return process


def launch(process: Process, method: str) -> Any:
    """Start a process.

    Args:
        process: what it is to run.
        method: ``"fork"``, ``"forkserver"`` or ``"spawn"``.

    Returns:
        `multiprocessing`'s object for a running process, with an attribute ``outcome``.
    """
    outcome = Outcome()
    inheritance = Inheritance(outcome.child_end, lifeline_end() if process.daemon else -1)
    try:
        popen = _MAKERS[method](process, inheritance)
    finally:
        inheritance.close()
    popen.outcome = outcome
    return popen


def _fork(process: Process, inheritance: Inheritance) -> Any:
    from multiprocessing.popen_fork import Popen

    process._inheritance = inheritance  # the child inherits it
    try:
        return Popen(process)
    finally:
        process._inheritance = None


def _spawn(process: Process, inheritance: Inheritance) -> Any:
    from multiprocessing import popen_spawn_posix, resource_tracker, spawn

    class Popen(popen_spawn_posix.Popen):
        _fds: list[int]

        def _launch(self, process: Process) -> None:
            tracker: Any = resource_tracker.getfd()
            letter = _write_letter(self, process, inheritance)
            ended, its_end = os.pipe()
            its_beginning, beginning = os.pipe()
            try:
                command = spawn.get_command_line(tracker_fd=tracker, pipe_handle=its_beginning)
                passed = sorted({*self._fds, tracker, its_beginning, its_end})
                self.pid = _tools().spawnv_passfds(spawn.get_executable(), command, passed)
                self.sentinel = ended
            except BaseException:
                os.close(ended)
                os.close(beginning)
                raise
            finally:
                os.close(its_beginning)
                os.close(its_end)
            # Kept open: by its closing the child sees the end of its parent.
            self.finalizer = _closing(self, ended, beginning)
            with open(beginning, "wb", closefd=False) as file:
                file.write(letter)

    return Popen(process)


def _forkserver(process: Process, inheritance: Inheritance) -> Any:
    from multiprocessing import forkserver, popen_forkserver

    class Popen(popen_forkserver.Popen):
        _fds: list[int]

        def _launch(self, process: Process) -> None:
            letter = _write_letter(self, process, inheritance)
            _start_forkserver()
            self.sentinel, beginning = forkserver.connect_to_new_process(self._fds)
            kept = os.dup(beginning)  # by its closing the child sees the end of its parent
            self.finalizer = _closing(self, kept, self.sentinel)
            with open(beginning, "wb") as file:
                file.write(letter)
            self.pid = forkserver.read_signed(self.sentinel)

    return Popen(process)


def _start_forkserver() -> None:
    """Have the server run, which is not to import the program's main module either."""
    from multiprocessing import forkserver

    server: Any = forkserver._forkserver
    preload = server._preload_modules
    server._preload_modules = [name for name in preload if name != "__main__"]
    try:
        server.ensure_running()
    finally:
        server._preload_modules = preload


def _tools() -> Any:
    from multiprocessing import util

    return util


def _closing(popen: Any, *fds: int) -> Any:
    """Have descriptors closed with a `Popen` object."""
    util = _tools()
    return util.Finalize(popen, util.close_fds, fds)


def _write_letter(starting: Any, process: Process, inheritance: Inheritance) -> memoryview:
    """What the child reads first: how to prepare, then the process."""
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


_MAKERS = {"fork": _fork, "forkserver": _forkserver, "spawn": _spawn}
