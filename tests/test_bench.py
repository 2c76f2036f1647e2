"""The benchmark harness works: a fair start for all, peers that are missing, fail or hang, honest tables and plots.

No timing is asserted; the sizes are tiny.
"""

import copy
import json
import mmap
import os
import pathlib
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # `bench` is not installed; `python -m pytest` in the checkout finds it by itself
    sys.path.insert(0, str(ROOT))

from bench import __main__ as cli  # noqa: E402
from bench import page, peers, processes, procfs, report, results, rows, runner, tables, tasks  # noqa: E402
from bench.rows.base import Goal, Metric, Row, affordable, median, paced  # noqa: E402
from bench.rows.busy import ideal  # noqa: E402
from bench.rows.streams import Drawn  # noqa: E402

# The quick run below starts some forty interpreters.
pytestmark = pytest.mark.timeout(150)


def bench(*arguments, timeout=120):
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory):
    """A quick run of every row with the peers that every Python has: what it printed, its JSON, its page."""
    folder = tmp_path_factory.mktemp("bench")
    programs = "tutorial-patches,vectorised,subimages,bare-write"
    chosen = f"--peers=allcores,multiprocessing,manager,connection,memcpy,serial,forks,{programs}"
    files = [f"--json={folder / 'results.json'}", f"--markdown={folder / 'page.md'}"]
    done = bench("--quick", "--rounds=1", "--workers=2", chosen, *files)
    assert done.returncode == 0, done.stderr
    measured = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return done.stdout, measured, (folder / "page.md").read_text(encoding="utf-8"), folder / "results.json"


# The whole of it


def test_every_row_has_a_number_of_every_metric(quick_run):
    _, measured, *_ = quick_run
    assert list(measured["rows"]) == [row.name for row in rows.ALL]
    rivals = {
        "patches": "tutorial-patches",
        "plain-patches": "vectorised",
        "many-patches": "vectorised",
        "crops": "subimages",
    }
    for name, outcomes in measured["rows"].items():
        assert {"allcores", rivals.get(name, "multiprocessing")} <= set(outcomes)
        for slug, outcome in outcomes.items():
            if slug not in ("allcores", rivals.get(name)) and rows.BY_NAME[name].subject == "patches":
                continue  # a program does one of these jobs
            assert (name, slug, outcome["status"], outcome["note"]) == (name, slug, "ok", "")
            assert len(outcome["rounds"]) == 1
            (values,) = outcome["rounds"]
            # The growth row's size is that of its largest flood, and a quick one has no larger ones.
            wanted = {metric.key for metric in rows.BY_NAME[name].metrics if name != "growth"} or {"tasks1000"}
            assert wanted <= values.keys()
            assert all(number >= 0 for number in values.values())


def test_a_floor_is_in_the_rows_that_it_is_a_floor_of(quick_run):
    _, measured, *_ = quick_run
    taking_part = {
        slug: [name for name, outcomes in measured["rows"].items() if slug in outcomes]
        for slug in ("connection", "memcpy", "serial", "forks", "bare-write")
    }
    assert taking_part == {
        "connection": ["lone", "start", "second"],
        "memcpy": ["argument", "result"],
        "serial": ["map", "start"],
        "forks": ["speedup"],
        "bare-write": ["plain-patches", "many-patches"],
    }


def test_locks_are_compared_with_locks_and_pools_with_pools(quick_run):
    _, measured, written, _ = quick_run
    for name, outcomes in measured["rows"].items():
        assert ("manager" in outcomes) == (rows.BY_NAME[name].subject == "locks")
    tables_at_a_glance = written.partition("## At a glance")[2].partition("\n## ")[0]
    heads = [line for line in tables_at_a_glance.splitlines() if line.startswith("|  | allcores |")]
    assert [("multiprocessing.Manager" in head) for head in heads] == [False, True, False]


def test_a_library_without_locks_is_not_mentioned_among_them():
    outcomes = run_row(rows.BY_NAME["event"], [peers.Futures, peers.Serial, peers.Ray])
    assert outcomes == {}


