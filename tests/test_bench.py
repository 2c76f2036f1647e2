"""The benchmark harness works: a fair start for all, peers that are missing, fail or hang, honest tables.

No timing is asserted; the sizes are tiny.
"""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # `bench` is not installed; `python -m pytest` in the checkout finds it by itself
    sys.path.insert(0, str(ROOT))

from bench import __main__ as cli  # noqa: E402
from bench import peers, report, rows, runner  # noqa: E402
from bench.rows.base import Goal, Metric, Row, median  # noqa: E402


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory):
    """A quick run of every row with the peers that every Python has: what it printed, its JSON, its page."""
    folder = tmp_path_factory.mktemp("bench")
    chosen = "--peers=allcores,multiprocessing,connection,serial"
    files = [f"--json={folder / 'results.json'}", f"--markdown={folder / 'page.md'}"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--rounds=1", "--workers=2", chosen, *files],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return done.stdout, results, (folder / "page.md").read_text(encoding="utf-8")


def test_every_row_has_a_number_of_every_metric(quick_run):
    _, results, _ = quick_run
    assert list(results["rows"]) == [row.name for row in rows.ALL]
    for name, outcomes in results["rows"].items():
        for slug, outcome in outcomes.items():
            assert (name, slug, outcome["status"], outcome["note"]) == (name, slug, "ok", "")
            assert len(outcome["rounds"]) == 1
            for metric in rows.BY_NAME[name].metrics:
                assert all(values[metric.key] > 0 for values in outcome["rounds"])


def test_the_page_and_the_terminal_name_the_machine_and_every_row(quick_run):
    text, results, page = quick_run
    for words in (text, page):
        assert results["environment"]["date"] in words
        assert "usable cores" in words
        assert "QUICK" in words
        for row in rows.ALL:
            assert row.title.replace("`", "") in words.replace("`", "")
    assert "What was called" in page


def test_a_peer_is_measured_before_anything_has_been_imported_for_it():
    """The start-up rows would flatter whoever imports what the harness had imported already."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import bench.one; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, encoding="utf-8", check=True)
    heavy = {"multiprocessing", "pickle", "inspect", "json", "re", "typing", "threading", "dataclasses"}
    assert heavy & set(done.stdout.split()) == set()


class Absent(peers.Multiprocessing):
    slug = "multiprocessing"
    module = "a_library_that_is_not_installed.inside"


def run_row(row, chosen, **changes):
    settings = {"rounds": 2, "workers": 2, "quick": True, "timeout": 30, "tell": lambda message: None}
    return runner.run_row(row, chosen, **{**settings, **changes})


def test_the_peers_take_turns_in_every_round():
    told = []
    outcomes = run_row(rows.BY_NAME["map"], [peers.Multiprocessing, peers.Serial], tell=told.append)
    assert told == [
        f"map: round {number} of 2, {peer.title}" for number in (1, 2) for peer in (peers.Multiprocessing, peers.Serial)
    ]
    assert [len(outcome["rounds"]) for outcome in outcomes.values()] == [2, 2]


def test_a_missing_peer_is_absent_and_no_failure():
    outcomes = run_row(rows.BY_NAME["lone"], [Absent])
    assert outcomes["multiprocessing"]["status"] == "absent"
    assert "absent: not installed" in report.row_text(rows.BY_NAME["lone"], outcomes)


def test_a_hang_is_bounded_reported_and_not_repeated():
    told = []
    outcomes = run_row(rows.BY_NAME["lone"], [peers.Multiprocessing], timeout=0.01, tell=told.append)
    assert outcomes["multiprocessing"]["status"] == "hang"
    assert len(told) == 1
    assert "hang: no end within 0.01 s" in report.row_text(rows.BY_NAME["lone"], outcomes)


def test_a_failing_peer_is_reported_with_the_last_line_of_its_error():
    class WithoutSuchAnOperation(peers.Serial):
        flood = None

    outcomes = run_row(rows.BY_NAME["flood"], [WithoutSuchAnOperation])
    assert outcomes["serial"]["status"] == "error"
    assert outcomes["serial"]["note"] == "AttributeError: 'Serial' object has no attribute 'flood'"


def test_what_a_peer_leaves_running_is_ended(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()'])"],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        assert process.wait() == 0
        assert runner.lives(process.pid)
        runner.end_group(process.pid)
        assert not runner.lives(process.pid)


def outcome(*values, status="ok", note="", n=10, key="cost"):
    return {"status": status, "note": note, "n": n, "rounds": [{key: value} for value in values]}


COST = Metric("cost", "a task", "µs")
ROW = Row(
    name="row",
    title="A row",
    about="{n} tasks.",
    operation="lone",
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
    "pebble": outcome(20),
    "connection": outcome(2),
}


def test_the_advantage_is_the_ratio_of_the_medians():
    assert report.advantage(OUTCOMES, COST, "multiprocessing") == 4
    assert report.advantage(OUTCOMES, COST, "mpire") is None
    faster = Metric("speed", "speed-up", "×", higher_is_better=True)
    assert faster.advantage(8, 2) == 4


def test_a_peer_that_is_ahead_is_marked_and_a_floor_is_not():
    remarks = {line[0]: line[-1] for line in report.lines(ROW, OUTCOMES, COST)}
    assert remarks == {
        "allcores": "",
        "multiprocessing.Pool": "",
        "ProcessPoolExecutor": "AHEAD of allcores; on 2 items",
        "loky": "AHEAD of allcores, within the spread of the rounds",
        "mpire": "hang: no end within 60 s",
        "pebble": "",
        "bare Connection ping-pong": "for reference",
    }


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


def test_the_summary_has_a_column_for_each_competitor(monkeypatch):
    monkeypatch.setitem(rows.BY_NAME, "row", ROW)
    head, body = report.summary({"rows": {"row": OUTCOMES}})
    assert head == (
        *("", "allcores", "multiprocessing.Pool", "ProcessPoolExecutor", "loky", "mpire", "pebble"),
        "",
    )
    assert body == [
        (
            *("A row", "10 µs", "4 ×", "**0.5 ×**", "**0.9 ×**", "hang", "2 ×"),
            "ahead of allcores: ProcessPoolExecutor, loky",
        )
    ]


def test_rows_and_peers_are_chosen_by_name_in_the_order_of_the_tables():
    options = cli.parse(["--rows", "lone,flood", "--peers", "loky,allcores"])
    assert [row.name for row in options.rows] == ["flood", "lone"]
    assert [peer.slug for peer in options.peers] == ["allcores", "loky"]


@pytest.mark.parametrize("arguments", [["--rows", "flod"], ["--peers", ""], ["--rounds", "0"]])
def test_wrong_usage_is_refused_with_the_names_that_there_are(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.parse(arguments)
    assert stop.value.code == 2
    assert "error: argument" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--quick"], ["--rows", "flood"], ["--peers", "loky"]])
def test_a_part_of_the_benchmarks_does_not_replace_the_page_of_the_whole(arguments):
    assert cli.parse(arguments).markdown is None
    assert cli.parse([]).markdown == ROOT / "docs" / "benchmarks.md"


def test_the_median_of_an_even_number_lies_between_the_middle_two():
    assert (median([3, 1, 2]), median([4, 1, 2, 3])) == (2, 2.5)


def test_slugs_and_row_names_are_unique():
    assert len(peers.BY_SLUG) == len(peers.ALL)
    assert len(rows.BY_NAME) == len(rows.ALL)
