"""The script that lets pools fail, and the page that tells of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.timeout(45)


def all_tests() -> set[str]:
    """The names of all tests that there are."""
    return {
        name
        for file in Path(__file__).parent.glob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text())
    }


def failures(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.failures", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def test_cases_are_judged_from_inside_and_from_outside(tmp_path: Path) -> None:
    raw = tmp_path / "outcomes.json"
    done = failures("--only", "killed,parent", "--peers", "allcores", "--limit", "10", "--json", str(raw))
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(raw.read_text())["cases"]
    assert outcomes["killed"]["allcores"]["right"]
    assert outcomes["killed"]["allcores"]["text"] == "WorkerDied"
    assert outcomes["parent"]["allcores"]["text"] == "all gone"
    assert done.stdout.count("✓") == 3  # two cells, and the legend


def test_a_hang_and_survivors_are_seen_as_such(tmp_path: Path) -> None:
    """The standard pool waits for ever for a worker that was killed; its workers outlive their program."""
    raw = tmp_path / "outcomes.json"
    arguments = ("--only", "killed,parent", "--peers", "multiprocessing", "--limit", "3", "--json", str(raw))
    assert failures(*arguments).returncode == 0  # what others do wrong is not our failure
    outcomes = json.loads(raw.read_text())["cases"]
    assert outcomes["killed"]["multiprocessing"]["status"] == "hang"
    assert not outcomes["parent"]["multiprocessing"]["right"]
    assert "live on" in outcomes["parent"]["multiprocessing"]["text"]


@pytest.mark.parametrize("name", ["holder", "permit", "notify", "party", "setting", "handler"])
def test_a_case_of_locks_ends_well(name: str) -> None:
    done = failures("--only", name, "--peers", "allcores,futures", "--limit", "15")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("✓") == 2  # a cell, and the legend
    assert done.stdout.count("not offered") == 1


def test_the_standard_librarys_lock_dies_with_its_holder(tmp_path: Path) -> None:
    raw = tmp_path / "outcomes.json"
    arguments = ("--only", "holder", "--peers", "multiprocessing", "--limit", "3", "--json", str(raw))
    assert failures(*arguments).returncode == 0
    assert json.loads(raw.read_text())["cases"]["holder"]["multiprocessing"]["status"] == "hang"


def test_each_test_that_the_cases_and_the_page_name_exists() -> None:
    cases = "".join(file.read_text() for file in (ROOT / "bench" / "failures" / "cases").glob("*.py"))
    page = (ROOT / "docs" / "reliability.md").read_text()
    named = set(re.findall(r'"(test_\w+)"', cases)) | set(re.findall(r"`(test_\w+)`", page))
    modules = {file.stem for file in Path(__file__).parent.glob("test_*.py")}
    assert len(named) > 20
    assert named - all_tests() - modules == set()
