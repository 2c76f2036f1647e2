"""One task at a time: the latency of a round trip."""

import time

from bench.rows.base import Goal, Metric, Row, expect, median
from bench.tasks import same


def measure(peer, options):
    """The median of single calls, each one timed, after some calls of warm-up."""
    peer.open(options["workers"])
    lone, clock = peer.lone, time.perf_counter
    for i in range(50):
        expect(lone(same, i), i)
    end = clock() + options["budget_ms"] / 1000
    trips = []
    for i in range(options["n"]):
        began = clock()
        lone(same, i)
        now = clock()
        trips.append(now - began)
        if now >= end:  # a slow peer's median needs no thousands of calls
            break
    peer.close()
    return {"trip": median(trips) * 1e6}


LONE = Row(
    name="lone",
    title="Lone `apply`, round trip",
    about="One call after the other, each waited for; the median of up to {n:,} calls.",
    operations=("lone",),
    measure=measure,
    metrics=(Metric("trip", "a round trip", "µs"),),
    size=10_000,
    quick_size=100,
    goals=(Goal("at most 1.5 × a bare Connection ping-pong", "trip", 1 / 1.5, "connection"),),
    without={"serial": "is no round trip"},
)
