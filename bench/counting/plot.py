"""A picture of the results: how many times as long each program takes, and what was asked."""

from bench.counting import programs, rows
from bench.plot import MISSED, QUIET, REACHED, load
from bench.rows.base import median

# How much of a row's height its bars share.
BARS_HEIGHT = 0.8


def bars(results):
    """Each row's title and, for each peer that was measured, its title, its ratio and the goal or None."""
    found = []
    for name, outcomes in results["rows"].items():
        row = rows.BY_NAME[name]
        own = outcomes.get("allcores", {}).get("seconds")
        goals = {goal.program: goal.bound for goal in row.goals}
        peers = [
            (programs.BY_SLUG[slug].title, median(outcome["seconds"]) / median(own), goals.get(slug))
            for slug, outcome in outcomes.items()
            if own and outcome["seconds"] and slug != "allcores" and not programs.BY_SLUG[slug].reference
        ]
        found.append((row.title, peers))
    return found


def draw(results, path):
    """Write the picture: a bar for each peer, green where the goal is reached, and a line where the goal is."""
    pyplot = load()
    figure, axes = pyplot.subplots(figsize=(8, 0.5 + 0.45 * sum(len(peers) for _, peers in bars(results))))
    ticks, labels, height = [], [], 0.0
    for title, peers in bars(results):
        for name, ratio, goal in peers:
            colour = QUIET if goal is None else REACHED if ratio >= goal else MISSED
            axes.barh(height, ratio, BARS_HEIGHT, color=colour)
            axes.text(ratio, height, f" {ratio:.1f} ×", va="center")
            if goal is not None:
                axes.plot([goal, goal], [height - 0.5, height + 0.5], color="black", linewidth=1)
            ticks.append(height)
            labels.append(f"{title}\n{name}")
            height += 1
        height += 0.4
    axes.set_yticks(ticks, labels)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(0.5, 300)
    axes.axvline(1, color="black", linewidth=0.5)
    axes.set_xlabel("how many times as long as allcores it takes; the lines are the goals")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
