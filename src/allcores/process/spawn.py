"""Starting a process as a fresh interpreter."""

from __future__ import annotations

import os
from multiprocessing import popen_spawn_posix, resource_tracker, spawn, util

from allcores.process.letter import Inheritance, write_letter
from allcores.process.report import Outcome
from allcores.process.watched import Watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.process.face import Process

__all__ = ["Popen"]

_util: Any = util
_tracker: Any = resource_tracker


class Popen(Watched, popen_spawn_posix.Popen):
    """A process that is an interpreter of its own.

    Args:
        process: what it is to run.
        inheritance: what it is given besides.
        outcome: takes what becomes of it.
    """

    _fds: list[int]

    def __init__(self, process: Process, inheritance: Inheritance, outcome: Outcome) -> None:
        self._inheritance = inheritance
        super().__init__(process, outcome)

    def _launch(self, process: Process) -> None:
        tracker = _tracker.getfd()
        letter = write_letter(self, process, self._inheritance)
        ended, its_end = os.pipe()
        its_beginning, beginning = os.pipe()
        try:
            command = spawn.get_command_line(tracker_fd=tracker, pipe_handle=its_beginning)
            passed = sorted({*self._fds, tracker, its_beginning, its_end})
            self.pid = _util.spawnv_passfds(spawn.get_executable(), command, passed)
            self.sentinel = ended
        except BaseException:
            os.close(ended)
            os.close(beginning)
            raise
        finally:
            os.close(its_beginning)
            os.close(its_end)
        # Kept open: by its closing the child sees the end of its parent.
        self.finalizer = _util.Finalize(self, _util.close_fds, (ended, beginning))
        try:
            with open(beginning, "wb", closefd=False) as file:
                file.write(letter)
        except BrokenPipeError:
            pass  # it has died already, as its exit code tells
