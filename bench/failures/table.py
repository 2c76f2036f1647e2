"""A table out of the outcomes, which are plain data (what ``--json`` writes); nothing is run here."""

from bench.failures import cases, libraries

SIGNS = {True: "✓", False: "✗"}


def cell(outcome):
    """One outcome in few words."""
    if outcome["status"] in ("absent", "not offered"):
        return f"– {outcome['text']}"
    if outcome["status"] == "hang":
        return "✗ **hang**"
    text = outcome["text"].replace("|", "\\|")
    return f"{SIGNS[outcome['right']]} {text}, {outcome['seconds']:.1f} s"


def markdown(results):
    """The table, a row for each case, a column for each library."""
    slugs = list(next(iter(results["cases"].values())))
    titles = [libraries.BY_SLUG[slug].title for slug in slugs]
    lines = [f"| case | {' | '.join(titles)} | test |", f"| --- |{' --- |' * len(titles)} --- |"]
    for name, outcomes in results["cases"].items():
        cells = " | ".join(cell(outcomes[slug]) for slug in slugs)
        case = cases.BY_NAME[name]
        lines.append(f"| {case.title} | {cells} | `{case.test}` |")
    return "\n".join([*lines, "", *footer(results)]) + "\n"


def footer(results):
    """Where the outcomes come from."""
    environment = results["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    return [
        f"Run on {environment['date']}: {environment['python']}, {environment['kernel'].split('-')[0]}, "
        f"{environment['cpu']}, {environment['cores']} cores, start method {environment['start_method']}; {versions}.",
        f"✓: all that could be saved was saved. Hang: no end within {results['limit']:g} s.",
    ]
