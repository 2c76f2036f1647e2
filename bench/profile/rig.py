"""A pool whose worker lives in the thread of its parent, so that each step of a task's way can be timed by itself.

What is on the way is the real thing: pool, scheduler, lane, frames on a socket, control block, worker loop. Only two
parts are replaced, those that make a pool concurrent: the reactor has no thread (who drives the rig calls its
callbacks), and the starter starts no process. So nothing that is timed here waits: not for another process to wake
up, not for the interpreter lock, not for a core. What a real pool costs beyond it is the price of these.
"""

import mmap
import os
import socket
from unittest import mock

import allcores
from allcores.engine import channel
from allcores.engine.lane import Death
from allcores.engine.reactor import READABLE, Timer
from allcores.engine.worker import Worker
from allcores.lanes.start.starter import Starter


class _StillReactor:
    """A reactor without a thread, which remembers whom to call."""

    inside = False

    def __init__(self, name):
        self.callbacks = {}

    def watch(self, fd, callback, events=READABLE):
        self.callbacks[fd] = callback

    def unwatch(self, fd):
        self.callbacks.pop(fd, None)

    def call_at(self, when, function):
        return Timer(when, function)  # whose time never comes: nothing here takes long

    def start(self, *_):
        """Nothing to do, here and in the others."""

    stop = change = call_soon = abandon = start


class _HereWorker(Worker):
    """A worker that leaves this process as it is: no names, no log handlers, no limits of threads."""

    def _set_up(self, *_):
        self._send(channel.READY, 0, 0, b"")
        return True


class _HereStarter(Starter):
    """Makes the worker's end of a channel, and no process."""

    def start(self, worker, fds):
        connection, control, side = map(os.dup, fds[:3])
        block = mmap.mmap(control, channel.CONTROL_SIZE)
        os.close(control)
        self.lane = worker
        self.worker = _HereWorker(socket.socket(fileno=connection), block, socket.socket(fileno=side))


class Rig:
    """One pool with one worker, driven step by step.

    Attributes:
        pool: the pool.
        lane: the worker as its parent sees it.
        worker: the worker's loop.
    """

    def __init__(self):
        starter = _HereStarter()
        with (
            mock.patch("allcores.lanes.start.make_starter", return_value=starter),
            mock.patch("allcores.engine.scheduler.Reactor", _StillReactor),
        ):
            self.pool = allcores.Pool(1)
        first = self.pool.apply_async(int)
        self.lane, self.worker = starter.lane, starter.worker
        callbacks = self.pool._scheduler.reactor.callbacks
        self._take_in = next(callback for callback in callbacks.values() if callback == self.lane._on_event)
        self.finish(first)

    def worker_turn(self):
        """The worker takes one frame and does what it says."""
        self.worker._handle(*self.worker._receive())

    def parent_turn(self):
        """The parent takes in what the worker has sent, and sends what comes next."""
        self._take_in(READABLE)

    def finish(self, result):
        """Take turns until a result is there."""
        while not result.done:
            self.worker_turn()
            self.parent_turn()

    def close(self):
        """End the pool."""
        self.pool._scheduler.terminate()
        self.lane.exited(Death(True))
        self.pool.terminate()
