"""What a row is, and the clock that rows share."""

import time


class Metric:
    """One number that a row yields; smaller is better unless said otherwise."""

    def __init__(self, key, title, unit, higher_is_better=False):
        self.key = key
        self.title = title
        self.unit = unit
        self.higher_is_better = higher_is_better

    def advantage(self, own, other):
        """How many times better `own` is than `other`: above 1, `own` is ahead."""
        better, worse = (other, own) if self.higher_is_better else (own, other)
        return worse / better if better else float("inf")


class Goal:
    """What the design asks of allcores: an advantage over a peer, or, if no peer is named, a bound."""

    def __init__(self, text, metric, bound, peer=None):
        self.text = text
        self.metric = metric
        self.bound = bound
        self.peer = peer


class Row:
    """One kind of work.

    `measure(peer, options)` runs in a fresh interpreter and returns a number for each metric, except for the
    metric `process`, the wall time of that whole interpreter, which only the runner can see. `options` holds
    integers: `workers`, `n` (the size of the work) and `budget_ms` (how long to go on repeating it).
    """

    def __init__(
        self,
        *,
        name,
        title,
        about,
        operation,
        measure,
        metrics,
        size,
        quick_size,
        goals=(),
        fewer=None,
        without=(),
    ):
        self.name = name
        self.title = title
        self.about = about
        self.operation = operation  # the method that a peer must have to take part
        self.measure = measure
        self.metrics = metrics
        self.size = size
        self.quick_size = quick_size
        self.goals = goals
        self.fewer = fewer or {}  # peer's slug -> divisor of the size, for those that would take minutes
        self.without = without  # slugs of peers that have the operation, but say nothing in this row

    def takes(self, peer):
        """Whether this peer can take part."""
        return hasattr(peer, self.operation) and peer.slug not in self.without

    def size_for(self, peer, quick):
        """How much work this peer is given."""
        full = self.quick_size if quick else self.size
        return max(1, full // self.fewer.get(peer.slug, 1))


def median(numbers):
    """The middle one; `statistics` would be imported into the start-up rows."""
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def expect(got, wanted):
    """Refuse to time a wrong answer."""
    if got != wanted:
        raise AssertionError(f"wrong result: {str(got)[:80]} instead of {str(wanted)[:80]}")


def microseconds_a_task(run, n, budget_ms):
    """The median cost of a task in `run()`, which does n of them and is repeated while the budget lasts."""
    costs = []
    end = time.perf_counter() + budget_ms / 1000
    while True:
        began = time.perf_counter()
        run()
        now = time.perf_counter()
        costs.append((now - began) / n * 1e6)
        if now >= end:
            return median(costs)
