"""Events, conditions and barriers: how soon one process goes on after another has let it."""

from bench.rows.base import Goal, Metric, Row, paced
from bench.rows.companions import Companions


def answer(_, there, back):
    """Set one event whenever the other was set."""
    while True:
        there.wait()
        there.clear()
        back.set()


def measure_event(peer, options):
    """Two processes, two events, to and fro."""
    locks = peer.locks()
    there, back = locks.Event(), locks.Event()

    def run(n):
        for _ in range(n):
            there.set()
            back.wait()
            back.clear()

    with Companions(1, answer, there, back):
        return wakings(paced(run, options["n"], options))


def wakings(found):
    """There are two in each round."""
    return {"waking": found["task"] / 2, "n": found["n"]}


def take_turn(condition, turn, me):
    """Wait for one's turn, and give it to the other."""
    with condition:
        while turn.value != me:
            condition.wait()
        turn.value = 1 - me
        condition.notify()


def take_turns(_, condition, turn):
    """The other's part."""
    while True:
        take_turn(condition, turn, 1)


def measure_condition(peer, options):
    """Two processes that take turns."""
    from multiprocessing import sharedctypes

    condition, turn = peer.locks().Condition(), sharedctypes.RawValue("i", 0)

    def run(n):
        for _ in range(n):
            take_turn(condition, turn, 0)

    with Companions(1, take_turns, condition, turn):
        return wakings(paced(run, options["n"], options))


def arrive(_, barrier):
    """Arrive in every round."""
    while True:
        barrier.wait()


def measure_barrier(peer, options):
    """All processes in lockstep."""
    barrier = peer.locks().Barrier(options["workers"])

    def run(n):
        for _ in range(n):
            barrier.wait()

    with Companions(options["workers"] - 1, arrive, barrier):
        found = paced(run, options["n"], options)
    return {"round": found["task"], "n": found["n"]}


def goals(key):
    """The same for all of them."""
    return (
        Goal("no slower than multiprocessing's", key, 1, "multiprocessing"),
        Goal("at least 50 × a Manager's", key, 50, "manager"),
    )


EVENT = Row(
    name="event",
    title="`Event`, to and fro",
    about="Two processes; each sets the event that the other waits for, and clears its own. {n:,} rounds of two "
    "wakings.",
    subject="locks",
    operations=("locks",),
    measure=measure_event,
    metrics=(Metric("waking", "from `set` until the other has gone on and cleared it", "µs"),),
    size=10_000,
    quick_size=50,
    goals=goals("waking"),
)

CONDITION = Row(
    name="condition",
    title="`Condition`, taking turns",
    about="Two processes; each waits for its turn, and gives it to the other. {n:,} rounds of two turns.",
    subject="locks",
    operations=("locks",),
    measure=measure_condition,
    metrics=(Metric("waking", "a turn", "µs"),),
    size=10_000,
    quick_size=50,
    goals=goals("waking"),
)

BARRIER = Row(
    name="barrier",
    title="`Barrier` of four processes",
    about="{n:,} rounds, in which each waits for all.",
    subject="locks",
    operations=("locks",),
    measure=measure_barrier,
    metrics=(Metric("round", "a round", "µs"),),
    size=5_000,
    quick_size=20,
    goals=goals("round"),
    workers=4,
)
