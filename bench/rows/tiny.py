"""Many tiny tasks, each handed in on its own: what one task costs when there are many."""

from bench.rows.base import Goal, Metric, Row, expect, paced
from bench.tasks import same


def measure_flood(peer, options):
    """Submit n tasks, then get all results."""

    def run(n):
        # The comparison costs a hundredth of a microsecond a task, which is below what is to be seen here.
        expect(peer.flood(same, n), list(range(n)))

    peer.open(options["workers"])
    values = paced(run, options["n"], options)
    peer.close()
    return values


def measure_unordered(peer, options):
    """Iterate over n results, each its own task."""

    def run(n):
        expect(sum(peer.unordered(same, range(n))), n * (n - 1) // 2)

    peer.open(options["workers"])
    values = paced(run, options["n"], options)
    peer.close()
    return values


FLOOD = Row(
    name="flood",
    title="Flood of `apply_async`",
    about="{n:,} tasks of a function that returns its argument, handed in singly; then all are collected.",
    operations=("flood",),
    measure=measure_flood,
    metrics=(Metric("task", "a task", "µs"),),
    size=20_000,
    quick_size=500,
    goals=(
        Goal("at least 6 × multiprocessing.Pool", "task", 6, "multiprocessing"),
        Goal("at least 15 × ProcessPoolExecutor", "task", 15, "futures"),
    ),
)

UNORDERED = Row(
    name="unordered",
    title="`imap_unordered`, chunksize 1",
    about="Iterating over the results of {n:,} tasks of a function that returns its argument.",
    operations=("unordered",),
    measure=measure_unordered,
    metrics=(Metric("task", "a task", "µs"),),
    size=20_000,
    quick_size=500,
    goals=(Goal("at least 6 × multiprocessing.Pool", "task", 6, "multiprocessing"),),
)
