"""The command line: ``python -m bench.counting``."""

import argparse
import json
import pathlib
import subprocess
import sys
import time

from bench import machine
from bench.__main__ import names, positive
from bench.counting import page, plot, programs, rows, runner


def parse(arguments):
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.counting",
        description="Measure `allcores count` beside wc and the tutorials' way. Needs some 2 GB for its files.",
        epilog=f"Rows: {', '.join(rows.BY_NAME)}. Programs: {', '.join(programs.BY_SLUG)}.",
    )
    add = parser.add_argument
    add("--rows", type=names(rows.BY_NAME), metavar="ROW,…", default=list(rows.ALL), help="default: all")
    add("--programs", type=names(programs.BY_SLUG), metavar="PROGRAM,…", default=list(programs.ALL))
    add("--rounds", type=positive, default=5, help="how often each is measured (default: 5)")
    add("--timeout", type=float, default=120, help="seconds after which a measurement is a hang (default: 120)")
    add("--quick", action="store_true", help="tiny sizes: to see that it works, not to be quoted")
    add("--json", type=pathlib.Path, metavar="FILE", help="write the raw results there")
    add("--markdown", type=pathlib.Path, metavar="FILE", help="write the page there, and its plot beside it as .svg")
    return parser.parse_args(arguments)


def tell(message):
    """Progress, apart from the result."""
    print(message, file=sys.stderr, flush=True)


def help_ms(rounds):
    """How long the help takes to appear, in milliseconds."""
    command = [*programs.Allcores().command("", None)[:2], "--help"]
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        found.append((time.perf_counter() - began) * 1e3)
    return found


def main(arguments=None):
    """Measure, print, write; the exit code is 1 if allcores itself hung or failed."""
    options = parse(arguments)
    from allcores.jobs.count.kernel import kernel_name

    results = {
        "environment": machine.describe([]),
        "kernel": kernel_name,
        "rounds": options.rounds,
        "quick": options.quick,
        "help_ms": help_ms(options.rounds),
        "rows": {},
    }
    chosen = {program.slug for program in options.programs}
    for row in options.rows:
        outcomes = runner.run_row(
            row, chosen, rounds=options.rounds, quick=options.quick, timeout=options.timeout, tell=tell
        )
        results["rows"][row.name] = outcomes
        print(page.row_text(row, outcomes), flush=True)
    results["environment"]["load_after"] = machine.load()
    print("\n".join(page.environment_lines(results)))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.markdown:
        picture = options.markdown.with_suffix(".svg")
        plot.draw(results, picture)
        options.markdown.write_text(page.page(results, picture.name), encoding="utf-8")
        tell(f"wrote {options.markdown}")
    own = [outcomes.get("allcores", {}).get("status", "ok") for outcomes in results["rows"].values()]
    return 1 if {"hang", "error"} & set(own) else 0


if __name__ == "__main__":
    sys.exit(main())