def test_the_page_and_the_terminal_name_the_machine_and_every_row(quick_run):
    text, measured, written, _ = quick_run
    for words in (text, written):
        assert measured["environment"]["date"] in words
        assert "usable cores" in words
        assert "QUICK" in words
        for row in rows.ALL:
            assert row.title.replace("`", "") in words.replace("`", "")
    assert "What was called" in written


def test_the_page_tells_of_every_goal_of_the_design(quick_run):
    *_, written, _ = quick_run
    lines = [line for line in written.partition("## Goals")[2].partition("## At a glance")[0].splitlines() if line]
    assert len(lines) == 2 + sum(len(row.goals) for row in rows.ALL)
    assert {line.split("|")[-2].strip() for line in lines[2:]} <= {"reached", "**not reached**", "not measured"}


def test_a_plot_is_drawn_of_results_that_were_kept(quick_run, tmp_path):
    pytest.importorskip("matplotlib", reason="the plot needs matplotlib, of the bench extra")
    *_, data = quick_run
    pictures = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for picture in pictures:
        done = bench(f"--results={data}", f"--plot={picture}", f"--markdown={tmp_path / 'page.md'}")
        assert (done.returncode, done.stdout.count("usable cores")) == (0, 1), done.stderr
    one, two = (picture.read_text(encoding="utf-8") for picture in pictures)
    assert one == two
    assert "multiprocessing" in one
    for row in rows.ALL:
        is_shown = any(metric.at_a_glance for metric in row.metrics)
        assert (row.title.replace("`", "") in one) == is_shown
    assert (tmp_path / "one-growth.svg").exists()
    shown = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "](two.svg)" in shown
    assert "](two-growth.svg)" in shown


def test_without_matplotlib_a_plot_is_refused_before_anything_is_measured(tmp_path):
    code = "import sys; sys.modules['matplotlib'] = None; from bench.__main__ import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, "--rows=lone", "--plot", str(tmp_path / "plot.svg")],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "the plot needs matplotlib: pip install 'allcores[bench]'\n"
    assert done.stdout == ""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_row_runs_to_its_end_with_every_peer_that_is_here(tmp_path):
    data = tmp_path / "results.json"
    done = bench("--quick", "--rounds=1", "--workers=2", f"--json={data}", timeout=380)
    assert done.returncode == 0, done.stderr
    for name, outcomes in json.loads(data.read_text(encoding="utf-8"))["rows"].items():
        for slug, outcome in outcomes.items():
            assert outcome["status"] in ("ok", "unable", "absent"), (name, slug, outcome)
            assert outcome["rounds"] or outcome["note"], (name, slug)


