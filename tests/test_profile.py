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


def profile(*arguments):
    """Run ``python -m bench.profile``."""
    command = [sys.executable, "-m", "bench.profile", "--quick", "--rounds=1", "--workers=2", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=50, check=False)


def lines_of(text, title):
    """The lines of the table below a title, as ``(first cell, second cell)``."""
    table = text.split(f"### {title}\n", 1)[1].strip().split("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return [(line[0], line[1]) for line in cells]


@pytest.fixture(scope="module")
def profiled():
    """What it prints for all works, in Markdown."""
    done = profile("--markdown")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("work", ["Flood of `apply_async`", "`map` of integers"])
@pytest.mark.parametrize("side", ["The parent", "The workers"])
def test_the_parts_of_a_side_add_up_and_what_is_left_has_a_line(profiled, work, side):
    lines = lines_of(profiled.split(f"## {work}\n", 1)[1], side)
    cost = {part: float(number.replace(",", "")) for part, number in lines}
    real, left, alone = (cost.pop(part) for part in list(cost)[:-4:-1])
    parts = [number for part, number in cost.items() if not part.startswith("–")]
    digits = 0.051 * len(cost)  # of figures that are rounded to a tenth of a microsecond, if large
    assert sum(parts) == pytest.approx(alone, abs=digits)
    assert alone + left == pytest.approx(real, abs=digits)


def test_the_stretches_of_a_lone_call_are_the_call(profiled):
    lines = lines_of(profiled, "A lone call, by stretch")
    *stretches, whole = (float(number.replace(",", "")) for _, number in lines)
    assert len(stretches) == 4
    assert all(stretch > 0 for stretch in stretches)
    assert sum(stretches) == pytest.approx(whole, rel=0.5)  # of medians, column by column


def test_the_start_of_a_program_has_all_its_stages(profiled):
    costs = [float(number) for _, number in lines_of(profiled, "Until the first result")]
    assert len(costs) == 6
    assert sum(costs[:-1]) == pytest.approx(costs[-1], abs=0.3)


@pytest.mark.skipif(not syscalls.available(), reason="strace is not installed, or may not be used")
def test_a_lone_call_makes_two_system_calls_on_each_side(profiled):
    lines = lines_of(profiled.split("## Lone `apply`\n", 1)[1], "System calls, by strace")
    assert {"sendto", "recvfrom"} <= dict(lines).keys()
    assert float(dict(lines)["sendto"]) == pytest.approx(1, abs=0.1)


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
