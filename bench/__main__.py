"""The command line: ``python -m bench``."""

import argparse
import json
import pathlib
import sys

from bench import machine, page, peers, plot, report, rows, runner

DOCS = runner.ROOT / "docs"
PAGE, DATA, PICTURE = DOCS / "benchmarks.md", DOCS / "benchmarks.json", DOCS / "benchmarks.svg"


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


def seconds(text):
    """A parser for a time above 0."""
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError("more than 0 seconds are needed")
    return number


def results_file(text):
    """A parser for the name of a file that `--json` has written."""
    try:
        results = json.loads(pathlib.Path(text).read_text(encoding="utf-8"))
        unknown = results["rows"].keys() - rows.BY_NAME.keys()
        page.environment_lines(results)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise argparse.ArgumentTypeError(f"{text} is no file of results ({error!r})") from None
    if unknown:
        raise argparse.ArgumentTypeError(f"{text} has rows that are not known here: {', '.join(sorted(unknown))}")
    return results


def parse(arguments):
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure allcores against its peers. Without --rows, --peers or --quick the files below docs/ are "
        "written, unless others are named.",
        epilog=f"Rows: {', '.join(rows.BY_NAME)}. Peers: {', '.join(peers.BY_SLUG)}.",
    )
    add = parser.add_argument
    add("--rows", type=names(rows.BY_NAME), metavar="ROW,…", help="default: all")
    add("--peers", type=names(peers.BY_SLUG), metavar="PEER,…", help="default: all")
    add("--rounds", type=positive, default=3, help="how often each is measured (default: 3)")
    add("--workers", type=positive, help="default: the usable cores")
    add("--limit", type=seconds, default=1.0, help="seconds that a row's work may take a peer; who is slower is given "
        "less of it (default: 1)")  # fmt: skip
    add("--patience", type=seconds, default=5, help="seconds of a row after which a peer has no more rounds of it, but "
        "for allcores and those that a goal names (default: 5)")  # fmt: skip
    add("--timeout", type=seconds, default=60, help="seconds after which a measurement is a hang (default: 60)")
    add("--quick", action="store_true", help="tiny sizes: to see that it works, not to be quoted")
    add("--json", type=pathlib.Path, metavar="FILE", help=f"write the results there (default: docs/{DATA.name})")
    add("--markdown", type=pathlib.Path, metavar="FILE", help="write the page there; in a page that is there already, "
        f"what has been measured is replaced and the rest is kept (default: docs/{PAGE.name})")  # fmt: skip
    add("--plot", type=pathlib.Path, metavar="FILE", help="draw the ratios there, and how cost grows beside it; .svg "
        f"or .png (default: docs/{PICTURE.name})")  # fmt: skip
    add("--results", type=results_file, metavar="FILE", help="take these results, which --json has written, and "
        "measure nothing")  # fmt: skip
    add("--also", type=results_file, metavar="FILE", action="append", default=[], help="a section in the page for "
        "results from another machine, or another time; may be repeated")  # fmt: skip
    options = parser.parse_args(arguments)
    if not (options.rows or options.peers or options.quick or options.results):
        options.json = options.json or DATA
        options.markdown = options.markdown or PAGE
        options.plot = options.plot or PICTURE
    return options


def tell(message):
    """Progress, apart from the result."""
    print(message, file=sys.stderr, flush=True)


def run(options):
    """Measure everything that was asked for, printing each row as soon as it is complete."""
    chosen = options.peers or list(peers.ALL)
    settings = runner.Settings(
        rounds=options.rounds,
        workers=options.workers or machine.usable_cores(),
        quick=options.quick,
        timeout=options.timeout,
        limit=options.limit,
        patience=options.patience,
        tell=tell,
    )
    results = {
        "environment": machine.describe(chosen),
        "settings": {name: getattr(settings, name) for name in ("workers", "rounds", "quick", "limit", "patience")},
        "rows": {},
    }
    for row in options.rows or rows.ALL:
        outcomes = runner.run_row(row, chosen, settings)
        if outcomes:
            results["rows"][row.name] = outcomes
            print(report.row_text(row, outcomes), flush=True)
    results["environment"]["load_after"] = machine.load()
    return results


def draw(results, path):
    """Draw the pictures; returns what the page needs to show them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_stem(f"{path.stem}-growth")
    wanted = (
        (plot.ratios, path, "How many times better allcores is, row by row"),
        (plot.growing, beside, "How the cost of a task grows with tasks and with workers"),
    )
    pictures = [(title, file.name) for picture, file, title in wanted if picture(results, file)]
    for _, name in pictures:
        tell(f"wrote {path.with_name(name)}")
    return pictures


def write(options, results):
    """Write the files that were asked for."""
    pictures = []
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        tell(f"wrote {options.json}")
    if options.plot:
        pictures = draw(results, options.plot)
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        old = options.markdown.read_text(encoding="utf-8") if options.markdown.exists() else ""
        text = page.insert(page.measured(results, options.also, pictures), old)
        options.markdown.write_text(text, encoding="utf-8")
        tell(f"wrote {options.markdown}")


def main(arguments=None):
    """Run and write; the exit code is 1 if allcores itself hung or failed, whatever the peers did."""
    options = parse(arguments)
    if options.plot:
        plot.load()  # if it cannot draw, let it say so now and not in a quarter of an hour
    results = options.results or run(options)
    print("\n".join(page.environment_lines(results)))
    write(options, results)
    own = [outcomes.get(runner.OWN, {}).get("status") for outcomes in results["rows"].values()]
    return 1 if {"hang", "error"} & set(own) else 0


if __name__ == "__main__":
    sys.exit(main())
