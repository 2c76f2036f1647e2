"""Pictures of the results: how many times better allcores is in each row, and how cost grows.

matplotlib draws them; it comes with ``pip install 'allcores[bench]'``.
"""

from bench import peers, rows
from bench.results import advantage, competitors, middle, short, verdicts
from bench.rows import growth

# What is further out is drawn at the edge.
RATIOS = (0.02, 2_000)
MARGINS = (0.01, 30)

REACHED, MISSED, QUIET = "#2a7f3f", "#c0392b", "#8a8a8a"

# How much of a line's height its goals share between them.
GOALS_HEIGHT = 0.8

# One colour and one mark for each competitor, so that they can be told apart without colours too.
MARKS = "osD^v<>PXd"


def load():
    """matplotlib, drawing into files, the same bytes for the same results."""
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("the plot needs matplotlib: pip install 'allcores[bench]'") from None
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "allcores", "font.size": 9})
    from matplotlib import pyplot

    return pyplot


def entries(results):
    """For each metric that the summary shows: its title, its row and the metric; from top to bottom."""
    found = []
    for name in results["rows"]:
        row = rows.BY_NAME[name]
        for metric in row.metrics:
            if metric.at_a_glance:
                title = row.title if len(row.metrics) == 1 else f"{row.title}: {metric.title}"
                found.append((title.replace("`", ""), name, row, metric))
    return found


def within(value, edges):
    """The value, or the edge beyond which it lies."""
    return min(max(value, edges[0]), edges[1])


def shares(height, count):
    """The lower and the upper end of each of so many equal parts of a line's height."""
    part = GOALS_HEIGHT / max(count, 1)
    return [(height - GOALS_HEIGHT / 2 + part * i, height - GOALS_HEIGHT / 2 + part * (i + 1)) for i in range(count)]


def styles(results):
    """Colour and mark of each competitor."""
    pyplot = load()
    colours = pyplot.get_cmap("tab10").colors
    return {peer.slug: (peer.title, colours[i % 10], MARKS[i % 10]) for i, peer in enumerate(competitors(results))}


def draw_ratios(axes, results, lines, look):
    """A point for each peer, a stroke in its colour where the goal for it stands."""
    for height, (_, name, row, metric) in enumerate(lines):
        outcomes = results["rows"][name]
        for slug, (_, colour, mark) in look.items():
            ratio = advantage(outcomes, metric, slug)
            if ratio is not None:
                axes.plot(within(ratio, RATIOS), height, mark, color=colour, markersize=6, alpha=0.85)
        goals = [goal for goal in row.goals if goal.metric == metric.key and goal.peer in look]
        for goal, ends in zip(goals, shares(height, len(goals)), strict=True):
            axes.plot([goal.bound] * 2, ends, color=look[goal.peer][1], linewidth=2.5)
    axes.set_xlim(RATIOS[0] / 1.3, RATIOS[1] * 1.3)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_title("how many times better allcores is (| marks a goal, in the peer's colour)", fontsize=9)


def draw_goals(axes, results, lines):
    """A bar for each goal: what was reached as a multiple of what was asked."""
    for height, (_, name, row, metric) in enumerate(lines):
        found = [each for each in verdicts(row, results["rows"][name]) if each.goal.metric == metric.key]
        for each, ends in zip(found, shares(height, len(found)), strict=True):
            y = sum(ends) / 2
            if each.margin is None:
                axes.text(1.1, y, "not measured", va="center", fontsize=6, color=QUIET)
                continue
            colour = REACHED if each.is_reached else MISSED
            x = within(each.margin, MARGINS)
            axes.plot([1, x], [y, y], color=colour, linewidth=4, solid_capstyle="butt")
            axes.plot(x, y, "o", color=colour, markersize=4)
            axes.annotate(
                f"{short(each.margin)} ×",
                (x, y),
                xytext=(5 if each.is_reached else -5, 0),
                textcoords="offset points",
                ha="left" if each.is_reached else "right",
                va="center",
                fontsize=6,
                color=colour,
            )
    axes.set_xlim(MARGINS[0] / 4, MARGINS[1] * 4)
    axes.tick_params(left=False)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_title("goals: reached ÷ asked (right of 1: reached)", fontsize=9)


def ratios(results, path):
    """Write the picture of all ratios and goals, on logarithmic scales.

    Args:
        results: a run.
        path: an .svg or .png file.

    Returns:
        Whether there was anything to draw.
    """
    lines = entries(results)
    if not lines:
        return False
    pyplot, look = load(), styles(results)
    height = 1.6 + 0.36 * len(lines)
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(13, height), sharey=True, width_ratios=(2, 1), layout="constrained"
    )
    draw_ratios(left, results, lines, look)
    draw_goals(right, results, lines)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.grid(axis="x", color="#e4e4e4")
        axes.set_axisbelow(True)
        for height in range(0, len(lines), 2):
            axes.axhspan(height - 0.5, height + 0.5, color="#f5f5f5", zorder=0)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    left.set_yticks(range(len(lines)), [title for title, *_ in lines])
    left.set_ylim(len(lines) - 0.5, -0.5)
    handles = [
        pyplot.Line2D([], [], color=colour, marker=mark, linestyle="", label=title)
        for title, colour, mark in look.values()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=max(len(handles), 1), frameon=False)
    write(pyplot, figure, path)
    return True


def growing(results, path):
    """Write the picture of how cost grows with tasks and with workers.

    Returns:
        Whether there was anything to draw.
    """
    outcomes = results["rows"].get(growth.GROWTH.name)
    if not outcomes:
        return False
    pyplot = load()
    figure, both = pyplot.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
    for axes, word, steps in ((both[0], "tasks", growth.TASKS), (both[1], "workers", growth.WORKERS)):
        for slug in outcomes:
            found = [(n, middle(outcomes, slug, growth.GROWTH.metric(f"{word}{n}"))) for n in steps]
            points = [(n, cost) for n, cost in found if cost is not None]
            if points:
                axes.plot(*zip(*points, strict=True), "o-", label=peers.BY_SLUG[slug].title)
        axes.set(xscale="log", yscale="log", xlabel=word)
        axes.set_xticks(steps, [f"{n:,}" for n in steps], minor=False)
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(color="#e4e4e4")
    both[0].set_ylabel("µs a task")
    both[0].legend(frameon=False, fontsize=8)
    write(pyplot, figure, path)
    return True


def write(pyplot, figure, path):
    """Save and forget a figure; no date in it, so that the same results give the same file."""
    is_svg = str(path).endswith(".svg")
    figure.savefig(path, dpi=130, metadata={"Date": None} if is_svg else None)
    pyplot.close(figure)
