"""The functions that are benchmarked: importable by name in every worker, which is fair to every peer."""

import os
import time

# A worker's own: what an initializer was given, and the array that `made` hands out.
_kept = None
_made = None

PAGE = 4096

# The parts that a shared array is read in, one by each task.
PARTS = 64


def same(x):
    """Return the argument: what remains to be measured is the way there and back."""
    return x


def wide(x):
    """Return a kilobyte, whatever the argument."""
    return bytes(1_000)


def whoami(*_):
    """The number of the worker's process; slow enough that one worker cannot do the tasks of all."""
    time.sleep(0.005)
    return os.getpid()


def spin(loops):
    """Keep a core busy for so many turns of an empty loop."""
    for _ in range(loops):
        pass
    return loops


def lasts(seconds):
    """Take so long by the clock, whatever the machine: a short task keeps its core busy, a long one sleeps."""
    if seconds > 0.02:
        time.sleep(seconds)
    else:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass
    return seconds


def pages_sum(array):
    """Add up one number of each page of an array of bytes: whoever is given it has it in reach."""
    return int(array[::PAGE].sum())


def made(order):
    """An array of so many bytes, its first one the stamp. It is made once a worker: what counts is the way back."""
    global _made
    nbytes, stamp = order
    if _made is None or _made.nbytes != nbytes:
        import numpy

        _made = numpy.ones(nbytes, numpy.uint8)
    _made[0] = stamp
    return _made


def part_sum(array, i):
    """Add up one number of each page of the i-th part of an array of 8-byte numbers."""
    size = -(-array.size // PARTS)
    start = i % PARTS * size
    return float(array[start : start + size : PAGE // 8].sum())


def keep(thing):
    """An initializer: keep what all tasks need."""
    global _kept
    _kept = thing


class OnKept:
    """A task over what the initializer kept; for `functools.partial` the start-up rows would import functools."""

    def __init__(self, f):
        self.f = f

    def __call__(self, i):
        return self.f(_kept, i)
