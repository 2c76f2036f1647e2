"""The command line: ``python -m bench``."""

import argparse
import json
import pathlib
import sys

from bench import machine, peers, report, rows, runner

PAGE = runner.ROOT / "docs" / "benchmarks.md"


def names(known):
    """A parser for a comma-separated choice of known names."""

    def parse(text):
        wanted = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in wanted if name not in known]
        if unknown or not wanted:
            refused = ", ".join(unknown) or "nothing"
            raise argparse.ArgumentTypeError(f"{refused}: choose from {', '.join(known)}")
        return [known[name] for name in known if name in wanted]

    return parse


def positive(text):
    """A parser for a whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return number


def parse(arguments):
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure allcores against its peers.",
        epilog=f"Rows: {', '.join(rows.BY_NAME)}. Peers: {', '.join(peers.BY_SLUG)}.",
    )
    add = parser.add_argument
    add("--rows", type=names(rows.BY_NAME), metavar="ROW,…", help="default: all")
    add("--peers", type=names(peers.BY_SLUG), metavar="PEER,…", help="default: all")
    add("--rounds", type=positive, default=5, help="how often each is measured (default: 5)")
    add("--workers", type=positive, help="default: the usable cores")
    add("--timeout", type=float, default=60, help="seconds after which a measurement is a hang (default: 60)")
    add("--quick", action="store_true", help="tiny sizes: to see that it works, not to be quoted")
    add("--json", type=pathlib.Path, metavar="FILE", help="write the raw results there")
    add(
        "--markdown",
        type=pathlib.Path,
        metavar="FILE",
        help="write the page there (default: docs/benchmarks.md, after a full run)",
    )
    options = parser.parse_args(arguments)
    is_whole = not (options.rows or options.peers or options.quick)
    if options.markdown is None and is_whole:
        options.markdown = PAGE
    return options


def tell(message):
    """Progress, apart from the result."""
    print(message, file=sys.stderr, flush=True)


def run(options):
    """Measure everything that was asked for, printing each row as soon as it is complete."""
    chosen = options.peers or list(peers.ALL)
    workers = options.workers or machine.usable_cores()
    results = {
        "environment": machine.describe(chosen),
        "settings": {"workers": workers, "rounds": options.rounds, "quick": options.quick},
        "rows": {},
    }
    for row in options.rows or rows.ALL:
        outcomes = runner.run_row(
            row,
            chosen,
            rounds=options.rounds,
            workers=workers,
            quick=options.quick,
            timeout=options.timeout,
            tell=tell,
        )
        if outcomes:
            results["rows"][row.name] = outcomes
            print(report.row_text(row, outcomes), flush=True)
    results["environment"]["load_after"] = machine.load()
    return results


def main(arguments=None):
    """Run and write; the exit code is 1 if allcores itself hung or failed, whatever the peers did."""
    options = parse(arguments)
    results = run(options)
    print("\n".join(report.environment_lines(results)))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(report.page(results), encoding="utf-8")
        tell(f"wrote {options.markdown}")
    own = [outcomes.get(report.OWN, {}).get("status") for outcomes in results["rows"].values()]
    return 1 if {"hang", "error"} & set(own) else 0


if __name__ == "__main__":
    sys.exit(main())
