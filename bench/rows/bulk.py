"""One large map: what a task costs when the library may cut the work as it likes."""

from bench.rows.base import Goal, Metric, Row, expect, paced
from bench.tasks import same


def measure(peer, options):
    """Map over a range, no chunksize given."""

    def run(n):
        answers = peer.map(same, range(n))
        # Not the whole list: comparing a million integers would be a part of what is measured.
        expect((len(answers), answers[0], answers[-1]), (n, 0, n - 1))

    peer.open(options["workers"])
    values = paced(run, options["n"], options)
    peer.close()
    return values


MAP = Row(
    name="map",
    title="`map`, no chunksize given",
    about="A function that returns its argument, over {n:,} integers.",
    operations=("map",),
    measure=measure,
    metrics=(Metric("task", "a task", "µs"),),
    size=1_000_000,
    quick_size=2_000,
    goals=(
        Goal("no slower than multiprocessing.Pool", "task", 1, "multiprocessing"),
        Goal("at least 10 × joblib", "task", 10, "joblib"),
    ),
)
