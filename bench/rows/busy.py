"""Tasks that last: how much of the machine a pool makes use of."""

import time

from bench.rows.base import CLUSTERS, FORK_OF_STANDARD, Goal, Metric, Row, affordable, expect, median
from bench.tasks import lasts, spin


def loops_in(milliseconds):
    """How many turns of `spin` take so long on this machine when nothing else runs."""
    probe, times = 100_000, []
    for _ in range(5):
        began = time.perf_counter()
        spin(probe)
        times.append(time.perf_counter() - began)
    return int(probe * milliseconds / 1e3 / median(times))


def one_after_the_other(loops, count):
    """Seconds that a task takes without a pool."""
    began = time.perf_counter()
    for _ in range(count):
        spin(loops)
    return (time.perf_counter() - began) / count


def measure_speedup(peer, options):
    """Time the tasks on the pool, and a part of them in a row before and after."""
    values = {}
    for key, milliseconds in (("ms1", 1), ("ms10", 10)):
        loops = loops_in(milliseconds)
        workers = options["workers"]
        n = affordable(options["n"] * workers, milliseconds / 1e3 / workers, options["limit_ms"] / 2e3)
        sample = max(n // (5 * workers), 1)
        serial = [one_after_the_other(loops, sample)]
        peer.open(workers)
        run = SPEEDUP.operation_of(peer)
        run(spin, [1] * 10 * workers)
        began = time.perf_counter()
        answers = run(spin, [loops] * n)
        seconds = time.perf_counter() - began
        expect(len(answers), n)
        peer.close()
        serial.append(one_after_the_other(loops, sample))
        values[key] = median(serial) * n / seconds / workers
    return values


def ideal(durations, workers):
    """Seconds below which nobody can be, even who knows beforehand how long each task will take."""
    return max(*durations, sum(durations) / workers)


def measure_hostage(peer, options):
    """Map over tasks of a millisecond with a long one among them."""
    n, workers = options["n"], options["workers"]
    durations = [0.001] * n
    durations[n // 10] = LONG_S * n / SIZE
    peer.open(workers)
    peer.map(lasts, [0.0] * 10 * workers)
    began = time.perf_counter()
    answers = peer.map(lasts, durations)
    seconds = time.perf_counter() - began
    expect(answers, durations)
    peer.close()
    return {"makespan": seconds / ideal(durations, workers)}


SIZE = 2_000
LONG_S = 3.0

SPEEDUP = Row(
    name="speedup",
    title="Speed-up of CPU-bound tasks",
    about="Tasks of 1 ms and of 10 ms that do nothing but count, against the same ones in a row in the same process "
    "shortly before and after; divided by the number of workers, so that 1 is ideal. Bare forks show what the machine "
    "allows.",
    operations=("divided", "map"),
    measure=measure_speedup,
    metrics=(
        Metric("ms1", "speed-up by each worker, 1 ms", "", higher_is_better=True),
        Metric("ms10", "speed-up by each worker, 10 ms", "", higher_is_better=True),
    ),
    size=500,
    quick_size=10,
    goals=(
        Goal("at least 0.95 by each worker, 1 ms", "ms1", 0.95),
        Goal("at least 0.95 by each worker, 10 ms", "ms10", 0.95),
    ),
    without={"serial": "is what it is measured against", **FORK_OF_STANDARD, **CLUSTERS},
)

HOSTAGE = Row(
    name="hostage",
    title="One task of 3 s among 2,000 of 1 ms",
    about="A `map` over {n:,} tasks on two workers, the long one after a tenth of the others; no chunksize given. As a "
    "multiple of the ideal: the time of the long one or half of the work, whichever is more.",
    operations=("map",),
    measure=measure_hostage,
    metrics=(Metric("makespan", "time as a multiple of the ideal", "×"),),
    size=SIZE,
    quick_size=40,
    goals=(Goal("within 10 % of the ideal", "makespan", 1.1),),
    without={"serial": "has one worker", **FORK_OF_STANDARD, **CLUSTERS},
    workers=2,
    most_rounds=2,
)