def test_a_peer_is_measured_before_anything_has_been_imported_for_it():
    """The start-up rows would flatter whoever imports what the harness had imported already."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import bench.one; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, encoding="utf-8", check=True)
    heavy = {"multiprocessing", "pickle", "inspect", "json", "re", "typing", "threading", "dataclasses", "functools"}
    assert heavy & set(done.stdout.split()) == set()


# Running


class Absent(peers.Multiprocessing):
    slug = "multiprocessing"
    module = "a_library_that_is_not_installed.inside"


def run_row(row, chosen, told=None, **changes):
    settings = runner.Settings(rounds=2, workers=2, quick=True, timeout=30, tell=(told or []).append)
    return runner.run_row(row, chosen, settings._replace(**changes))


def test_the_peers_take_turns_in_every_round():
    told = ["so that it is not empty"]
    outcomes = run_row(rows.BY_NAME["map"], [peers.Multiprocessing, peers.Serial], told)
    assert told[1:] == [
        f"map: round {number} of 2, {peer.title}" for number in (1, 2) for peer in (peers.Multiprocessing, peers.Serial)
    ]
    assert [len(outcome["rounds"]) for outcome in outcomes.values()] == [2, 2]


def test_who_takes_too_long_has_no_more_rounds_but_allcores_and_the_peers_of_goals_have_them_all(monkeypatch):
    monkeypatch.setattr(runner, "measure_once", lambda *_: {"status": "ok", "values": {"task": 1.0}})
    row = rows.BY_NAME["map"]
    chosen = [peers.Allcores, peers.Multiprocessing, peers.Serial]
    outcomes = run_row(row, chosen, rounds=3, patience=0.0)
    rounds = {slug: len(outcome["rounds"]) for slug, outcome in outcomes.items()}
    assert rounds == {"allcores": 3, "multiprocessing": 3, "serial": 1}
    assert [line[-1] for line in report.lines(outcomes, row.metrics[0])] == ["", "", "for reference; 1 round"]


def test_a_missing_peer_is_absent_and_no_failure():
    outcomes = run_row(rows.BY_NAME["lone"], [Absent])
    assert outcomes["multiprocessing"]["status"] == "absent"
    text = report.row_text(rows.BY_NAME["lone"], outcomes)
    assert "Not in this row: multiprocessing: not installed." in text


@pytest.mark.parametrize(("name", "peer"), [("endless", peers.Dask), ("growth", peers.Loky), ("share", peers.Billiard)])
def test_a_competitor_that_cannot_take_part_or_is_left_out_is_named_with_the_reason(name, peer):
    row = rows.BY_NAME[name]
    outcomes = run_row(row, [peer])
    assert outcomes[peer.slug]["status"] == "unable"
    assert f"Not in this row: {peer.title}: {row.reason_without(peer)}." in report.row_text(row, outcomes)


def test_an_operation_that_a_row_needs_and_a_peer_lacks_is_named():
    assert rows.BY_NAME["endless"].reason_without(peers.Connection) == "has no `ordered`"
    assert run_row(rows.BY_NAME["endless"], [peers.Connection]) == {}


def test_a_measurement_that_turns_out_to_be_impossible_is_no_failure(tmp_path, monkeypatch):
    """As on a system without Linux's /proc, which the row on idle pools reads."""
    (tmp_path / "sitecustomize.py").write_text("from bench import procfs\nprocfs.is_there = lambda: False\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    row = rows.BY_NAME["idle"]
    outcomes = run_row(row, [peers.Allcores])
    assert (outcomes["allcores"]["status"], outcomes["allcores"]["rounds"]) == ("unable", [])
    assert "Not in this row: allcores: needs Linux's /proc." in report.row_text(row, outcomes)


def test_a_hang_is_bounded_reported_and_not_repeated():
    told = ["so that it is not empty"]
    outcomes = run_row(rows.BY_NAME["lone"], [peers.Multiprocessing], told, timeout=0.01)
    assert outcomes["multiprocessing"]["status"] == "hang"
    assert len(told[1:]) == 1
    assert "hang: no end within 0.01 s" in report.row_text(rows.BY_NAME["lone"], outcomes)


def test_a_failing_peer_is_reported_with_the_last_line_of_its_error():
    class WithSuchAnOperation(peers.Serial):
        def flood(self, f, n):
            """Seen here, and not in the process that measures."""

    outcomes = run_row(rows.BY_NAME["flood"], [WithSuchAnOperation])
    assert outcomes["serial"]["status"] == "error"
    assert outcomes["serial"]["note"] == "AttributeError: 'Serial' object has no attribute 'flood'"


def test_who_fails_once_is_tried_again_and_who_fails_twice_is_not(monkeypatch):
    ended = []

    def measure_once(row, peer, settings):
        ended.append(peer.slug)
        bad = {"status": "error", "note": "KeyError: 6199"}
        return bad if len(ended) in (2, 4) else {"status": "ok", "values": {"trip": 1.0}}

    monkeypatch.setattr(runner, "measure_once", measure_once)
    row = rows.BY_NAME["lone"]
    outcomes = run_row(row, [peers.Multiprocessing], rounds=9)
    assert len(ended) == 4
    assert len(outcomes["multiprocessing"]["rounds"]) == 2
    assert report.lines(outcomes, row.metrics[0])[0][-1] == "error: KeyError: 6199"


def test_a_watched_row_tells_the_peak_of_all_processes():
    row = rows.BY_NAME["share"]
    outcomes = run_row(row, [peers.Multiprocessing], rounds=1)
    (values,) = outcomes["multiprocessing"]["rounds"]
    assert values["peak"] > row.quick_size / procfs.MB


def test_what_a_peer_leaves_running_is_ended_also_where_it_has_left_the_session():
    code = """
import subprocess, sys
for own_session in (False, True):
    subprocess.Popen([sys.executable, '-c', 'input()'], start_new_session=own_session)
"""
    mark = f"test-{os.getpid()}"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, processes.MARK: mark},
    )
    with process:
        assert process.wait() == 0
        assert len(processes.members(process.pid, mark)) == 2
        processes.end_all(process.pid, mark)
        assert processes.members(process.pid, mark) == []


