"""One row in words and tables, for the terminal and for the page."""

from bench import peers, tables
from bench.results import OWN, advantage, is_within_spread, middle, numbers, short, verdicts

MEANING = {None: "not measured", True: "reached", False: "**not reached**"}


def took_part(outcomes):
    """Those with something to show, or that failed while they were at it."""
    return [slug for slug, outcome in outcomes.items() if outcome["rounds"] or outcome["status"] in ("hang", "error")]


def missing(outcomes):
    """A line for each reason why peers are not in the tables."""
    reasons = {}
    for slug in outcomes.keys() - set(took_part(outcomes)):
        reasons.setdefault(outcomes[slug]["note"] or outcomes[slug]["status"], set()).add(slug)
    order = list(outcomes)
    return [
        f"Not in this row: {', '.join(peers.BY_SLUG[slug].title for slug in sorted(slugs, key=order.index))}: {note}."
        for note, slugs in sorted(reasons.items())
    ]


def remark(outcomes, metric, peer):
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
    if outcome["n"] != full_size(outcomes):
        remarks.append(f"on {outcome['n']:,} items")
    rounds = len(outcome["rounds"])
    if rounds < len(outcomes.get(OWN, outcome)["rounds"]):
        remarks.append(f"{rounds} round{'' if rounds == 1 else 's'}")
    return "; ".join(remarks)


def full_size(outcomes):
    """The size of the work for those who could afford it."""
    return max(outcome["n"] for outcome in outcomes.values())


def lines(outcomes, metric):
    """The body of a metric's table: name, median, spread, advantage of allcores, remark."""
    body = []
    for slug in took_part(outcomes):
        peer = peers.BY_SLUG[slug]
        values = numbers(outcomes, slug, metric)
        ratio = advantage(outcomes, metric, slug)
        body.append(
            (
                peer.title,
                short(middle(outcomes, slug, metric)) if values else "–",
                f"{short(min(values))} – {short(max(values))}" if values else "–",
                f"{short(ratio)} ×" if ratio is not None else "–",
                remark(outcomes, metric, peer),
            )
        )
    return body


def table(outcomes, metric):
    """A metric's table, head and body."""
    title = f"{metric.title}, {metric.unit}" if metric.unit else metric.title
    return ("", title, "lowest – highest", "allcores is better by", ""), lines(outcomes, metric)


def matrix(row, outcomes):
    """One table for all metrics of a row: medians, and how many times better allcores is."""
    head = ("", *(metric.title for metric in row.metrics), "")
    body = []
    for slug in took_part(outcomes):
        peer, outcome = peers.BY_SLUG[slug], outcomes[slug]
        cells = []
        for metric in row.metrics:
            value, ratio = middle(outcomes, slug, metric), advantage(outcomes, metric, slug)
            compared = f" ({short(ratio)} ×)" if ratio is not None and slug != OWN else ""
            cells.append("–" if value is None else short(value) + compared)
        body.append((peer.title, *cells, outcome["note"]))
    return head, body


def row_tables(row, outcomes):
    """The tables of a row."""
    if row.is_matrix:
        return [matrix(row, outcomes)]
    return [table(outcomes, metric) for metric in row.metrics]


def goal_lines(row, outcomes):
    """For each of the row's goals, whether it is reached."""
    return [
        f"Goal: {found.goal.text}: {MEANING[found.is_reached]}{f' ({found.found})' if found.found else ''}."
        for found in verdicts(row, outcomes)
    ]


def row_about(row, outcomes):
    """The row's sentence, with the size that was run."""
    return row.about.format(n=full_size(outcomes))


def row_text(row, outcomes):
    """One row for the terminal."""
    parts = [row.title.replace("`", ""), row_about(row, outcomes).replace("`", "")]
    parts += [tables.plain(*grid) for grid in row_tables(row, outcomes)]
    parts += [line.replace("**", "").replace("`", "") for line in goal_lines(row, outcomes) + missing(outcomes)]
    return "\n".join(parts) + "\n"


def calls(row, outcomes):
    """What was called for each peer: those with the same call share a line."""
    by_call = {}
    for slug in took_part(outcomes):
        peer = peers.BY_SLUG[slug]
        by_call.setdefault(row.operation_of(peer).__doc__, []).append(peer.title)
    return [f"- {', '.join(titles)}: {call}" for call, titles in by_call.items()]


def row_markdown(row, outcomes, heading="##"):
    """One row for the page."""
    parts = [f"{heading} {row.title}", row_about(row, outcomes)]
    parts += [tables.markdown(*grid) for grid in row_tables(row, outcomes)]
    told = goal_lines(row, outcomes) + missing(outcomes)
    if told:
        parts.append("\n".join(f"- {line}" for line in told))
    parts.append("What was called:\n\n" + "\n".join(calls(row, outcomes)))
    return "\n\n".join(parts)
