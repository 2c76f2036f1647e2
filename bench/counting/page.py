"""Tables out of the results, which are plain data; nothing is measured here."""

from bench import tables
from bench.counting import programs, rows
from bench.rows.base import median

INTRODUCTION = """\
Written by `python -m bench.counting --markdown docs/benchmarks-count.md`. A figure is the wall time of a whole process,
from its start to its end, with all files in the page cache: the median of the rounds, in which the programs run in
turn. “Faster by” is a program's time divided by that of allcores in the same row. CPU seconds are those of all its
processes together, which a busy machine disturbs less than wall time. Memory is what a program and its processes occupy
together at their peak, in a run of its own. What matters is the ratio within a row: absolute figures move with the
machine. The lines that each program says it has counted are compared with those that there are."""


def table(outcomes):
    """Head and body of a row's table."""
    head = ("", "seconds", "lowest – highest", "allcores is faster by", "CPU seconds", "CPU ratio", "memory, MiB", "")
    own = outcomes.get("allcores", {}).get("seconds")
    own_cpu = outcomes.get("allcores", {}).get("cpu")
    body = []
    for slug, outcome in outcomes.items():
        program = programs.BY_SLUG[slug]
        seconds = outcome["seconds"]
        remark = "for reference" if program.reference else ""
        if outcome["status"] != "ok":
            remark = f"{outcome['status']}: {outcome['note']}"
        body.append(
            (
                program.title,
                f"{median(seconds):.3f}" if seconds else "–",
                f"{min(seconds):.3f} – {max(seconds):.3f}" if seconds else "–",
                f"{median(seconds) / median(own):.1f} ×" if seconds and own else "–",
                f"{median(outcome['cpu']):.3f}" if seconds else "–",
                f"{median(outcome['cpu']) / median(own_cpu):.1f} ×" if seconds and own_cpu else "–",
                f"{outcome['peak']:,.0f}" if "peak" in outcome else "–",
                remark,
            )
        )
    return head, body


def goal_lines(row, outcomes):
    """For each of the row's goals, whether it is reached."""
    told = []
    for goal in row.goals:
        own, other = (outcomes.get(slug, {}).get("seconds") for slug in ("allcores", goal.program))
        title = programs.BY_SLUG[goal.program].title
        if not own or not other:
            verdict = "not measured"
        else:
            ratio = median(other) / median(own)
            verdict = f"reached ({ratio:.1f} ×)" if ratio >= goal.bound else f"**not reached** ({ratio:.1f} ×)"
        told.append(f"Goal: at least {goal.bound} × {title}: {verdict}.")
    return told


def row_text(row, outcomes):
    """One row for the terminal."""
    parts = [row.title, tables.plain(*table(outcomes))]
    return "\n".join([*parts, *(line.replace("**", "") for line in goal_lines(row, outcomes))]) + "\n"


def environment_lines(results):
    """Where and when."""
    place = results["environment"]
    return [
        f"{place['date']}; {place['cpu']}, {place['cores']} usable cores; {place['kernel']}; {place['python']}",
        f"kernel of allcores: {results['kernel']}; rounds: {results['rounds']}"
        + ("; QUICK: sizes too small to be quoted" if results["quick"] else ""),
        f"load average {place['load_before']} before the run and {place['load_after']} at its end",
    ]


def page(results, picture):
    """The whole page; the picture is a file beside it."""
    parts = ["# Counting, measured", INTRODUCTION, "\n".join(f"- {line}" for line in environment_lines(results))]
    parts.append(f"![How many times as long as allcores the others take]({picture})")
    for name, outcomes in results["rows"].items():
        row = rows.BY_NAME[name]
        parts.append(f"## {row.title}")
        parts.append(tables.markdown(*table(outcomes)))
        parts.append("\n".join(f"- {line}" for line in goal_lines(row, outcomes)))
    if results["help_ms"]:
        parts.append("## `allcores count --help`")
        parts.append(
            f"- Goal: under 150 ms: {median(results['help_ms']):.0f} ms (lowest {min(results['help_ms']):.0f})."
        )
    used = {slug for outcomes in results["rows"].values() for slug in outcomes}
    parts.append("## What was run")
    parts.append("\n".join(f"- {each.title}: {each.about}" for each in programs.ALL if each.slug in used))
    return "\n\n".join(parts) + "\n"
