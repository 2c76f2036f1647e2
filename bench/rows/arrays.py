"""A large array on its way to a worker, and on its way back."""

import time

from bench.rows.base import FORK_OF_STANDARD, Goal, Metric, Row, expect, median
from bench.tasks import made, pages_sum

# So many calls before the clock counts: memory that is used again is warm by then. Those who are slow at the second
# call too, with the start of workers behind them, have no memory that is used again: they are timed from there on.
WARM_UP = 3


def timed(call, options):
    """The median in ms of calls, repeated while the budget lasts.

    Args:
        call: `call(number)` returns a function to be timed, and what it should return.
        options: as for `Row.measure`.
    """
    budget, slow = options["budget_ms"] / 1000, options["limit_ms"] / 1000 / 3
    times, number = [], 0
    while sum(times) < budget:
        number += 1
        run, wanted = call(number)
        began = time.perf_counter()
        answer = run()
        seconds = time.perf_counter() - began
        expect(answer, wanted)
        if number > WARM_UP or (number > 1 and seconds > slow):
            times.append(seconds)
    return median(times) * 1e3


def measure_argument(peer, options):
    """Send the array, changed each time; the worker reads a number of each page."""
    import numpy

    array = numpy.ones(options["n"], numpy.uint8)
    array[0] = 0
    rest = pages_sum(array)
    peer.open(options["workers"])
    send = ARGUMENT.operation_of(peer)

    def call(number):
        array[0] = number % 256
        # A view of its own, so that nobody who remembers arrays by their identity takes it for the last one.
        again = array[:]
        return lambda: send(pages_sum, again), rest + number % 256

    cost = timed(call, options)
    peer.close()
    return {"call": cost}


def measure_result(peer, options):
    """Have the array sent, changed each time; the caller reads a number of each page, and lets it go."""
    nbytes = options["n"]
    pages = -(-nbytes // 4096)
    peer.open(options["workers"])
    fetch = RESULT.operation_of(peer)

    def call(number):
        stamp = number % 256
        return lambda: pages_sum(fetch(made, (nbytes, stamp))), pages - 1 + stamp

    cost = timed(call, options)
    peer.close()
    return {"call": cost}


GOALS = (
    Goal("at most 2 × one memcpy of it", "call", 1 / 2, "memcpy"),
    Goal("at most half of joblib's time", "call", 2, "joblib"),
    Goal("at most half of Ray's time", "call", 2, "ray"),
)

ARGUMENT = Row(
    name="argument",
    title="An array as argument",
    about="An array of {n:,} bytes is the argument of one task, which reads a number of each page; warm. Its content "
    "changes before each call.",
    operations=("send", "lone"),
    measure=measure_argument,
    metrics=(Metric("call", "a call", "ms"),),
    size=2**28,
    quick_size=2**20,
    goals=GOALS,
    without={"connection": "calls no function", "serial": "sends nothing", **FORK_OF_STANDARD},
)

RESULT = Row(
    name="result",
    title="An array as result",
    about="One task returns an array of {n:,} bytes, which its worker keeps, so that making it costs nothing; the "
    "caller reads a number of each page. Warm; the content changes before each call.",
    operations=("fetch", "lone"),
    measure=measure_result,
    metrics=(Metric("call", "a call", "ms"),),
    size=2**28,
    quick_size=2**20,
    goals=GOALS,
    without={"connection": "calls no function", "serial": "sends nothing", **FORK_OF_STANDARD},
)
