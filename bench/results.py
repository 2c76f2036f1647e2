"""What results say: medians, ratios, goals. Results are plain data, as the runner makes them and JSON keeps them."""

from typing import NamedTuple

from bench import peers, rows
from bench.rows.base import median
from bench.runner import OWN


def numbers(outcomes, slug, metric):
    """A peer's values of a metric over the rounds; empty if it has none."""
    return [values[metric.key] for values in outcomes.get(slug, {}).get("rounds", ()) if metric.key in values]


def middle(outcomes, slug, metric):
    """Their median; None if there are none."""
    values = numbers(outcomes, slug, metric)
    return median(values) if values else None


def advantage(outcomes, metric, slug):
    """How many times better allcores' median is than the peer's; None where one of the two has no number."""
    own, other = middle(outcomes, OWN, metric), middle(outcomes, slug, metric)
    return None if own is None or other is None else metric.advantage(own, other)


def is_within_spread(outcomes, metric, slug):
    """Whether the rounds of both overlap, so that the order of the medians may be chance."""
    own, other = numbers(outcomes, OWN, metric), numbers(outcomes, slug, metric)
    return min(own) <= max(other) and min(other) <= max(own)


def competitors(results):
    """The peers that took part somewhere, but for allcores and the floors."""
    taking_part = {slug for outcomes in results["rows"].values() for slug in outcomes} - {OWN}
    return [peer for peer in peers.ALL if peer.slug in taking_part and not peer.reference]


def by_subject(results):
    """The results of pools and those of locks, each with its own competitors; those that there are."""
    parts = {}
    for name, outcomes in results["rows"].items():
        parts.setdefault(rows.BY_NAME[name].subject, {})[name] = outcomes
    return [{**results, "rows": part} for part in parts.values()]


class Verdict(NamedTuple):
    """What became of a goal.

    Attributes:
        goal: the goal.
        found: what was measured, as text; empty if nothing was.
        margin: what was reached as a multiple of what was asked: from 1 on, the goal is reached. None if it was
            not measured.
    """

    goal: object
    found: str
    margin: float | None

    @property
    def is_reached(self):
        """Whether the goal is reached; None if it was not measured."""
        return None if self.margin is None else self.margin >= 1


def short(value):
    """Three figures are more than two shared cores can promise."""
    if value == float("inf"):
        return "∞"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def amount(value, unit):
    """A number with its unit, if it has one."""
    return f"{short(value)} {unit}".rstrip()


def verdict(row, outcomes, goal):
    """Hold one goal against the results."""
    metric = row.metric(goal.metric)
    if goal.peer is None:
        own = middle(outcomes, OWN, metric)
        if own is None:
            return Verdict(goal, "", None)
        # The bound is treated as a competitor: how many times better than it is allcores?
        return Verdict(goal, amount(own, metric.unit), metric.advantage(own, goal.bound))
    ratio = advantage(outcomes, metric, goal.peer)
    if ratio is None:
        return Verdict(goal, "", None)
    # A goal below 1 bounds how far behind a floor allcores may be: it is told that way round.
    told = ratio if goal.bound >= 1 or not ratio else 1 / ratio
    return Verdict(goal, f"{short(told)} ×", ratio / goal.bound)


def verdicts(row, outcomes):
    """All goals of a row."""
    return [verdict(row, outcomes, goal) for goal in row.goals]
