"""One large map: what a task costs when the library may cut the work as it likes."""

from bench.rows.base import Goal, Metric, Row, expect, microseconds_a_task
from bench.tasks import same


def measure(peer, options):
    """Map over a range, no chunksize given."""
    n = options["n"]
    peer.open(options["workers"])
    peer.map(same, range(min(n, 500)))

    def run():
        answers = peer.map(same, range(n))
        # Not the whole list: comparing a million integers would be a part of what is measured.
        expect((len(answers), answers[0], answers[-1]), (n, 0, n - 1))

    cost = microseconds_a_task(run, n, options["budget_ms"])
    peer.close()
    return {"task": cost}


MAP = Row(
    name="map",
    title="`map`, no chunksize given",
    about="A function that returns its argument, over {n:,} integers.",
    operation="map",
    measure=measure,
    metrics=(Metric("task", "a task", "µs"),),
    size=1_000_000,
    quick_size=2_000,
    goals=(
        Goal("no slower than multiprocessing.Pool", "task", 1, "multiprocessing"),
        Goal("at least 10 × joblib", "task", 10, "joblib"),
    ),
    # These send one item at a time unless told otherwise: a million would take each of them a minute or two.
    fewer={"futures": 100, "loky": 100, "pebble": 100},
)
