"""Processes of a measurement, seen from outside: end what is left of them, and watch their memory."""

import os
import signal
import threading
import time

import psutil

from bench import procfs

# The name of a measurement, in the environment of everything that it starts.
MARK = "BENCH_MEASUREMENT"

# How long whatever a peer has left running may take to end by itself, then after a polite signal (those that clean
# up after the others end last, and ignore it), and then after a rude one.
GRACES_S = ((0, 0.5), (signal.SIGTERM, 2.0), (signal.SIGKILL, 0.5))

# How often a watch looks. Each look walks the page tables of every process, some milliseconds for a gigabyte.
LOOK_S = 0.1


def members(leader, mark):
    """The running processes of a measurement: of the leader's session or group, or with the mark in the environment.

    A daemon leaves the session, and a process that writes its own title over its environment loses the mark; none
    is known to do both. A process that has ended without being reaped does not count.
    """
    return [process for process in psutil.process_iter() if is_member(process, leader, mark)]


def is_member(process, leader, mark):
    """Whether a process is one of them."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if leader in (os.getsid(process.pid), os.getpgid(process.pid)):
            return True
        return process.environ().get(MARK) == mark
    except (OSError, psutil.Error):
        return False  # it has just ended, or belongs to somebody else


def end_all(leader, mark):
    """End every process that a measurement has left behind."""
    for number, grace in GRACES_S:
        for process in members(leader, mark):
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue
        end = time.monotonic() + grace
        while members(leader, mark):
            if time.monotonic() > end:
                break
            time.sleep(0.01)
        else:
            return


class MemoryWatch:
    """Looks at the memory of a process and its descendants from time to time, in a thread of its own.

    Used in a `with` block.

    Attributes:
        peak: the most bytes that were seen.
    """

    def __init__(self, pid):
        self.peak = 0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self):
        while not self._ended.wait(LOOK_S):
            self.peak = max(self.peak, procfs.family_memory(self._pid))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