# How much is done


@pytest.mark.parametrize(
    ("n", "each_s", "limit_s", "fitting"),
    [
        (1_000, 0.001, 1, 1_000),
        (1_000, 0.001, 0.999, 500),
        (1_000, 0.001, 0.25, 200),
        (1_000, 0.001, 0.19, 100),
        (1_000, 2, 1, 1),
        (30, 0.0, 1, 30),
        (30, 0.1, 2.6, 20),
    ],
)
def test_what_is_affordable_goes_in_steps(n, each_s, limit_s, fitting):
    assert affordable(n, each_s, limit_s) == fitting


def test_who_is_quick_does_all_of_the_work_and_who_is_slow_less():
    sizes = []
    values = paced(sizes.append, 20_000, {"limit_ms": 60_000, "budget_ms": 0})
    assert (values["n"], sizes[0], sizes[-1]) == (20_000, 100, 20_000)

    def slow(n):
        sizes.append(n)
        time.sleep(n / 1_000)

    sizes.clear()
    values = paced(slow, 20_000, {"limit_ms": 150, "budget_ms": 0})
    assert values["n"] == 100
    assert set(sizes) == {100}
    assert values["task"] >= 1_000


def test_a_work_that_is_small_is_done_at_its_size():
    assert paced(lambda n: None, 7, {"limit_ms": 1, "budget_ms": 0})["n"] == 7


# What is benchmarked


