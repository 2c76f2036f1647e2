"""Processes and what descends from them, as Linux's /proc tells."""

from __future__ import annotations

import os
import signal

__all__ = ["MARK", "children", "descendants", "kill_marked", "resident"]

#: The environment variable that tells which pool's worker a process comes from.
MARK = "ALLCORES_POOL"


def children(pid: int) -> list[int]:
    """The processes that have `pid` as their parent."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    except FileNotFoundError:
        return found or _children_by_scan(pid)
    except OSError:
        pass
    return found


def _children_by_scan(pid: int) -> list[int]:
    """The same where the kernel does not list children (CONFIG_PROC_CHILDREN)."""
    found: list[int] = []
    if not os.path.exists("/proc/self") or os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
        return found
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(name))
    return found


def descendants(pid: int) -> list[int]:
    """All processes that descend from `pid`, parents before their children."""
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def kill_marked(value: str) -> None:
    """Kill every process whose environment says that it comes from a pool's worker.

    For the case in which nobody is left who knows it as a descendant. A look at each process of the machine.

    Args:
        value: what `MARK` was set to.
    """
    wanted = f"{MARK}={value}".encode()
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    found = wanted in file.read().split(b"\0")
                if found:
                    os.kill(int(name), signal.SIGKILL)
            except OSError:
                continue


def resident(pid: int) -> int:
    """The resident set of a process and of all that descend from it, in bytes. Pages they share count for each."""
    return sum(_resident(member) for member in (pid, *descendants(pid)))


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
