"""One `apply`, followed from clock to clock: in the rig, and in a real pool."""

import contextlib
import socket
import subprocess
import sys
from statistics import median
from time import perf_counter_ns, sleep

from bench.profile.works import clock

#: The stretches of a lone call, in order.
STRETCHES = (
    "parent: from the call to the end of send",
    "there: until the function is called",
    "back: until the parent has the answer",
    "parent: until apply returns",
)

#: Seconds of a sleep about as long as the one that the sides of a real pool have between two calls.
REST = 10e-6

_ECHO = """\
import socket, sys
end = socket.socket(fileno=int(sys.argv[1]))
buffer = bytearray(4096)
while count := end.recv_into(buffer):
    end.send(buffer[:count])
"""


class _Marked:
    """Stands before a lane's frame reader, and notes when the parent begins to wait, and when it has the answer."""

    def __init__(self, frames, marks, meanwhile):
        self._frames = frames
        self._marks = marks
        self._meanwhile = meanwhile
        self.next = frames.next

    def fill(self, flags=0):
        self._marks.append(perf_counter_ns())
        self._marks += self._meanwhile()
        got = self._frames.fill(flags)
        self._marks.append(perf_counter_ns())
        return got


def _nothing():
    """In a real pool nobody has to be given a turn."""
    return 0, 0


def turn(rig, rest=0.0):
    """What gives the worker of a rig its turn.

    Args:
        rig: the rig.
        rest: seconds to sleep before it and after it, as both sides of a real pool do.

    Returns:
        A function that does so, and returns how many nanoseconds each sleep took.
    """

    def pause():
        began = perf_counter_ns()
        if rest:
            sleep(rest)
        return perf_counter_ns() - began if rest else 0

    def take():
        before = pause()
        rig.worker_turn()
        return before, pause()

    return take


def stretches(pool, lane, calls, meanwhile=_nothing, rest=0.0):
    """Make lone calls, one after the other.

    Args:
        pool: the pool.
        lane: the only lane that it has.
        calls: how many.
        meanwhile: what is to be done before the parent waits; returns nanoseconds to take off the second stretch and
            the third.
        rest: seconds to sleep before each call.

    Returns:
        Nanoseconds of each of `STRETCHES`, and of the whole, as `low` has them.
    """
    rows = []
    marks = []
    frames = lane._frames
    lane._frames = _Marked(frames, marks, meanwhile)
    try:
        for _ in range(calls):
            marks.clear()
            if rest:
                sleep(rest)
            began = perf_counter_ns()
            called = pool.apply(clock, (None,))
            ended = perf_counter_ns()
            if len(marks) == 4:  # not where the reactor has read the answer
                sent, before, after, received = marks
                row = (sent - began, called - sent - before, received - called - after, ended - received)
                rows.append((*row, sum(row)))
    finally:
        lane._frames = frames
    return low(rows)


def low(rows):
    """The typical round trip among those that nothing else on the machine has disturbed.

    That is the median, column by column, of those of which the last figure, the whole, is about the lowest decile.
    """
    rows = sorted(rows, key=lambda row: row[-1])
    undisturbed = rows[len(rows) // 20 : len(rows) * 3 // 20 + 1]
    return [median(column) for column in zip(*undisturbed, strict=True)]


@contextlib.contextmanager
def ping_pong():
    """A process that sends back what it is sent, by bare sockets: the least that two processes can do.

    Yields:
        A function that makes so many round trips, and returns the nanoseconds of one, as `low` has them.
    """
    here, there = socket.socketpair()
    with here, there:
        echo = subprocess.Popen([sys.executable, "-c", _ECHO, str(there.fileno())], pass_fds=[there.fileno()])
        there.close()
        message, buffer = bytes(48), bytearray(4096)

        def trips(count):
            took = []
            for _ in range(count):
                began = perf_counter_ns()
                here.send(message)
                here.recv_into(buffer)
                took.append((perf_counter_ns() - began,))
            return low(took)[0]

        trips(10)
        yield trips
        here.shutdown(socket.SHUT_RDWR)
        echo.wait()
