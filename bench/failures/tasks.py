"""The functions that are sent to workers: importable by name, which is fair to every library."""

import os
import signal
import sys
import threading
import time

lock = threading.Lock()


def same(x):
    """Return the argument."""
    return x


def nap(seconds):
    """Wait."""
    time.sleep(seconds)
    return seconds


def pid(_=None):
    """Which process this is; after a moment, so that every worker gets its turn."""
    time.sleep(0.05)
    return os.getpid()


def die_on(x, victim):
    """End this process with SIGKILL if it is the victim's turn."""
    if x == victim:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def die_on_3(x):
    """The same, with one argument."""
    return die_on(x, 3)


def stop_on_3(x):
    """Stop this process, as a debugger or a batch system does."""
    if x == 3:
        os.kill(os.getpid(), signal.SIGSTOP)
    return x


class TwoArguments(Exception):
    """Cannot be unpickled: pickle calls it with one argument."""

    def __init__(self, code, reason):
        super().__init__(f"{code}: {reason}")


def raise_two_arguments(_=None):
    """Raise it."""
    raise TwoArguments(404, "not found")


def return_lock(_=None):
    """Return what cannot be pickled."""
    return threading.Lock()


def leave(_=None):
    """Call `sys.exit`."""
    sys.exit(3)


def count_start(path):
    """An initializer that fails always, and counts."""
    with open(path, "a") as file:
        file.write("x")
    raise LookupError("no model here")


def take_lock(_=None):
    """Take a lock that a thread of the program holds."""
    with lock:
        return True


def megabyte(path):
    """Return much, and count."""
    with open(path, "a") as file:
        file.write("x")
    return bytes(1 << 20)


def fail_twice(path):
    """Fail the first two times."""
    with open(path, "a") as file:
        file.write("x")
    if os.path.getsize(path) < 3:
        raise OSError("not yet")
    return True
