"""Whether the kernel's out-of-memory killer has been at work."""

from __future__ import annotations

__all__ = ["oom_kills"]


def oom_kills() -> int | None:
    """How many processes the kernel has killed for want of memory.

    Returns:
        The number for this process's cgroup, or for the whole machine where the cgroup does not tell; None where
        nothing tells.
    """
    for path in (*_cgroup_files(), "/proc/vmstat"):
        try:
            with open(path) as file:
                for line in file:
                    name, _, value = line.partition(" ")
                    if name == "oom_kill":
                        return int(value)
        except (OSError, ValueError):
            continue
    return None


def _cgroup_files() -> list[str]:
    """Where version 2 and version 1 of cgroups count."""
    found = []
    try:
        with open("/proc/self/cgroup") as file:
            for line in file:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                if not controllers:
                    found.append(f"/sys/fs/cgroup{path}/memory.events")
                elif "memory" in controllers.split(","):
                    found.append(f"/sys/fs/cgroup/memory{path}/memory.oom_control")
    except (OSError, ValueError):
        pass
    return found
