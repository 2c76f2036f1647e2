"""Memory while results are iterated over: input drawn ahead, and results that pile up."""

import itertools
import os
import time

from bench import procfs
from bench.peers import Unable
from bench.rows.base import CLUSTERS, FORK_OF_STANDARD, Goal, Metric, Row, affordable, expect, sized
from bench.tasks import same, wide

# Growth that a pool with constant memory may show: a window of items and of results, and its workers' buffers.
# Arbitrary, and far below what anyone reaches who has no such window.
CONSTANT_MB = 32

# Below this the kernel's figures say nothing.
RESOLUTION_MB = 0.1

ITEM = 10_000

# A result a millisecond is slower than any pool makes them.
PAUSE_S = 0.001

# The limit of the row with a slow consumer, as a multiple of that of others: a million results take some seconds.
SLOW_LIMIT = 8

# How often memory is read: it takes some milliseconds.
LOOK_S = 0.25


class Drawn:
    """An input without end, for whoever draws it with measure: items of 10 kB, counted; others get so many."""

    def __init__(self, most):
        self.most = most
        self.count = 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.count == self.most:
            raise StopIteration
        self.count += 1
        return bytes(ITEM)


def warm(peer, options):
    """Open the peer and use its workers; returns what the program occupies then."""
    if not procfs.is_there():
        raise Unable("needs Linux's /proc")
    peer.open(options["workers"])
    for _ in peer.ordered(same, range(20 * options["workers"])):
        pass
    return procfs.family_memory(os.getpid())


def grown(before):
    """By how many MB the program and all its processes have grown."""
    return max((procfs.family_memory(os.getpid()) - before) / procfs.MB, RESOLUTION_MB)


def measure_endless(peer, options):
    """Take results slowly for a while, and see how much was drawn ahead."""
    before = warm(peer, options)
    drawn = Drawn(options["n"])
    ahead = 0
    results = peer.ordered(same, drawn)
    end = time.perf_counter() + 2 * options["budget_ms"] / 1000
    for taken in itertools.count(1):
        expect(len(next(results)), ITEM)
        ahead = max(ahead, drawn.count - taken)
        if time.perf_counter() >= end:
            break
        time.sleep(PAUSE_S)
    return {"ahead": ahead, "growth": grown(before)}


def measure_slow(peer, options):
    """Take results slowly for a while, then all the others that the limit allows; memory is read all along."""
    before = warm(peer, options)
    clock, limit = time.perf_counter, SLOW_LIMIT * options["limit_ms"] / 1000

    def drain(count):
        for _ in peer.unordered(wide, range(count)):
            pass

    few, seconds = sized(drain, options["n"] // 20, limit / 20)
    n = affordable(options["n"], seconds / few, limit)
    results = iter(peer.unordered(wide, range(n)))
    taken = 0
    slow_until = clock() + 4 * options["budget_ms"] / 1000
    while clock() < slow_until and taken < n:
        expect(len(next(results)), len(wide(0)))
        taken += 1
        time.sleep(PAUSE_S)
    growth = grown(before)
    look = clock() + LOOK_S
    for _ in results:
        taken += 1
        if taken % 100 == 0 and clock() >= look:
            growth = max(growth, grown(before))
            look = clock() + LOOK_S
    return {"growth": max(growth, grown(before)), "n": n}


ENDLESS = Row(
    name="endless",
    title="`imap` over an endless input",
    about="Items of 10 kB, of which {n:,} are there for those who go on drawing; results are taken at one a "
    "millisecond. How far the input was drawn ahead of the results, and by how much the program and all its processes "
    "have grown.",
    operations=("ordered",),
    measure=measure_endless,
    metrics=(
        Metric("ahead", "items drawn ahead", "", at_a_glance=False),
        Metric("growth", "growth of all processes", "MB"),
    ),
    size=40_000,
    quick_size=2_000,
    goals=(Goal(f"constant memory: growth under {CONSTANT_MB} MB, however long it runs", "growth", CONSTANT_MB),),
    without={**FORK_OF_STANDARD, **CLUSTERS},
    most_rounds=2,
    is_abandoned=True,
)

SLOW = Row(
    name="slow",
    title="`imap_unordered` with a slow consumer",
    about="{n:,} results of 1 kB. At first one a millisecond is taken, later as many as come. By how much the program "
    "and all its processes have grown at most; whoever would take too long has fewer to make.",
    operations=("unordered",),
    measure=measure_slow,
    metrics=(Metric("growth", "growth of all processes", "MB"),),
    size=1_000_000,
    quick_size=5_000,
    goals=(Goal(f"constant memory: growth under {CONSTANT_MB} MB", "growth", CONSTANT_MB),),
    without={**FORK_OF_STANDARD, **CLUSTERS},
    most_rounds=2,
    is_abandoned=True,
)
