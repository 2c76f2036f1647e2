"""Tables out of what was measured; nothing is measured here."""

from bench import tables as grid
from bench.profile.lone import STRETCHES
from bench.profile.rounds import spread, typical
from bench.profile.start import STAGES
from bench.profile.steps import STEPS

ROLES = {"caller": "caller's thread", "reactor": "reactor's thread", "workers": "workers, together"}


class Table:
    """A title, the heads of columns, lines, and remarks for below."""

    def __init__(self, title, head, body, remarks=()):
        self.title = title
        self.head = (*head, "")
        self.body = [(*line, "") for line in body]
        self.remarks = remarks

    def text(self, markdown):
        """The table for the terminal, or as Markdown."""
        draw = grid.markdown if markdown else grid.plain
        title = f"### {self.title}\n" if markdown else self.title
        return "\n".join([title, draw(self.head, self.body), *(f"\n{remark}" for remark in self.remarks), ""])


def microseconds(nanoseconds):
    """With as many digits as say something."""
    return f"{nanoseconds / 1e3:,.3f}" if abs(nanoseconds) < 9_995 else f"{nanoseconds / 1e3:,.1f}"


def threads(accounts, walls):
    """What the threads of a real pool have used."""
    body = []
    for role, title in ROLES.items():
        entries = [each[role] for each in accounts]
        times = [typical(entry.cpu for entry in entries), typical(entry.waiting for entry in entries)]
        switches = [typical(entry.slept for entry in entries), typical(entry.preempted for entry in entries)]
        body.append((title, *map(microseconds, times), *(f"{count:.4f}" for count in switches)))
    remarks = [
        f"On the wall {microseconds(typical(walls))} µs a task: {spread(walls)}.",
        f"CPU of the parent: {spread([each['caller'].cpu + each['reactor'].cpu for each in accounts])}.",
    ]
    head = ("a task", "CPU, µs", "waited for a core, µs", "went to sleep", "was preempted")
    return Table("Threads of a real pool", head, body, remarks)


def parts(work, title, costs, singles, real):
    """What one side does for a task, by part, with the steps that are known of each.

    Args:
        work: its name.
        title: of the table.
        costs: nanoseconds by part, in the rig.
        singles: nanoseconds of each of the work's steps.
        real: nanoseconds that this side of a real pool has used.
    """
    body = []

    def line(name, cost):
        body.append((name, microseconds(cost), f"{cost / real:.0%}"))

    for part, cost in costs.items():
        line(part, cost)
        known = [(step.title, single) for step, single in zip(STEPS[work], singles, strict=True) if step.part == part]
        for name, single in known:
            line(f"– {name}", single)
        if known:
            line("– the rest: the engine's own Python", cost - sum(single for _, single in known))
    alone = sum(costs.values())
    line("together, in one thread", alone)
    line("more than that in a real pool", real - alone)
    line("a real pool", real)
    return Table(title, ("a task", "CPU, µs", "share"), body)


def lone(alone, rested, real, singles, echo):
    """One `apply`: its stretches, and the kinds of work in it.

    Args:
        alone, rested, real: nanoseconds of each stretch, and of the whole, in the rig, in the rig with sleeps between
            the turns, and in a real pool.
        singles: nanoseconds of each step.
        echo: nanoseconds of a bare round trip.
    """
    rows = zip((*STRETCHES, "the whole"), alone, rested, real, strict=True)
    body = [(title, *map(microseconds, costs)) for title, *costs in rows]
    head = ("undisturbed calls", "in one thread, µs", "the same after short sleeps, µs", "in a real pool, µs")
    yield Table("A lone call, by stretch", head, body)
    whole, body, kinds = real[-1], [], {}
    for step, single in zip(STEPS["lone"], singles, strict=True):
        kinds.setdefault(step.part, []).append((step.title, single))

    def line(name, cost):
        body.append((name, microseconds(cost), f"{cost / whole:.0%}"))

    known = 0
    for kind, single in kinds.items():
        line(kind, sum(cost for _, cost in single))
        known += sum(cost for _, cost in single)
        if len(single) > 1:
            for name, cost in single:
                line(f"– {name}", cost)
    line("the engine's own Python: what is left of the time in one thread", alone[-1] - known)
    line("in one thread", alone[-1])
    calls = kinds["system calls"][0][1]
    line("waking up, twice: a bare round trip less its system calls", echo - calls)
    line("left over: the same code, but after a sleep", whole - alone[-1] - (echo - calls))
    line("a real pool", whole)
    yield Table(
        "A lone call, by kind",
        ("undisturbed calls", "µs", "share"),
        body,
        [f"A bare round trip: {microseconds(echo)} µs."],
    )


def samples(shares):
    """What perf has seen."""
    kinds = dict.fromkeys(kind for kinds in shares.values() for kind in kinds)
    body = [(kind, *(f"{shares.get(role, {}).get(kind, 0):.0%}" for role in ROLES)) for kind in sorted(kinds)]
    return Table("What runs, by samples of perf", ("share of the CPU time", *ROLES.values()), body)


def calls(counted, n):
    """What strace has counted."""
    names = sorted({name for calls in counted.values() for name in calls})
    body = [(name, *(f"{calls[name] / n:.4f}" for calls in counted.values())) for name in names]
    heads = ["parent", *(f"worker {number}" for number in range(1, len(counted)))]
    return Table("System calls, by strace", ("a task", *heads), body)


def start(first, second, alone):
    """The first result of a program, and of a second pool."""
    rows = zip((*STAGES, "the whole"), (*first, sum(first)), (*second, sum(second)), strict=True)
    body = [(stage, *(f"{cost:.1f}" for cost in costs)) for stage, *costs in rows]
    yield Table("Until the first result", ("", "first pool, ms", "second pool, ms"), body)
    yield Table("Interpreters alone", ("", "CPU, ms"), [(title, f"{cost:.1f}") for title, cost in alone])
