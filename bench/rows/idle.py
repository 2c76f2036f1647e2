"""What a pool costs while nobody asks anything of it."""

import os
import time

from bench import procfs
from bench.peers import Unable
from bench.rows.base import CLUSTERS, Goal, Metric, Row
from bench.tasks import whoami


def worker_pids(peer, workers):
    """The processes of the workers, once all of them are up, or as many as a few tries have shown."""
    found = set()
    for _ in range(10):
        found.update(peer.flood(whoami, 4 * workers))
        if len(found) >= workers:
            break
    return found - {os.getpid()}


def measure(peer, options):
    """Make a pool, use every worker, then watch all threads for a while."""
    if not procfs.is_there():
        raise Unable("needs Linux's /proc")
    peer.open(options["workers"])
    workers = worker_pids(peer, options["workers"])
    window = options["n"] / 1000
    time.sleep(window / 4)  # what a library puts off until it is idle is done by then
    me = os.getpid()
    before, began = procfs.activity(me), time.perf_counter()
    time.sleep(window)
    after, seconds = procfs.activity(me), time.perf_counter() - began
    # The one that sleeps here is the program's, not the pool's.
    changes = [
        (waits - before.get(thread, (0, 0))[0], on_core - before.get(thread, (0, 0))[1])
        for thread, (waits, on_core) in after.items()
        if thread != str(me)
    ]
    values = {
        "wakeups": sum(waits for waits, _ in changes) / seconds,
        "cpu": sum(on_core for _, on_core in changes) / 1e6 / seconds,
        "private": max(map(procfs.private, workers)) / procfs.MB,
        "all": procfs.family_memory(me) / procfs.MB,
    }
    peer.close()
    return values


IDLE = Row(
    name="idle",
    title="An idle pool",
    about="Every worker has had a task; then nothing happens for {n:,} ms. Wake-ups are the voluntary context switches "
    "of all threads of the program and of what it has started, but for the thread that looks on.",
    operations=("flood",),
    measure=measure,
    metrics=(
        Metric("wakeups", "wake-ups a second", ""),
        Metric("cpu", "time on a core in a second", "ms", at_a_glance=False),
        Metric("private", "private memory of a worker", "MB"),
        Metric("all", "memory of the program and all its processes", "MB", at_a_glance=False),
    ),
    size=2_000,
    quick_size=300,
    goals=(
        Goal("no wake-ups at all", "wakeups", 0),
        Goal("under 12 MB private memory a worker", "private", 12),
    ),
    without=CLUSTERS,
    most_rounds=2,
)
