"""How many cores this process may really use."""

from __future__ import annotations

import math
import os

__all__ = ["cpu_count"]


def cpu_count() -> int:
    """The cores that this process may use: the machine's, less what affinity and cgroup quotas forbid.

    `os.cpu_count` tells what the machine has; in a container with a quota of two cores on a machine of 160
    that is 158 workers too many.

    Returns:
        At least 1. A fractional quota is rounded up.
    """
    return max(1, min(_allowed_cores(), _quota_cores()))


def _allowed_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota_cores() -> int:
    quotas = [quota for quota in (_quota_v2(), _quota_v1()) if quota is not None]
    return math.ceil(min(quotas)) if quotas else _allowed_cores()


def _quota_v2(membership: str = "/proc/self/cgroup", root: str = "/sys/fs/cgroup") -> float | None:
    """The tightest ``cpu.max`` of this process's cgroup and those above it, in cores."""
    limits = []
    for folder in _upwards(root, _group_of("", membership)):
        try:
            quota, period = _read(f"{folder}/cpu.max").split()
            if quota != "max":
                limits.append(int(quota) / int(period))
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return min(limits, default=None)


def _quota_v1(membership: str = "/proc/self/cgroup", root: str = "/sys/fs/cgroup/cpu") -> float | None:
    """The tightest ``cpu.cfs_quota_us`` of this process's cgroup and those above it, in cores."""
    limits = []
    for folder in _upwards(root, _group_of("cpu", membership)):
        try:
            quota = int(_read(f"{folder}/cpu.cfs_quota_us"))
            period = int(_read(f"{folder}/cpu.cfs_period_us"))
            if quota > 0 and period > 0:
                limits.append(quota / period)
        except (OSError, ValueError):
            continue
    return min(limits, default=None)


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _group_of(controller: str, membership: str) -> str:
    """The path of this process's cgroup; `controller` is empty for version 2."""
    try:
        lines = _read(membership).splitlines()
    except OSError:
        return "/"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") if controller else not controllers:
            return path
    return "/"


def _upwards(root: str, group: str) -> list[str]:
    """The folder of `group` below `root`, then each one above it.

    Inside a container the group's path is often the host's and not to be found below `root`; the container's
    own limit then stands in `root` itself, which is always among those returned.
    """
    names = [name for name in group.split("/") if name]
    return ["/".join([root, *names[:depth]]) for depth in range(len(names), -1, -1)]
