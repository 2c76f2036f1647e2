"""What a row is, and the clocks that rows share."""

import time

# Why the libraries of `bench.peers.clusters` are left out of rows that are neither of fine tasks nor of arrays.
_SECONDS_TO_START = "takes seconds to start; measured in the rows of fine tasks and of arrays"
CLUSTERS = {"ray": _SECONDS_TO_START, "dask": _SECONDS_TO_START}

# And the one that shares its code with the standard library's pool, of rows that take long.
FORK_OF_STANDARD = {"billiard": "its code for this is multiprocessing's; measured in the rows of fine tasks"}


class Metric:
    """One number that a row yields; smaller is better unless said otherwise.

    Attributes:
        key: its name in what `measure` returns.
        title, unit: for people.
        higher_is_better: as it says.
        at_a_glance: whether the summary and the plot show it.
    """

    def __init__(self, key, title, unit, *, higher_is_better=False, at_a_glance=True):
        self.key = key
        self.title = title
        self.unit = unit
        self.higher_is_better = higher_is_better
        self.at_a_glance = at_a_glance

    def advantage(self, own, other):
        """How many times better `own` is than `other`: above 1, `own` is ahead."""
        better, worse = (other, own) if self.higher_is_better else (own, other)
        if better == worse:
            return 1.0
        return worse / better if better else float("inf")


class Goal:
    """What the design asks of allcores: an advantage over a peer, or, if no peer is named, a bound on the metric."""

    def __init__(self, text, metric, bound, peer=None):
        self.text = text
        self.metric = metric
        self.bound = bound
        self.peer = peer


class Row:
    """One kind of work.

    `measure(peer, options)` runs in a fresh interpreter and returns a number for each metric it has one for, and
    `n`, how much was done, where that is less than it was told. `options` holds integers:

    - `workers`;
    - `n`, the size of the work;
    - `budget_ms`, how long to go on repeating it;
    - `limit_ms`, how long doing it once may take: who is slower is given less.

    Two metrics can be seen from outside only, and the runner adds them: `process`, the wall time of the whole
    interpreter in ms, and, for rows with `is_watched`, `peak`, the most memory in MB that the interpreter and its
    descendants have occupied together.

    Attributes:
        name: on the command line and in the JSON.
        title, about: for people; `{n}` in the latter is the size.
        subject: what is compared, `pools`, `locks` or `patches` (whole programs); who has nothing to do with that is
            not mentioned.
        operations: the methods of a peer by which it takes part: the first of them that it has.
        metrics: what is measured; one table for each, or one for all with `is_matrix`.
        size, quick_size: how much work.
        goals: see `Goal`.
        without: slugs of peers that have the operation and are left out all the same, and why.
        workers: how many, if the row makes no sense with another number.
        most_rounds: more of them would say no more.
        is_watched: whether the runner samples memory; it takes some of a core's time for that.
        is_abandoned: whether the interpreter is to end at once when it has its numbers, the work half done.
    """

    def __init__(
        self,
        *,
        name,
        title,
        about,
        operations,
        measure,
        metrics,
        size,
        quick_size,
        subject="pools",
        goals=(),
        without=None,
        workers=None,
        most_rounds=None,
        is_matrix=False,
        is_watched=False,
        is_abandoned=False,
    ):
        self.name = name
        self.title = title
        self.about = about
        self.subject = subject
        self.operations = operations
        self.measure = measure
        self.metrics = metrics
        self.size = size
        self.quick_size = quick_size
        self.goals = goals
        self.without = without or {}
        self.workers = workers
        self.most_rounds = most_rounds
        self.is_matrix = is_matrix
        self.is_watched = is_watched
        self.is_abandoned = is_abandoned

    def operation_of(self, peer):
        """The peer's method for this row; None if it has none. `peer` may be a class or an instance."""
        for name in self.operations:
            if getattr(peer, name, None) is not None:
                return getattr(peer, name)
        return None

    def reason_without(self, peer):
        """Why the peer cannot take part or is left out; empty if it takes part."""
        if peer.slug in self.without:
            return self.without[peer.slug]
        return "" if self.operation_of(peer) else f"has no `{self.operations[-1]}`"

    def mentions(self, peer):
        """Whether the report tells of the peer, if only why it takes no part; a floor has to take part for that."""
        return self.subject in peer.subjects and not (peer.reference and self.reason_without(peer))

    def metric(self, key):
        """The metric of that name."""
        return next(metric for metric in self.metrics if metric.key == key)


def median(numbers):
    """The middle one; `statistics` would be imported into the start-up rows."""
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def expect(got, wanted):
    """Refuse to time a wrong answer."""
    if got != wanted:
        raise AssertionError(f"wrong result: {str(got)[:80]} instead of {str(wanted)[:80]}")


def affordable(n, each_s, limit_s):
    """How many of n pieces of work take no longer than the limit: n, or the next lower of 1, 2, 5, 10, 20, 50, …

    Such steps, so that it is mostly the same in every round.
    """
    fitting = limit_s / each_s if each_s else n
    if fitting >= n:
        return n
    step = 1
    while step * 10 <= fitting:
        step *= 10
    return min(n, max(step * factor for factor in (1, 2, 5) if factor == 1 or step * factor <= fitting))


def sized(run, n, limit_s):
    """How many of n tasks `run(count)` can do within the limit, found out by doing more and more of them.

    The work grows from a small beginning, at most tenfold each time, which also warms the peer up.

    Returns:
        The number, and how many seconds so many have taken.
    """
    size, clock = min(n, 100), time.perf_counter
    run(size)
    give_up = clock() + 4 * limit_s
    while True:
        began = clock()
        run(size)
        now = clock()
        # A handful of tasks cost more each than many do, so each size only tells how far to go from there.
        more = min(affordable(n, (now - began) / size, limit_s), 10 * size)
        if more <= size or now > give_up:
            return size, now - began
        size = more


def paced(run, n, options):
    """The cost of a task in `run(count)`, for n tasks or as many as the limit allows.

    The work is repeated while the budget lasts.

    Returns:
        `task`, the median of the cost in microseconds, and `n`, the size that it was taken at.
    """
    size, seconds = sized(run, n, options["limit_ms"] / 1000)
    times, budget = [seconds], options["budget_ms"] / 1000
    while sum(times) < budget:
        began = time.perf_counter()
        run(size)
        times.append(time.perf_counter() - began)
    return {"task": median(times) / size * 1e6, "n": size}
