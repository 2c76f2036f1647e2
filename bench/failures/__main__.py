"""The command line: ``python -m bench.failures``."""

import argparse
import json
import pathlib
import sys

from bench import machine
from bench.__main__ import names
from bench.failures import cases, libraries, runner, table


def parse(arguments):
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.failures",
        description="Let pools and locks fail, and see what becomes of it.",
        epilog=f"Cases: {', '.join(cases.BY_NAME)}. Peers: {', '.join(libraries.BY_SLUG)}.",
    )
    add = parser.add_argument
    add("--only", type=names(cases.BY_NAME), metavar="CASE,…", help="default: all")
    add("--peers", type=names(libraries.BY_SLUG), metavar="PEER,…", help="default: all, allcores included")
    add("--limit", type=float, default=20, help="seconds after which a case is a hang (default: 20)")
    add("--json", type=pathlib.Path, metavar="FILE", help="write the raw outcomes there")
    add("--markdown", type=pathlib.Path, metavar="FILE", help="write the table there")
    return parser.parse_args(arguments)


def tell(message):
    """Progress, apart from the result."""
    print(message, file=sys.stderr, flush=True)


def main(arguments=None):
    """Run, print the table and write it; the exit code is 1 where allcores itself did not do right."""
    options = parse(arguments)
    chosen = options.peers or list(libraries.ALL)
    results = {
        "environment": machine.describe(chosen),
        "limit": options.limit,
        "cases": runner.run_all(options.only or cases.ALL, chosen, options.limit, tell),
    }
    text = table.markdown(results)
    print(text, end="")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    own = [outcomes.get("allcores", {"right": True})["right"] for outcomes in results["cases"].values()]
    return 0 if all(own) else 1


if __name__ == "__main__":
    sys.exit(main())
