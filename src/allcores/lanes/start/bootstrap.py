"""How a new process becomes a worker."""

from __future__ import annotations

import ctypes
import faulthandler
import io
import mmap
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence

from allcores.engine.barrier import register
from allcores.engine.channel import CONTROL_SIZE, HALVES_AT, PRINTED
from allcores.engine.main_module import make_main, origin_of_main
from allcores.engine.worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.engine.lane import Hook

__all__ = ["Surroundings", "die_with_parent", "prctl", "run_worker"]

_PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


class Surroundings:
    """What a worker takes over from the program that it works for.

    Attributes:
        folder: the current directory, or None where there is none.
        path: `sys.path`.
        argv: `sys.argv`.
        environment: variables that differ from those that the worker starts with; None removes one.
        main: where its main module comes from.
    """

    __slots__ = ("argv", "environment", "folder", "main", "path")

    def __init__(
        self,
        folder: str | None,
        path: list[str],
        argv: list[str],
        environment: dict[str, str | None],
        main: tuple[str | None, str | None],
    ) -> None:
        self.folder = folder
        self.path = path
        self.argv = argv
        self.environment = environment
        self.main = main

    @classmethod
    def here(cls, base: dict[str, str]) -> Surroundings:
        """Those of this process, for one that starts with the environment `base`."""
        try:
            folder: str | None = os.getcwd()
        except OSError:
            folder = None
        now = dict(os.environ)
        changed: dict[str, str | None] = {name: value for name, value in now.items() if base.get(name) != value}
        changed.update({name: None for name in base if name not in now})
        return cls(folder, list(sys.path), list(getattr(sys, "argv", [])), changed, origin_of_main())

    def enter(self) -> None:
        """Make them those of this process."""
        for name, value in self.environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if self.folder is not None:
            try:
                os.chdir(self.folder)
            except OSError:
                pass  # gone meanwhile; whatever needs it says so better than a worker that cannot start
        # A relative entry, '' among them, means the folder that the program is in.
        sys.path[:] = self.path
        sys.argv[:] = self.argv
        make_main(*self.main)  # the user's is never imported


def prctl(option: int, value: int) -> None:
    """Linux's prctl(2); nothing elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Let the kernel end this process when the one that forked it ends.

    The signal follows the *thread* that forked; callers fork from one that lives as long as the process matters.

    Args:
        parent: its process id, to notice that it is gone already.
    """
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def run_worker(fds: Sequence[int], hooks: tuple[Hook | None, Hook | None] = (None, None)) -> None:
    """Work until told to stop, then end this process.

    Args:
        fds: descriptors of the worker's end of its channel, of the control block, of its end of the side socket, and
            of what are to be its standard output and error.
        hooks: initializer and finalizer, where they are inherited from the program by fork.
    """
    status = 1
    try:
        connection, control, side, output, error = fds
        block = mmap.mmap(control, CONTROL_SIZE)
        os.close(control)
        _settle_in()
        _redirect(output, error, memoryview(block)[:HALVES_AT].cast("Q"))
        with socket.socket(fileno=connection) as channel, socket.socket(fileno=side) as side_channel:
            Worker(channel, block, side_channel, hooks).serve()
        _leave()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        _flush()
        os._exit(status)


def _settle_in() -> None:
    if os.getsid(0) != os.getpid():  # whoever leads a session leads its group already
        os.setpgid(0, 0)
    # What a task starts belongs to its worker, also once its own parent is gone; and is found by it.
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    register()


def _redirect(output: int, error: int, words: memoryview) -> None:
    """Let everything that is printed, by C code and other programs too, go to the pool's pipes."""
    for fd, target in ((output, 1), (error, 2)):
        os.dup2(fd, target)
        os.close(fd)
    sys.stdout = sys.__stdout__ = _line_stream(1, words)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _line_stream(2, words)  # type: ignore[misc]
    faulthandler.enable()


def _line_stream(fd: int, words: memoryview) -> io.TextIOWrapper:
    raw = _Counted(fd, "w", closefd=False)
    raw.words = words
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True)


class _Counted(io.FileIO):
    """Counts writes where the pool sees it: it then reads the pipe before it takes in the next result."""

    words: memoryview

    def write(self, data: Any) -> int:
        self.words[PRINTED] += 1
        return super().write(data)


def _leave() -> None:
    """What a child of `multiprocessing` does at its end: wait for threads, flush queues."""
    threading._shutdown()  # type: ignore[attr-defined]
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util._exit_function()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            continue
