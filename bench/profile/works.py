"""What is profiled: the works of the benchmark rows, on a pool of this process."""

import time

from bench.tasks import same


class Work:
    """One kind of work.

    Attributes:
        name: on the command line.
        title: in tables.
        size: how many tasks a round has.
        submit: ``submit(pool, n)`` hands in n tasks and returns what `fetch` takes.
        fetch: waits for the results, and returns them as a list.
    """

    def __init__(self, name, title, size, submit, fetch):
        self.name = name
        self.title = title
        self.size = size
        self.submit = submit
        self.fetch = fetch

    def run(self, pool, n):
        """Do n tasks.

        Raises:
            AssertionError: a result is wrong.
        """
        results = self.fetch(self.submit(pool, n))
        if results is not None and (len(results), results[-1]) != (n, n - 1):
            raise AssertionError(f"{self.name}: wrong results")


def _submit_singly(pool, n):
    return [pool.apply_async(same, (number,)) for number in range(n)]


def _fetch_singly(results):
    return [result.get() for result in results]


def _apply(pool, n):
    for number in range(n):
        pool.apply(same, (number,))


def clock(_):
    """A task that tells when it ran, by a clock that all processes of a machine share."""
    return time.perf_counter_ns()


FLOOD = Work("flood", "Flood of `apply_async`", 20_000, _submit_singly, _fetch_singly)
LONE = Work("lone", "Lone `apply`", 1_000, _apply, lambda nothing: None)
MAP = Work(
    "map", "`map` of integers", 1_000_000, lambda pool, n: pool.map_async(same, range(n)), lambda result: result.get()
)
