"""Locks and semaphores: what a use of them costs while nobody else wants them, and while others do."""

import time

from bench.rows.base import Goal, Metric, Row, expect, paced
from bench.rows.companions import Companions

CLASSES = ("Lock", "RLock", "Semaphore")
PROCESSES = (2, 8)

# Seconds from the first fork until those who contend begin, all at the same time.
HEAD_START_S = 0.3


def acquire(lock, n):
    """Acquire and release."""
    for _ in range(n):
        lock.acquire()
        lock.release()


def enter(lock, n):
    """The same by a `with` block."""
    for _ in range(n):
        with lock:
            pass


USES = (("acquire", "`{}`: acquire, release", acquire), ("enter", "`{}`: with block", enter))


def measure_uncontended(peer, options):
    """One process, one thread."""
    parts = len(CLASSES) * len(USES)
    share = {name: options[name] / parts for name in ("budget_ms", "limit_ms")}
    locks = peer.locks()
    values, sizes = {}, []
    for name in CLASSES:
        lock = getattr(locks, name)()
        for key, _, use in USES:
            found = paced(lambda n, use=use, lock=lock: use(lock, n), options["n"], share)
            values[f"{name}_{key}"] = found["task"]
            sizes.append(found["n"])
    return {**values, "n": min(sizes)}


def contend(number, lock, counter, counts, begins, ends):
    """Count up under the lock, again and again, and note how often."""
    acquire(lock, 1)
    clock = time.monotonic
    time.sleep(max(0, begins - clock()))
    done = 0
    while clock() < ends:
        lock.acquire()
        counter.value += 1
        lock.release()
        done += 1
    counts[number] = done


def acquisitions(lock, count, seconds):
    """How often a second so many processes together get the lock; it must have kept them apart."""
    from multiprocessing import sharedctypes

    counter, counts = sharedctypes.RawValue("L"), sharedctypes.RawArray("L", count)
    begins = time.monotonic() + HEAD_START_S
    with Companions(count, contend, lock, counter, counts, begins, begins + seconds) as companions:
        companions.join()
    expect(counter.value, sum(counts))
    return counter.value / seconds


def measure_contended(peer, options):
    """A fixed time for each number of processes."""
    lock = peer.locks().Lock()
    return {f"by{count}": acquisitions(lock, count, options["budget_ms"] / 1000) for count in PROCESSES}


UNCONTENDED_METRICS = tuple(
    Metric(f"{name}_{key}", title.format(name), "µs") for name in CLASSES for key, title, _ in USES
)
CONTENDED_METRICS = tuple(
    Metric(f"by{count}", f"{count} processes", "acquisitions a second", higher_is_better=True) for count in PROCESSES
)

UNCONTENDED = Row(
    name="uncontended",
    title="A lock that nobody else wants",
    about="Acquired and released {n:,} times by the only process that uses it.",
    subject="locks",
    operations=("locks",),
    measure=measure_uncontended,
    metrics=UNCONTENDED_METRICS,
    size=100_000,
    quick_size=100,
    goals=tuple(
        goal
        for metric in UNCONTENDED_METRICS
        for goal in (
            Goal(f"{metric.title}: at most 3 × multiprocessing's", metric.key, 1 / 3, "multiprocessing"),
            Goal(f"{metric.title}: at least 50 × a Manager's", metric.key, 50, "manager"),
        )
    ),
)

CONTENDED = Row(
    name="contended",
    title="A lock that many want",
    about="`Lock`, acquired and released without a pause by several processes at once, which increment a number under "
    "it. All together.",
    subject="locks",
    operations=("locks",),
    measure=measure_contended,
    metrics=CONTENDED_METRICS,
    size=1,
    quick_size=1,
    goals=tuple(
        goal
        for metric in CONTENDED_METRICS
        for goal in (
            Goal(f"{metric.title}: no slower than multiprocessing's", metric.key, 1, "multiprocessing"),
            Goal(f"{metric.title}: at least 50 × a Manager's", metric.key, 50, "manager"),
        )
    ),
)
