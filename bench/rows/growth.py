"""How the cost of a task grows with the number of tasks, and with the number of workers."""

import time

from bench.rows.base import Metric, Row, expect, median
from bench.tasks import same

TASKS = (1_000, 10_000, 100_000, 1_000_000)
WORKERS = (1, 2, 4, 8, 16)

# How much longer than the limit of other rows the largest flood may take: a million tasks are what is asked for.
LARGEST = 12

OTHERS = ("loky", "joblib", "mpire", "pebble", "billiard", "ray", "dask")


def cost(peer, n, repeat):
    """The median cost of a task in microseconds, in floods of n."""
    costs = []
    for _ in range(repeat):
        began = time.perf_counter()
        answers = peer.flood(same, n)
        costs.append((time.perf_counter() - began) / n * 1e6)
        expect((len(answers), answers[-1]), (n, n - 1))
    return median(costs)


def measure(peer, options):
    """Floods of more and more tasks, while they can be afforded; then floods on more and more workers."""
    most, limit_us = options["n"], 1e3 * options["limit_ms"]
    values = {}
    peer.open(options["workers"])
    seen = cost(peer, min(1_000, most), 2)
    for n in TASKS:
        if n > most or seen * n > LARGEST * limit_us:
            break
        values[f"tasks{n}"] = seen = cost(peer, n, 5 if n <= 1_000 else 1)
    peer.close()
    n = next(n for n in (10_000, 5_000, 2_000, 1_000) if n == 1_000 or seen * n <= limit_us)
    for workers in WORKERS:
        peer.open(workers)
        peer.flood(same, 500)
        values[f"workers{workers}"] = cost(peer, min(n, most), 1)
        peer.close()
    return values


GROWTH = Row(
    name="growth",
    title="How cost grows",
    about="µs a task in floods of `apply_async`: 1,000 to {n:,} tasks on the workers of this run, and up to 10,000 "
    "tasks on 1 to 16 workers, however many cores there are. What would have taken too long is left out.",
    operations=("flood",),
    measure=measure,
    metrics=tuple(
        [Metric(f"tasks{n}", f"{n:,} tasks", "µs", at_a_glance=False) for n in TASKS]
        + [Metric(f"workers{n}", f"{n} worker{'s' if n > 1 else ''}", "µs", at_a_glance=False) for n in WORKERS]
    ),
    size=TASKS[-1],
    quick_size=TASKS[0],
    without=dict.fromkeys(OTHERS, "left out: the comparison here is with the standard library"),
    most_rounds=2,
    is_matrix=True,
)
