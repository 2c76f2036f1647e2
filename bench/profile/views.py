"""Measures a work in rounds, and sets what was measured against each other, in tables."""

import contextlib
import os

import allcores
from bench.profile import samples, start, syscalls, tables
from bench.profile.accounts import account, workers_of
from bench.profile.lone import REST, ping_pong, stretches, turn
from bench.profile.parts import parts
from bench.profile.rig import Rig
from bench.profile.rounds import typical, typical_each
from bench.profile.steps import steps
from bench.profile.works import FLOOD, LONE


class Effort:
    """How much is measured.

    Attributes:
        rounds: how often each view of a work is measured, in turn.
        workers: how many the pools for many tasks have.
        shrink: by what the sizes of works are divided.
        tools: whether to ask strace and perf too, where they are installed.
    """

    def __init__(self, rounds, workers, shrink=1, tools=True):
        self.rounds = rounds
        self.workers = workers
        self.shrink = shrink
        self.tools = tools

    def of(self, number):
        """A size or a number of repetitions, as it is to be."""
        return max(1, number // self.shrink)


#: How often a step is repeated in a round.
_REPEATS = 20_000

#: How many tasks, or lone calls, perf is to see at least. Arbitrary.
_SAMPLED = 200_000
_SAMPLED_CALLS = 10_000


@contextlib.contextmanager
def _warm_rig(work):
    """A rig that knows the work's function, what it costs, and of what kind its results are."""
    rig = Rig()
    try:
        for _ in range(3):
            parts(rig, FLOOD if work is LONE else work, 1000)
        yield rig
    finally:
        rig.close()


def bulk(work, effort):
    """A work of many tasks: the threads of a pool, and the parts of what they do.

    Yields:
        `tables.Table`.
    """
    n = effort.of(work.size)
    accounts, walls, costs, singles = [], [], [], []
    with allcores.Pool(effort.workers) as pool, _warm_rig(work) as rig:
        work.run(pool, max(n // 10, 500))
        for _ in range(effort.rounds):
            entries, wall = account(pool, work, n)
            accounts.append(entries)
            walls.append(wall)
            costs.append(parts(rig, work, n))
            singles.append(steps(rig, work.name, effort.of(_REPEATS)))
        yield tables.threads(accounts, walls)
        parent = typical(each["caller"].cpu + each["reactor"].cpu for each in accounts)
        workers = typical(each["workers"].cpu for each in accounts)
        for side, title, real in (("parent", "The parent", parent), ("worker", "The workers", workers)):
            cost = typical_each([each[side] for each in costs])
            yield tables.parts(work.name, title, cost, typical_each(singles), real)
        if effort.tools:
            yield from _tools(pool, work, n, effort.of(_SAMPLED))


def lone(work, effort):
    """The lone call: its stretches, the kinds of work in it, and the threads of a pool.

    Yields:
        `tables.Table`.
    """
    calls = effort.of(work.size)
    alone, rested, real, singles, echoes = [], [], [], [], []
    with ping_pong() as trips, allcores.Pool(1) as pool, _warm_rig(work) as rig:
        work.run(pool, 300)
        (lane,) = pool._scheduler.lanes_now()
        for _ in range(effort.rounds):
            alone.append(stretches(rig.pool, rig.lane, calls, turn(rig)))
            rested.append(stretches(rig.pool, rig.lane, calls, turn(rig, REST), REST))
            real.append(stretches(pool, lane, calls))
            echoes.append(trips(calls))
            singles.append(steps(rig, work.name, effort.of(_REPEATS)))
        yield from tables.lone(*map(typical_each, (alone, rested, real, singles)), typical(echoes))
        accounts, walls = zip(*(account(pool, work, calls) for _ in range(effort.rounds)), strict=True)
        yield tables.threads(accounts, walls)
        if effort.tools:
            yield from _tools(pool, work, calls, effort.of(_SAMPLED_CALLS))


def _tools(pool, work, n, sampled):
    """What perf and strace see, where they may."""
    workers = workers_of(pool)
    if samples.available():

        def run():
            for _ in range(-(-sampled // n)):
                work.run(pool, n)

        yield tables.samples(samples.shares([os.getpid(), *workers], run))
    if syscalls.available():
        yield tables.calls(syscalls.counts(workers, lambda: work.run(pool, n)), n)


def first(effort):
    """The first result of a program.

    Yields:
        `tables.Table`.
    """
    firsts, seconds, alone = [], [], []
    for _ in range(effort.rounds):
        firsts.append(start.timeline())
        seconds.append(start.timeline(2))
        alone.append(dict(start.alone()))
    yield from tables.start(typical_each(firsts), typical_each(seconds), typical_each(alone).items())
