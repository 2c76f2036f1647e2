"""The page of a whole run: what is measured stands between two marks, and what somebody wrote around them stays."""

from bench import report, rows, tables
from bench.report import MEANING
from bench.results import OWN, advantage, amount, by_subject, competitors, middle, short, verdicts

BEGIN = "<!-- Written by `python -m bench`, from here -->"
END = "<!-- to here. What stands outside these two lines is left alone. -->"

INTRODUCTION = """\
All peers of a row run in turn, round after round, each time in a fresh process below one and the same parent; a
figure is the median of the rounds. “Better by” is the peer's cost divided by that of allcores: above 1, allcores is
ahead; below 1, the peer is, and the line says so. What matters is the ratio within a row: absolute figures move with
the machine. Each library is used with its own defaults, as its manual shows it. One that would take too long is given
fewer tasks or fewer rounds, and its line says so; what is compared is the cost of a task."""


def environment_lines(results):
    """Where and when, in a few lines."""
    place, settings = results["environment"], results["settings"]
    versions = ", ".join(f"{name} {number}" for name, number in place["versions"].items())
    return [
        f"{place['date']}; {place['cpu']}, {place['cores']} usable cores; {place['kernel']}",
        f"{place['python']}, default start method {place['start_method']}" + (f"; {versions}" if versions else ""),
        f"{settings['workers']} workers, rounds: {settings['rounds']}"
        + ("; QUICK: sizes too small to be quoted" if settings["quick"] else ""),
        f"load average {place['load_before']} before the run and {place['load_after']} at its end",
    ]


def glance(results):
    """Ratios at a glance: a line for each metric, a column for each competitor."""
    columns = competitors(results)
    body = []
    for name, outcomes in results["rows"].items():
        row = rows.BY_NAME[name]
        for metric in filter(lambda metric: metric.at_a_glance, row.metrics):
            own = middle(outcomes, OWN, metric)
            title = row.title if len(row.metrics) == 1 else f"{row.title}: {metric.title}"
            ratios = {peer.title: advantage(outcomes, metric, peer.slug) for peer in columns}
            ahead = [title for title, ratio in ratios.items() if ratio is not None and ratio < 1]
            body.append(
                (
                    title,
                    "–" if own is None else amount(own, metric.unit),
                    *(glance_cell(outcomes, peer, ratios[peer.title]) for peer in columns),
                    f"ahead of allcores: {', '.join(ahead)}" if ahead else "",
                )
            )
    return ("", OWN, *(peer.title for peer in columns), ""), body


def glance_cell(outcomes, peer, ratio):
    """A ratio, or what became of the peer."""
    if ratio is None:
        status = outcomes.get(peer.slug, {}).get("status")
        return status if status in ("hang", "error", "absent") else "–"
    return f"**{short(ratio)} ×**" if ratio < 1 else f"{short(ratio)} ×"


def goals(results):
    """Every goal, and whether it is reached."""
    body = [
        (rows.BY_NAME[name].title, found.goal.text, found.found or "–", MEANING[found.is_reached])
        for name, outcomes in results["rows"].items()
        for found in verdicts(rows.BY_NAME[name], outcomes)
    ]
    return ("", "goal", "measured", ""), body


def bullets(lines):
    """A list."""
    return "\n".join(f"- {line}" for line in lines)


def section(results, heading):
    """All rows of a run."""
    return [report.row_markdown(rows.BY_NAME[name], outcomes, heading) for name, outcomes in results["rows"].items()]


def where(other, results):
    """The heading of another run."""
    place, own = other["environment"], results["environment"]
    if (place["cpu"], place["cores"]) == (own["cpu"], own["cores"]):
        return f"On the same machine, at another time: {', '.join(other['rows'])}"
    return f"On another machine: {place['cpu']}, {place['cores']} cores"


def measured(results, others=(), pictures=()):
    """What stands between the marks.

    Args:
        results: the run that the tables and the pictures are of.
        others: runs on other machines, or at other times, each of which gets a section of its own.
        pictures: pairs of a title and a file's name.
    """
    parts = [INTRODUCTION, bullets(environment_lines(results))]
    parts += [f"![{title}]({name})" for title, name in pictures]
    parts += ["## Goals", tables.markdown(*goals(results))]
    parts += ["## At a glance", "How many times better allcores is; in bold where the peer is ahead."]
    parts += [tables.markdown(*glance(part)) for part in by_subject(results)]
    parts += section(results, "##")
    for other in others:
        parts += [f"## {where(other, results)}", bullets(environment_lines(other)), *section(other, "###")]
    return "\n\n".join([BEGIN, *parts, END])


def insert(text, old=""):
    """The page: the old one with its measured part replaced; where it has none yet, it comes last."""
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        return before + text + after
    return f"{old.rstrip() or '# Benchmarks'}\n\n{text}\n"
