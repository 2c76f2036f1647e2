"""Tables out of the results, which are plain data (what `--json` writes); nothing is measured here."""

from bench import peers, rows
from bench.rows.base import median

OWN = "allcores"


def numbers(outcome, metric):
    """A metric's values over the rounds."""
    return [values[metric.key] for values in outcome["rounds"] if metric.key in values]


def short(value):
    """Three figures are more than two shared cores can promise."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def advantage(outcomes, metric, slug):
    """How many times better allcores' median is than the peer's; None where one of the two has no number."""
    own, other = (numbers(outcomes[name], metric) if name in outcomes else [] for name in (OWN, slug))
    if not own or not other:
        return None
    return metric.advantage(median(own), median(other))


def is_within_spread(outcomes, metric, slug):
    """Whether the rounds of both overlap, so that the order of the medians may be chance."""
    own, other = numbers(outcomes[OWN], metric), numbers(outcomes[slug], metric)
    return min(own) <= max(other) and min(other) <= max(own)


def remark(outcomes, metric, peer, full_size):
    """What a reader must not miss about a line: who is ahead, what failed, what is not the same."""
    outcome = outcomes[peer.slug]
    remarks = []
    if outcome["status"] != "ok":
        remarks.append(f"{outcome['status']}: {outcome['note']}" if outcome["note"] else outcome["status"])
    ratio = advantage(outcomes, metric, peer.slug)
    if peer.reference:
        remarks.append("for reference")
    elif peer.slug != OWN and ratio is not None and ratio < 1:
        chance = ", within the spread of the rounds" if is_within_spread(outcomes, metric, peer.slug) else ""
        remarks.append(f"AHEAD of allcores{chance}")
    if outcome["n"] != full_size:
        remarks.append(f"on {outcome['n']:,} items")
    return "; ".join(remarks)


def lines(row, outcomes, metric):
    """The body of a row's table: name, median, spread, advantage of allcores, remark."""
    full_size = max(outcome["n"] for outcome in outcomes.values())
    body = []
    for slug, outcome in outcomes.items():
        peer = peers.BY_SLUG[slug]
        values = numbers(outcome, metric)
        ratio = advantage(outcomes, metric, slug)
        body.append(
            (
                peer.title,
                short(median(values)) if values else "–",
                f"{short(min(values))} – {short(max(values))}" if values else "–",
                f"{short(ratio)} ×" if ratio is not None else "–",
                remark(outcomes, metric, peer, full_size),
            )
        )
    return body


def header(metric):
    """The head of a row's table."""
    return ("", f"{metric.title}, {metric.unit}", "lowest – highest", "allcores is better by", "")


def goal_lines(row, outcomes):
    """For each of the row's goals, whether it is reached."""
    told = []
    for goal in row.goals:
        metric = next(metric for metric in row.metrics if metric.key == goal.metric)
        if goal.peer:
            ratio = advantage(outcomes, metric, goal.peer)
            reached = None if ratio is None else ratio >= goal.bound
            # A goal below 1 bounds how far behind a floor allcores may be: say it that way round.
            found = "" if not ratio else f"{short(ratio if goal.bound >= 1 else 1 / ratio)} ×"
        else:
            values = numbers(outcomes[OWN], metric) if OWN in outcomes else []
            reached = median(values) <= goal.bound if values else None
            found = f"{short(median(values))} {metric.unit}" if values else ""
        verdicts = {None: "not measured", True: f"reached ({found})", False: f"**not reached** ({found})"}
        verdict = verdicts[reached]
        told.append(f"Goal: {goal.text}: {verdict}.")
    return told


