"""How many cores may be used: affinity, cgroup quotas of both versions, and both together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from allcores import cpu, cpu_count


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """A folder that stands for /sys/fs/cgroup."""
    root = tmp_path / "cgroup"
    root.mkdir()
    return root


def member(tmp_path: Path, lines: str) -> str:
    """A file that stands for /proc/self/cgroup."""
    path = tmp_path / "membership"
    path.write_text(lines)
    return str(path)


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_dot_", ".")).write_text(text)


def v1(folder: Path, quota: int, period: int = 100_000) -> None:
    write(folder, cpu_dot_cfs_quota_us=f"{quota}\n", cpu_dot_cfs_period_us=f"{period}\n")


# Version 2


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("200000 100000\n", 2.0),
        ("150000 100000\n", 1.5),
        ("50000 100000\n", 0.5),
        ("max 100000\n", None),
        ("", None),
        ("nonsense", None),
        ("1 2 3", None),
        ("100000 0\n", None),
    ],
)
def test_the_quota_of_version_2_is_quota_through_period(
    tmp_path: Path, groups: Path, text: str, cores: float | None
) -> None:
    write(groups / "app", cpu_dot_max=text)
    assert cpu._quota_v2(member(tmp_path, "0::/app\n"), str(groups)) == cores


def test_the_tightest_quota_on_the_way_up_counts(tmp_path: Path, groups: Path) -> None:
    write(groups / "a" / "b" / "c", cpu_dot_max="800000 100000")
    write(groups / "a" / "b", cpu_dot_max="300000 100000")
    write(groups / "a", cpu_dot_max="max 100000")
    assert cpu._quota_v2(member(tmp_path, "0::/a/b/c\n"), str(groups)) == 3.0


def test_quotas_of_other_groups_do_not_count(tmp_path: Path, groups: Path) -> None:
    write(groups / "a", cpu_dot_max="400000 100000")
    write(groups / "b", cpu_dot_max="100000 100000")
    write(tmp_path, cpu_dot_max="100000 100000")  # above the root of groups
    assert cpu._quota_v2(member(tmp_path, "0::/a\n"), str(groups)) == 4.0


def test_in_a_container_the_limit_stands_in_the_root(tmp_path: Path, groups: Path) -> None:
    """The path is the host's then, and is not to be found."""
    write(groups, cpu_dot_max="250000 100000")
    assert cpu._quota_v2(member(tmp_path, "0::/docker/0123abcd\n"), str(groups)) == 2.5
    assert cpu._quota_v2(member(tmp_path, "0::/\n"), str(groups)) == 2.5


def test_without_groups_there_is_no_quota(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    assert cpu._quota_v2(nowhere, nowhere) is None
    assert cpu._quota_v1(nowhere, nowhere) is None


# Version 1

MEMBERSHIP_V1 = "12:memory:/other\n4:cpu,cpuacct:/app/web\n3:cpuset:/third\n0::/unified\n"


@pytest.mark.parametrize(("quota", "cores"), [(200_000, 2.0), (120_000, 1.2), (-1, None), (0, None)])
def test_the_quota_of_version_1_is_quota_through_period(
    tmp_path: Path, groups: Path, quota: int, cores: float | None
) -> None:
    v1(groups / "app" / "web", quota)
    assert cpu._quota_v1(member(tmp_path, MEMBERSHIP_V1), str(groups)) == cores


def test_version_1_takes_the_tightest_on_the_way_up_too(tmp_path: Path, groups: Path) -> None:
    v1(groups / "app" / "web", -1)
    v1(groups / "app", 350_000)
    v1(groups, 900_000)
    assert cpu._quota_v1(member(tmp_path, MEMBERSHIP_V1), str(groups)) == 3.5


def test_version_1_knows_the_group_of_the_cpu_controller_from_the_others(tmp_path: Path, groups: Path) -> None:
    v1(groups / "other", 100_000)
    v1(groups / "third", 100_000)
    v1(groups / "unified", 100_000)
    v1(groups / "app" / "web", 700_000)
    assert cpu._quota_v1(member(tmp_path, MEMBERSHIP_V1), str(groups)) == 7.0


def test_a_group_name_with_colons_is_whole(tmp_path: Path, groups: Path) -> None:
    write(groups / "a:b", cpu_dot_max="200000 100000")
    assert cpu._quota_v2(member(tmp_path, "0::/a:b\n"), str(groups)) == 2.0


# Both, and affinity


@pytest.mark.parametrize(
    ("allowed", "second", "first", "expected"),
    [
        (8, None, None, 8),
        (8, 2.0, None, 2),
        (8, None, 3.0, 3),
        (8, 5.0, 3.0, 3),
        (8, 1.5, None, 2),
        (8, 0.1, None, 1),
        (2, 16.0, None, 2),
        (1, 0.5, None, 1),
    ],
)
def test_the_smallest_of_all_limits_counts_and_fractions_are_rounded_up(
    monkeypatch: pytest.MonkeyPatch, allowed: int, second: float | None, first: float | None, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(allowed)))
    monkeypatch.setattr(cpu, "_quota_v2", lambda: second)
    monkeypatch.setattr(cpu, "_quota_v1", lambda: first)
    assert cpu_count() == expected


def test_where_there_is_no_affinity_all_cores_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setattr(cpu, "_quota_v2", lambda: None)
    monkeypatch.setattr(cpu, "_quota_v1", lambda: None)
    assert cpu_count() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cpu_count() == 1


def run(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False)
    assert done.stderr == ""
    return done.stdout.split()


def test_affinity_is_honoured_and_workers_inherit_it() -> None:
    core = min(os.sched_getaffinity(0))
    script = f"""
import os, allcores
os.sched_setaffinity(0, {{{core}}})
print(allcores.cpu_count())
with allcores.Pool() as pool:
    print(*pool.apply(os.sched_getaffinity, (0,)))
    pool.map(abs, range(20))
    print(pool.stats().processes)
"""
    assert run(script) == ["1", str(core), "1"]


def test_this_machine_has_at_least_one_core_and_no_more_than_are_allowed() -> None:
    assert 1 <= cpu_count() <= len(os.sched_getaffinity(0))
