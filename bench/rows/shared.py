"""One large array that all tasks read."""

import time

from bench import procfs
from bench.peers import Unable
from bench.rows.base import FORK_OF_STANDARD, Goal, Metric, Row, expect
from bench.rows.idle import worker_pids
from bench.tasks import PARTS, part_sum

TASKS = 1_000

# Below this the kernel's figures say nothing: a worker's first task alone makes it grow by more.
RESOLUTION_MB = 0.1


def measure(peer, options):
    """Hand the array over, have the tasks done, and see by how much the workers have grown."""
    import numpy

    if not procfs.is_there():
        raise Unable("needs Linux's /proc")
    n = options["n"]
    array = numpy.arange(n // 8, dtype=numpy.float64)
    wanted = [part_sum(array, i) for i in range(PARTS)]
    workers = options["workers"]
    peer.open(workers)
    # A small array first: the workers have numpy then, which is no part of what is to be seen.
    peer.share(part_sum, array[: 4096 * PARTS].copy(), 8 * workers)
    before = max(map(procfs.own, worker_pids(peer, workers)))
    began = time.perf_counter()
    answers = peer.share(part_sum, array, TASKS)
    seconds = time.perf_counter() - began
    expect(answers, [wanted[i % PARTS] for i in range(TASKS)])
    after = max(map(procfs.own, worker_pids(peer, workers)))
    peer.close()
    growth = (after - before) / procfs.MB
    return {"whole": seconds, "growth": max(growth, RESOLUTION_MB)}


SIZE = 2**30
GROWTH_MB = 0.05 * SIZE / procfs.MB

SHARE = Row(
    name="share",
    title="An array shared by 1,000 tasks",
    about="An array of {n:,} bytes is handed over once; then 1,000 tasks each read a number of every page of a part of "
    "it. Growth is that of the worker whose own memory has grown most, without pages of files and of shared memory; "
    "the peak is that of the program and all its processes together, the array included.",
    operations=("share",),
    measure=measure,
    metrics=(
        Metric("whole", "handing over, and all tasks", "s"),
        Metric("growth", "growth of a worker's own memory", "MB"),
        Metric("peak", "peak of all processes", "MB"),
    ),
    size=SIZE,
    quick_size=2**23,
    goals=(Goal("each worker's private memory grows by under 5 % of the array", "growth", GROWTH_MB),),
    without=FORK_OF_STANDARD,
    most_rounds=2,
    is_watched=True,
)