def plain_table(head, body):
    """A table for the terminal, numbers to the right."""
    grid = [tuple(cell.replace("**", "") for cell in line) for line in (head, *body)]
    widths = [max(len(line[column]) for line in grid) for column in range(len(head))]
    out = []
    for line in grid:
        cells = [
            text.ljust(width) if column in (0, len(head) - 1) else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        out.append("  ".join(cells).rstrip())
    return "\n".join(out)


def markdown_table(head, body):
    """The same in Markdown; a vertical bar in a note would end its cell."""
    rule = [":--" if column in (0, len(head) - 1) else "--:" for column in range(len(head))]
    grid = [[cell.replace("|", "\\|") for cell in line] for line in (head, rule, *body)]
    return "\n".join("| " + " | ".join(line) + " |" for line in grid)


def row_about(row, outcomes):
    """The row's sentence, with the size that was run."""
    return row.about.format(n=max(outcome["n"] for outcome in outcomes.values()))


def row_text(row, outcomes):
    """One row for the terminal."""
    parts = [row.title.replace("`", ""), row_about(row, outcomes).replace("`", "")]
    parts += [plain_table(header(metric), lines(row, outcomes, metric)) for metric in row.metrics]
    parts += [line.replace("**", "") for line in goal_lines(row, outcomes)]
    return "\n".join(parts) + "\n"


def calls(row, outcomes):
    """What was called for each peer: those with the same call share a line."""
    by_call = {}
    for slug in outcomes:
        peer = peers.BY_SLUG[slug]
        by_call.setdefault(getattr(peer, row.operation).__doc__, []).append(peer.title)
    return [f"- {', '.join(titles)}: {call}" for call, titles in by_call.items()]


def row_markdown(row, outcomes):
    """One row for the page."""
    parts = [f"## {row.title}", row_about(row, outcomes)]
    for metric in row.metrics:
        parts.append(markdown_table(header(metric), lines(row, outcomes, metric)))
    if row.goals:
        parts.append("\n".join(f"- {line}" for line in goal_lines(row, outcomes)))
    parts.append("What was called:\n\n" + "\n".join(calls(row, outcomes)))
    return "\n\n".join(parts)


def summary(results):
    """Ratios at a glance: a line for each metric, a column for each competitor."""
    taking_part = {slug for outcomes in results["rows"].values() for slug in outcomes} - {OWN}
    competitors = [peer for peer in peers.ALL if peer.slug in taking_part and not peer.reference]
    head = ("", "allcores", *(peer.title for peer in competitors), "")
    body = []
    for name, outcomes in results["rows"].items():
        row = rows.BY_NAME[name]
        for metric in row.metrics:
            own = numbers(outcomes[OWN], metric) if OWN in outcomes else []
            title = row.title if len(row.metrics) == 1 else f"{row.title}: {metric.title}"
            cells, ahead = [], []
            for peer in competitors:
                ratio = advantage(outcomes, metric, peer.slug)
                outcome = outcomes.get(peer.slug)
                if ratio is None:
                    cells.append(outcome["status"] if outcome and outcome["status"] != "ok" else "–")
                elif ratio < 1:
                    cells.append(f"**{short(ratio)} ×**")
                    ahead.append(peer.title)
                else:
                    cells.append(f"{short(ratio)} ×")
            mark = f"ahead of allcores: {', '.join(ahead)}" if ahead else ""
            body.append((title, f"{short(median(own))} {metric.unit}" if own else "–", *cells, mark))
    return head, body


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


INTRODUCTION = """\
Written by `make bench` (`python -m bench`). All peers of a row run in turn, round after round, each time in
a fresh process; a figure is the median of the rounds. “Better by” is the peer's cost divided by that of
allcores: above 1, allcores is ahead; below 1, the peer is, and the line says so. What matters is the ratio
within a row: absolute figures move with the machine. Each library is used with its own defaults, as its
manual shows it."""


def page(results):
    """The whole of docs/benchmarks.md."""
    parts = [
        "# Benchmarks",
        INTRODUCTION,
        "\n".join(f"- {line}" for line in environment_lines(results)),
        "## At a glance",
        "How many times better allcores is; in bold where the peer is ahead.",
        markdown_table(*summary(results)),
    ]
    parts += [row_markdown(rows.BY_NAME[name], outcomes) for name, outcomes in results["rows"].items()]
    return "\n\n".join(parts) + "\n"
