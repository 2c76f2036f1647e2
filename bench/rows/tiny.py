"""Many tiny tasks, each handed in on its own: what one task costs when there are many."""

from bench.rows.base import Goal, Metric, Row, expect, microseconds_a_task
from bench.tasks import same

# Enough tasks that every worker of a pool that starts them on demand is up and has the function.
WARM_UP = 500


def measure_flood(peer, options):
    """Submit n tasks, then get all results."""
    n = options["n"]
    wanted = list(range(n))
    peer.open(options["workers"])
    peer.flood(same, min(n, WARM_UP))
    # The comparison costs a hundredth of a microsecond a task, which is below what is to be seen here.
    cost = microseconds_a_task(lambda: expect(peer.flood(same, n), wanted), n, options["budget_ms"])
    peer.close()
    return {"task": cost}


def measure_unordered(peer, options):
    """Iterate over n results, each its own task."""
    n = options["n"]
    wanted = n * (n - 1) // 2
    peer.open(options["workers"])
    for _ in peer.unordered(same, min(n, WARM_UP)):
        pass
    cost = microseconds_a_task(lambda: expect(sum(peer.unordered(same, n)), wanted), n, options["budget_ms"])
    peer.close()
    return {"task": cost}


FLOOD = Row(
    name="flood",
    title="Flood of `apply_async`",
    about="{n:,} tasks of a function that returns its argument, handed in singly; then all are collected.",
    operation="flood",
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
    operation="unordered",
    measure=measure_unordered,
    metrics=(Metric("task", "a task", "µs"),),
    size=20_000,
    quick_size=500,
    goals=(Goal("at least 6 × multiprocessing.Pool", "task", 6, "multiprocessing"),),
)
