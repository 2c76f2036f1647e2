"""The first result of a program: what happened when, in a fresh interpreter."""

import itertools
import json
import os
import subprocess
import sys

from bench import runner

#: What happens between two marks, in the order of the marks that `_PROGRAM` sets.
STAGES = (
    "importing `Pool`",
    "making the pool, which starts the template",
    "until the worker has been forked: the template's interpreter starts and imports",
    "until the worker is ready: its set-up",
    "until the result is there",
)

_PROGRAM = """\
from time import perf_counter_ns
marks = [perf_counter_ns()]
from allcores import Pool
marks.append(perf_counter_ns())
from allcores.engine.scheduler import Scheduler
from allcores.lanes.process_lane import ProcessLane

def marked(method):
    def wrapper(*arguments):
        marks.append(perf_counter_ns())
        return method(*arguments)
    return wrapper

ProcessLane.started = marked(ProcessLane.started)
Scheduler.lane_ready = marked(Scheduler.lane_ready)
pools = int(__import__("sys").argv[1])
for _ in range(pools):
    pool = Pool(1)
    marks.append(perf_counter_ns())
    pool.apply(abs, (-1,))
    marks.append(perf_counter_ns())
    pool.close()
    pool.join()
    if _ + 1 < pools:
        marks[1:] = [perf_counter_ns()]
print(marks)
"""

#: For comparison: interpreters that do next to nothing, and one that imports what the template does.
_ALONE = (
    ("an interpreter that does nothing", "pass"),
    ("one that imports what the template imports", "import allcores.lanes.start.template_main"),
    ("one that imports `Pool`", "from allcores import Pool"),
)


def _run(*arguments):
    # Not with a bytecode cache that may not be written: every start would compile the library anew.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True, env=environment, cwd=runner.ROOT
    ).stdout


def timeline(pools=1):
    """Start a program that makes a pool, or several in turn.

    Returns:
        For the last pool, milliseconds of each of `STAGES`; the first one is 0 where that is not the first pool.
    """
    marks = json.loads(_run("-c", _PROGRAM, str(pools)))
    stages = [(later - earlier) / 1e6 for earlier, later in itertools.pairwise(marks)]
    return stages if pools == 1 else [0.0, *stages[1:]]


def alone():
    """Whole interpreters, in milliseconds of CPU: ``(title, cost)`` for each of `_ALONE`."""
    timed = "import time; {}; print(time.process_time_ns())"
    return [(title, int(_run("-c", timed.format(code))) / 1e6) for title, code in _ALONE]
