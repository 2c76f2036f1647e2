"""How soon a program has its first result."""

import time

from bench.rows.base import CLUSTERS, Goal, Metric, Row, expect
from bench.tasks import same


def measure_start(peer, options):
    """Import the library, make a pool, have one result. Opening a peer imports it: nothing else has."""
    began = time.perf_counter()
    peer.open(options["workers"])
    answer = peer.lone(same, 1)
    first = time.perf_counter() - began
    expect(answer, 1)
    peer.close()
    return {"first": first * 1e3}


def measure_second(peer, options):
    """The same once more in a program that has had a pool and closed it."""
    measure_start(peer, options)
    return {"second": measure_start(peer, options)["first"]}


START = Row(
    name="start",
    title="Cold start",
    about="A fresh interpreter imports the library, makes a pool and has one result.",
    operations=("lone",),
    measure=measure_start,
    metrics=(
        Metric("first", "import, pool, first result", "ms"),
        Metric("process", "the whole process, from its start to its end", "ms"),
    ),
    size=1,
    quick_size=1,
    goals=(Goal("at most 120 ms from the import to the first result", "first", 120),),
    without=CLUSTERS,
)

SECOND = Row(
    name="second",
    title="A second pool",
    about="The first pool has been closed; a second one is made in the same process and has one result.",
    operations=("lone",),
    measure=measure_second,
    metrics=(Metric("second", "pool, first result", "ms"),),
    size=1,
    quick_size=1,
    goals=(Goal("at most 15 ms", "second", 15),),
    without={"serial": "has no pool", **CLUSTERS},
)
