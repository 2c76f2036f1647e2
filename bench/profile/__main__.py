"""The command line: ``python -m bench.profile``."""

import argparse
import functools
import sys

from bench import machine
from bench.__main__ import positive
from bench.profile import views
from bench.profile.works import FLOOD, LONE, MAP

#: By name: title, and what measures it.
WORKS = {
    FLOOD.name: (FLOOD.title, functools.partial(views.bulk, FLOOD)),
    LONE.name: (LONE.title, functools.partial(views.lone, LONE)),
    MAP.name: (MAP.title, functools.partial(views.bulk, MAP)),
    "start": ("The first result", views.first),
}


def parse(arguments):
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.profile",
        description="Where the time of allcores goes. Linux only; strace and perf are used where they are installed.",
    )
    add = parser.add_argument
    add("works", nargs="*", metavar="WORK", help=f"any of {', '.join(WORKS)} (default: all)")
    add("--rounds", type=positive, default=9, help="how often each is measured (default: 9)")
    add("--workers", type=positive, default=machine.usable_cores(), help="default: the usable cores")
    add("--quick", action="store_true", help="tiny sizes: to see that it works, not to be quoted")
    add("--alone", action="store_true", help="without strace and perf, also where they are installed")
    add("--markdown", action="store_true", help="print tables as Markdown")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.works if name not in WORKS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: choose from {', '.join(WORKS)}")
    if sys.platform != "linux":
        parser.error("this needs the counters that Linux keeps in /proc")
    return options


def main(arguments=None):
    """Measure and print."""
    options = parse(arguments)
    place = machine.describe(())
    print(f"{place['date']}; {place['cpu']}, {place['cores']} usable cores; {place['kernel']}; {place['python']}")
    print(f"{options.workers} workers, rounds: {options.rounds}, load average {place['load_before']}\n")
    effort = views.Effort(options.rounds, options.workers, 100 if options.quick else 1, not options.alone)
    for name in options.works or WORKS:
        title, measure = WORKS[name]
        print(f"## {title}\n" if options.markdown else f"{title}\n{'=' * len(title)}\n", flush=True)
        for table in measure(effort):
            print(table.text(options.markdown), flush=True)
    print(f"load average at the end: {machine.load()}")


if __name__ == "__main__":
    sys.exit(main())