def test_the_parts_of_an_array_make_the_whole_and_every_page_of_it_is_read():
    numpy = pytest.importorskip("numpy")
    pages = numpy.zeros(1_000 * tasks.PAGE // 8)
    pages[:: tasks.PAGE // 8] = 1
    for size in (pages.size, pages.size - 1):
        read = sum(tasks.part_sum(pages[:size], i) for i in range(tasks.PARTS))
        # Where a part does not begin with a page, it reads another number of that page: never fewer than one a page.
        assert read <= 1_000
    whole = numpy.ones(tasks.PARTS * tasks.PAGE)
    assert sum(tasks.part_sum(whole, i) for i in range(tasks.PARTS)) == whole.size / (tasks.PAGE / 8)
    assert tasks.part_sum(whole, 3) == tasks.part_sum(whole, 3 + tasks.PARTS)


def test_an_array_comes_back_with_its_stamp_on_the_first_page():
    pytest.importorskip("numpy")
    assert [tasks.pages_sum(tasks.made((10 * tasks.PAGE, stamp))) for stamp in (1, 0, 255)] == [10, 9, 264]


def test_an_endless_input_counts_what_is_drawn_and_ends_for_those_who_never_stop():
    drawn = Drawn(3)
    assert [len(next(drawn)), drawn.count] == [10_000, 1]
    assert len(list(drawn)) == 2
    assert drawn.count == 3


def test_nobody_is_quicker_than_the_ideal():
    assert ideal([3, 1, 1], 2) == 3
    assert ideal([1, 1, 1, 1], 2) == 2
    assert ideal([5], 4) == 5


def test_the_kernel_tells_of_memory_and_of_descendants():
    before, own, family = procfs.private(os.getpid()), procfs.own(os.getpid()), procfs.family_memory(os.getpid())
    block = bytearray(os.urandom(1)) * (32 * procfs.MB)
    assert procfs.private(os.getpid()) - before > 30 * procfs.MB
    assert procfs.own(os.getpid()) - own > 30 * procfs.MB
    assert procfs.family_memory(os.getpid()) - family > 30 * procfs.MB
    del block
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in procfs.descendants(os.getpid())
        child.kill()
    assert procfs.memory(child.pid) == (0, 0)
    assert procfs.descendants(child.pid) == []


def test_pages_of_shared_memory_are_nobodys_own():
    before, own = procfs.private(os.getpid()), procfs.own(os.getpid())
    descriptor = os.memfd_create("shared")
    try:
        os.ftruncate(descriptor, 32 * procfs.MB)
        for access in (mmap.ACCESS_WRITE, mmap.ACCESS_COPY):
            with mmap.mmap(descriptor, 32 * procfs.MB, access=access) as block:
                sum(block[:: tasks.PAGE])
                assert procfs.private(os.getpid()) - before > 30 * procfs.MB
                assert procfs.own(os.getpid()) - own < 5 * procfs.MB
                if access == mmap.ACCESS_COPY:
                    block[:] = b"1" * len(block)
                    assert procfs.own(os.getpid()) - own > 30 * procfs.MB
    finally:
        os.close(descriptor)


def test_the_kernel_counts_how_often_a_thread_has_waited():
    me = str(os.getpid())
    before = procfs.activity(os.getpid())[me]
    for _ in range(5):
        time.sleep(0.001)
    after = procfs.activity(os.getpid())[me]
    assert after[0] - before[0] >= 5
    assert after[1] > before[1]


# Words, tables, pages


def outcome(*values, status="ok", note="", n=10, key="cost"):
    return {"status": status, "note": note, "n": n, "rounds": [{key: value} for value in values]}


COST = Metric("cost", "a task", "µs")
SPEED = Metric("speed", "speed-up", "", higher_is_better=True)
ROW = Row(
    name="row",
    title="A row",
    about="{n} tasks.",
    operations=("lone",),
    measure=None,
    metrics=(COST,),
    size=10,
    quick_size=1,
    goals=(Goal("at least 3 × pebble", "cost", 3, "pebble"), Goal("at most 5 µs", "cost", 5)),
)
OUTCOMES = {
    "allcores": outcome(9, 10, 11),
    "multiprocessing": outcome(30, 41, 40),
    "futures": outcome(4, 5, 6, n=2),
    "loky": outcome(8, 9, 12),
    "mpire": outcome(status="hang", note="no end within 60 s"),
    "pebble": outcome(20, 20, 20),
    "billiard": outcome(status="absent", note="not installed"),
    "ray": outcome(status="unable", note="takes seconds to start"),
    "dask": outcome(status="unable", note="takes seconds to start"),
    "connection": outcome(2, 2),
}
ENVIRONMENT = {
    "date": "today",
    "cpu": "A | B",
    "cores": 16,
    "kernel": "Linux",
    "python": "CPython",
    "start_method": "fork",
    "load_before": 0,
    "load_after": 1,
    "versions": {},
}
SETTINGS = {"workers": 2, "rounds": 3, "quick": False}


@pytest.fixture
def a_run(monkeypatch):
    """Results with the row above."""
    monkeypatch.setitem(rows.BY_NAME, "row", ROW)
    return {"environment": ENVIRONMENT, "settings": SETTINGS, "rows": {"row": copy.deepcopy(OUTCOMES)}}


def test_the_advantage_is_the_ratio_of_the_medians():
    assert results.advantage(OUTCOMES, COST, "multiprocessing") == 4
    assert results.advantage(OUTCOMES, COST, "mpire") is None
    assert SPEED.advantage(8, 2) == 4


def test_nothing_is_endlessly_better_than_something_and_as_good_as_nothing():
    assert COST.advantage(0, 5) == float("inf")
    assert COST.advantage(5, 0) == 0
    assert COST.advantage(0, 0) == 1
    assert results.short(float("inf")) == "∞"


def test_a_peer_that_is_ahead_is_marked_and_a_floor_is_not():
    remarks = {line[0]: line[-1] for line in report.lines(OUTCOMES, COST)}
    assert remarks == {
        "allcores": "",
        "multiprocessing": "",
        "ProcessPoolExecutor": "AHEAD of allcores; on 2 items",
        "loky": "AHEAD of allcores, within the spread of the rounds",
        "mpire": "hang: no end within 60 s; 0 rounds",
        "pebble": "",
        "bare Connection ping-pong": "for reference; 2 rounds",
    }


def test_those_who_did_not_take_part_share_a_line_for_each_reason():
    assert report.missing(OUTCOMES) == [
        "Not in this row: billiard: not installed.",
        "Not in this row: Ray, Dask: takes seconds to start.",
    ]


def test_goals_say_whether_they_are_reached():
    assert report.goal_lines(ROW, OUTCOMES) == [
        "Goal: at least 3 × pebble: **not reached** (2 ×).",
        "Goal: at most 5 µs: **not reached** (10 µs).",
    ]
    assert report.goal_lines(ROW, {"pebble": outcome(20)}) == [
        "Goal: at least 3 × pebble: not measured.",
        "Goal: at most 5 µs: not measured.",
    ]
    floor = Goal("at most 1.5 × a ping-pong", "cost", 1 / 1.5, "connection")
    row = Row(**{**vars(ROW), "goals": (floor,)})
    assert report.goal_lines(row, OUTCOMES) == ["Goal: at most 1.5 × a ping-pong: **not reached** (5 ×)."]
    near = {**OUTCOMES, "connection": outcome(8)}
    assert report.goal_lines(row, near) == ["Goal: at most 1.5 × a ping-pong: reached (1.25 ×)."]


@pytest.mark.parametrize(
    ("metric", "bound", "value", "margin"),
    [(COST, 0, 0, 1), (COST, 0, 3, 0), (COST, 12, 4, 3), (SPEED, 0.95, 1.9, 2), (SPEED, 0.95, 0.475, 0.5)],
)
def test_a_bound_is_kept_by_a_margin(metric, bound, value, margin):
    goal = Goal("a bound", metric.key, bound)
    row = Row(**{**vars(ROW), "metrics": (metric,), "goals": (goal,)})
    found = results.verdict(row, {"allcores": outcome(value, key=metric.key)}, goal)
    assert found.margin == margin
    assert found.is_reached == (margin >= 1)


def test_the_summary_has_a_column_for_each_competitor(a_run):
    head, body = page.glance(a_run)
    assert head == (
        *("", "allcores", "multiprocessing", "ProcessPoolExecutor", "loky", "mpire", "pebble", "billiard"),
        *("Ray", "Dask", ""),
    )
    assert body == [
        (
            *("A row", "10 µs", "4 ×", "**0.5 ×**", "**0.9 ×**", "hang", "2 ×", "absent", "–", "–"),
            "ahead of allcores: ProcessPoolExecutor, loky",
        )
    ]


def test_many_metrics_can_stand_in_one_table():
    metrics = (Metric("few", "10 tasks", "µs"), Metric("many", "1,000 tasks", "µs"))
    row = Row(**{**vars(ROW), "metrics": metrics, "is_matrix": True})
    outcomes = {
        "allcores": {"status": "ok", "note": "", "n": 10, "rounds": [{"few": 1, "many": 2}]},
        "multiprocessing": {"status": "ok", "note": "", "n": 10, "rounds": [{"few": 4}]},
    }
    assert report.row_tables(row, outcomes) == [
        (
            ("", "10 tasks", "1,000 tasks", ""),
            [("allcores", "1", "2", ""), ("multiprocessing", "4 (4 ×)", "–", "")],
        )
    ]


def test_a_page_keeps_what_was_written_around_the_measured_part(a_run):
    first = page.insert(page.measured(a_run))
    assert first.startswith("# Benchmarks\n")
    written = first.replace("# Benchmarks\n", "# Benchmarks\n\nWhat it means.\n") + "\nAn afterword.\n"
    a_run["environment"] = {**ENVIRONMENT, "date": "tomorrow"}
    second = page.insert(page.measured(a_run), written)
    assert "What it means." in second
    assert second.endswith("An afterword.\n")
    assert "tomorrow" in second
    assert "today" not in second
    assert page.insert(page.measured(a_run), second) == second


def test_a_page_without_a_measured_part_keeps_all_that_it_has(a_run):
    text = page.insert(page.measured(a_run), "# Notes\n\nby hand\n")
    assert text.startswith("# Notes\n\nby hand\n\n" + page.BEGIN)


def test_another_machine_has_a_section_of_its_own(a_run):
    other = {**a_run, "environment": {**ENVIRONMENT, "cpu": "Z80", "cores": 1}}
    text = page.measured(a_run, [other], [("A picture", "picture.svg")])
    assert "## On another machine: Z80, 1 cores" in text
    assert text.count("## A row") == 2
    assert "### A row" in text
    assert "![A picture](picture.svg)" in text


def test_another_time_has_a_section_that_says_so(a_run):
    other = {**a_run, "environment": {**ENVIRONMENT, "date": "tomorrow"}}
    assert "## On the same machine, at another time: row\n" in page.measured(a_run, [other])


def test_a_bar_in_a_cell_does_not_end_it():
    assert tables.markdown(("", "a"), [("b", "c|d")]) == "|  | a |\n| :-- | :-- |\n| b | c\\|d |"


# The command line


def test_rows_and_peers_are_chosen_by_name_in_the_order_of_the_tables():
    options = cli.parse(["--rows", "lone,flood", "--peers", "loky,allcores"])
    assert [row.name for row in options.rows] == ["flood", "lone"]
    assert [peer.slug for peer in options.peers] == ["allcores", "loky"]


@pytest.mark.parametrize(
    "arguments", [["--rows", "flod"], ["--peers", ""], ["--rounds", "0"], ["--results", "/nowhere"], ["--limit", "0"]]
)
def test_wrong_usage_is_refused_with_the_names_that_there_are(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.parse(arguments)
    assert stop.value.code == 2
    assert f"error: argument {arguments[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["no json", "[]", "{}", '{"rows": {"unheard": {}}}'])
def test_a_file_that_holds_no_results_is_refused(content, tmp_path, capsys):
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(SystemExit):
        cli.parse(["--results", str(path)])
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--quick"], ["--rows", "flood"], ["--peers", "loky"]])
def test_a_part_of_the_benchmarks_does_not_replace_the_page_of_the_whole(arguments):
    options = cli.parse(arguments)
    assert (options.markdown, options.json, options.plot) == (None, None, None)
    whole = cli.parse([])
    assert whole.markdown == ROOT / "docs" / "benchmarks.md"
    assert whole.json == ROOT / "docs" / "benchmarks.json"
    assert whole.plot == ROOT / "docs" / "benchmarks.svg"


def test_the_median_of_an_even_number_lies_between_the_middle_two():
    assert (median([3, 1, 2]), median([4, 1, 2, 3])) == (2, 2.5)


def test_slugs_row_names_and_metrics_are_unique():
    assert len(peers.BY_SLUG) == len(peers.ALL)
    assert len(rows.BY_NAME) == len(rows.ALL)
    for row in rows.ALL:
        assert len({metric.key for metric in row.metrics}) == len(row.metrics)
        assert {goal.metric for goal in row.goals} <= {metric.key for metric in row.metrics}
        assert {goal.peer for goal in row.goals} - {None} <= peers.BY_SLUG.keys()
        assert row.without.keys() <= peers.BY_SLUG.keys()
