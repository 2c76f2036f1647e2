"""The profile works: its parts add up, its parsers read what the tools write. No figure is asserted; sizes are tiny."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # `bench` is not installed; `python -m pytest` in the checkout finds it by itself
    sys.path.insert(0, str(ROOT))

from bench.profile import samples, syscalls  # noqa: E402
from bench.profile.parts import Stopwatch  # noqa: E402
from bench.profile.rounds import typical, typical_each  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the counters are those of Linux")


def run(*arguments):
    """Run this Python in the checkout; generous with time, for the machine may be busy."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=100, check=False)


def profile(*arguments):
    """Run ``python -m bench.profile``, the quickest way."""
    return run("-m", "bench.profile", "--quick", "--alone", "--rounds=1", "--workers=2", "--markdown", *arguments)


def tables_of(work):
    """The tables that it prints for a work: their lines below the head, as ``(first cell, second cell)``, by title."""
    done = profile(work)
    assert done.returncode == 0, done.stderr
    found = {}
    for table in done.stdout.split("\n### ")[1:]:
        title, _, rest = table.partition("\n")
        lines = rest.strip().split("\n\n")[0].splitlines()[2:]
        found[title] = [tuple(cell.strip() for cell in line.strip("|").split("|")[:2]) for line in lines]
    return found


def number(text):
    """What a cell says."""
    return float(text.replace(",", ""))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("work", ["flood", "map"])
def test_the_parts_of_each_side_add_up_and_what_is_left_has_a_line(work):
    tables = tables_of(work)
    for side in ("The parent", "The workers"):
        lines = [(part, number(cost)) for part, cost in tables[side]]
        *parts, (_, alone), (_, left), (_, real) = lines
        rounding = 0.051 * len(lines)  # figures of ten and more have one digit behind the point
        outer = [cost for part, cost in parts if not part.startswith("–")]
        assert len(outer) >= 5
        assert sum(outer) == pytest.approx(alone, abs=rounding)
        assert alone + left == pytest.approx(real, abs=rounding)


@pytest.mark.timeout(120)
def test_the_stretches_of_a_lone_call_are_the_call():
    tables = tables_of("lone")
    *stretches, (_, whole) = tables["A lone call, by stretch"]
    costs = [number(cost) for _, cost in stretches]
    assert len(costs) == 4
    assert all(cost > 0 for cost in costs)
    assert max(costs) < number(whole)
    kinds = dict(tables["A lone call, by kind"])
    assert number(kinds["in one thread"]) == pytest.approx(number(whole), abs=0.1)


@pytest.mark.timeout(120)
def test_the_start_of_a_program_has_all_its_stages():
    *stages, (_, whole) = tables_of("start")["Until the first result"]
    assert len(stages) == 5
    assert sum(number(cost) for _, cost in stages) == pytest.approx(number(whole), abs=0.3)


COUNTING = """
import allcores
from bench.profile import accounts, syscalls
from bench.profile.works import LONE
with allcores.Pool(1) as pool:
    LONE.run(pool, 50)
    for calls in syscalls.counts(accounts.workers_of(pool), lambda: LONE.run(pool, 100)).values():
        print(sum(calls.values()))
"""


@pytest.mark.timeout(120)
@pytest.mark.skipif(not syscalls.available(), reason="strace is not installed, or may not be used")
def test_a_lone_call_makes_two_system_calls_on_each_side():
    done = run("-c", COUNTING)
    assert done.returncode == 0, done.stderr
    # A few calls are the garbage collector's, or fall between the marks.
    assert [int(line) for line in done.stdout.split()] == [pytest.approx(200, abs=10), pytest.approx(200, abs=10)]


def test_a_work_that_there_is_not_is_named():
    done = profile("nonsense")
    assert done.returncode == 2
    assert "nonsense: choose from flood, lone, map, start" in done.stderr


def test_a_stopwatch_takes_inner_parts_off_outer_ones(monkeypatch):
    ticks = iter([0, 10, 15, 100])
    monkeypatch.setattr("bench.profile.parts.thread_time_ns", lambda: next(ticks))
    watch = Stopwatch()
    with watch.part("outer"):
        watch.timed(lambda: None, "inner")()
    assert watch.spent == {"outer": 95, "inner": 5}


def test_the_typical_round_is_the_lower_quartile():
    assert typical([5, 1, 4, 2, 3]) == 2
    assert typical([7]) == 7
    assert typical_each([{"a": 1}, {"b": 2}, {"a": 3, "b": 4}]) == {"a": 0, "b": 0}
    assert typical_each([[1, 9], [2, 8]]) == [1, 8]


def test_system_calls_are_counted_between_the_marks_and_for_known_threads_only():
    log = [
        "7 read(3, ..., 4096) = 5",
        "7 getppid() = 1",
        "7 recvfrom(5,  <unfinished ...>",
        '8 sendto(6, ""..., 48, 0, NULL, 0) = 48',
        '7 <... recvfrom resumed>""..., 65536, 0, NULL, NULL) = 48',
        "9 write(1, ..., 1) = 1",
        "8 +++ exited with 0 +++",
        "7 getppid() = 1",
        "7 read(3, ..., 4096) = 5",
    ]
    assert syscalls._counted(log, {7: 70, 8: 80}) == {70: {"recvfrom": 1}, 80: {"sendto": 1}}


@pytest.mark.parametrize(
    ("symbol", "library", "kind"),
    [
        ("save_tuple", "/usr/lib/python3.11/lib-dynload/_pickle.cpython-311-x86_64-linux-gnu.so", "pickling"),
        ("finish_task_switch.isra.0", "[kernel.kallsyms]", "kernel: switching, waking up"),
        ("unix_stream_read_generic", "[kernel.kallsyms]", "kernel: the rest"),
        ("gc_collect_main", "/usr/lib/libpython3.11.so.1.0", "garbage collection"),
        ("_PyEval_EvalFrameDefault", "/usr/bin/python3.11", "interpreter: the evaluation loop"),
        ("_PyObject_Malloc", "/usr/bin/python3.11", "memory: objects made and freed"),
        ("_PyType_Lookup", "/usr/bin/python3.11", "interpreter: calls, look-ups and other"),
    ],
)
def test_a_sample_belongs_to_the_kind_of_its_symbol(symbol, library, kind):
    assert samples._kind(symbol, library) == kind
