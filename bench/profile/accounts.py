"""What the kernel has noted of each thread of a pool: time on a core, time spent waiting for one, switches.

Linux only: these are the files below /proc/PID/task. The times there are exact to the nanosecond and do not depend on
what else the machine does, apart from its caches and clock: on a busy machine they say what a clock on the wall
cannot.
"""

import os
import threading
import time

from bench import procfs


class Entry:
    """What a thread, or several together, have used.

    Attributes:
        cpu: nanoseconds on a core.
        waiting: nanoseconds ready to run without a core to run on.
        slept: how often it has given up its core by itself, to wait for something.
        preempted: how often it was made to.
    """

    __slots__ = ("cpu", "preempted", "slept", "waiting")

    def __init__(self, cpu=0, waiting=0, slept=0, preempted=0):
        self.cpu = cpu
        self.waiting = waiting
        self.slept = slept
        self.preempted = preempted

    def plus(self, other, factor=1):
        """This and `other`, times a factor, together."""
        return Entry(*(getattr(self, name) + factor * getattr(other, name) for name in _FIELDS))

    def by(self, tasks):
        """What a task has used, if there were so many."""
        return Entry(*(getattr(self, name) / tasks for name in _FIELDS))


_FIELDS = ("cpu", "waiting", "slept", "preempted")


def _entry(pid, thread):
    cpu, waiting, _ = map(int, procfs.read(pid, "task", thread, "schedstat").split())
    switches = {}
    for line in procfs.read(pid, "task", thread, "status").splitlines():
        name, _, value = line.partition(b":")
        if name.endswith(b"ctxt_switches"):
            switches[name] = int(value)
    return Entry(cpu, waiting, switches[b"voluntary_ctxt_switches"], switches[b"nonvoluntary_ctxt_switches"])


def _read(workers):
    """By role, what has been used so far."""
    me, main = os.getpid(), threading.main_thread().native_id
    entries = {"caller": Entry(), "reactor": Entry(), "workers": Entry()}
    for pid in (me, *workers):
        for thread in procfs.names(pid, "task"):
            role = "workers" if pid != me else "caller" if int(thread) == main else "reactor"
            entries[role] = entries[role].plus(_entry(pid, thread))
    return entries


def workers_of(pool):
    """The process ids of the workers of a pool."""
    return [entry.pid for entry in pool.stats().workers if entry.alive]


def account(pool, work, n):
    """Do a work on a pool whose workers are up, and say what it has used.

    Returns:
        By role, `Entry` a task; and the nanoseconds on the wall a task.
    """
    workers = workers_of(pool)
    before = _read(workers)
    began = time.perf_counter_ns()
    work.run(pool, n)
    wall = time.perf_counter_ns() - began
    after = _read(workers)
    return {role: after[role].plus(before[role], -1).by(n) for role in after}, wall / n
