"""The harness that measures whole programs works: inputs that all agree on, honest tables. No timing is asserted."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # `bench` is not installed; `python -m pytest` in the checkout finds it by itself
    sys.path.insert(0, str(ROOT))

from bench.counting import inputs, page, programs, rows  # noqa: E402


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory):
    """A quick run of two rows: what it printed, its JSON, its page."""
    folder = tmp_path_factory.mktemp("bench")
    files = [f"--json={folder / 'results.json'}", f"--markdown={folder / 'page.md'}"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.counting", "--quick", "--rounds=1", "--rows=chinese-some,small", *files],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "page.svg").read_text(encoding="utf-8").count("<path") > 5
    return done.stdout, json.loads((folder / "results.json").read_text()), (folder / "page.md").read_text()


def test_every_program_counts_the_lines_that_there_are(quick_run):
    _, results, _ = quick_run
    for name, outcomes in results["rows"].items():
        assert list(outcomes) == [
            program.slug for program in programs.ALL if program.slug in rows.BY_NAME[name].programs
        ]
        for slug, outcome in outcomes.items():
            if programs.BY_SLUG[slug]().is_present():
                assert (slug, outcome["status"], outcome["note"]) == (slug, "ok", "")
                assert len(outcome["seconds"]) == 1


def test_the_page_and_the_terminal_have_every_row_and_program(quick_run):
    text, results, written = quick_run
    for name, outcomes in results["rows"].items():
        assert rows.BY_NAME[name].title in text
        assert f"## {rows.BY_NAME[name].title}" in written
        for slug in outcomes:
            assert f"| {programs.BY_SLUG[slug].title} |" in written
            assert programs.BY_SLUG[slug].about in written
    assert "QUICK" in text
    assert "under 150 ms" in written


def test_goals_are_judged_by_medians():
    row = rows.BY_NAME["ascii-one"]
    outcomes = {
        "allcores": {"status": "ok", "seconds": [1, 2, 9]},
        "tutorial": {"status": "ok", "seconds": [50, 60, 1]},
        "wc": {"status": "ok", "seconds": [39, 39, 39]},
    }
    assert page.goal_lines(row, outcomes) == [
        "Goal: at least 25 × the tutorial's way: reached (25.0 ×).",
        "Goal: at least 20 × wc: **not reached** (19.5 ×).",
    ]
    del outcomes["wc"]
    assert page.goal_lines(row, outcomes)[1] == "Goal: at least 20 × wc: not measured."


@pytest.mark.parametrize("make", [inputs.ascii_text, inputs.chinese_text])
def test_texts_are_whole_lines_of_about_the_size_asked_for(make):
    text = make(1 << 20)
    assert (1 << 20) - 300 < len(text) <= 1 << 20
    assert text.endswith(b"\n")
    assert b"\r" not in text
    assert text.isascii() == (make is inputs.ascii_text)
    text.decode()


def test_however_a_text_is_put_into_files_its_lines_stay_whole(tmp_path):
    text = inputs.chinese_text(1 << 18)
    for make in (inputs.one_file, inputs.some_files):
        folder = tmp_path / make.__name__
        folder.mkdir()
        make(folder, text)
        assert b"".join(path.read_bytes() for path in sorted(folder.iterdir())) == text
        assert inputs.lines_in(folder) == text.count(b"\n")
