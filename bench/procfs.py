"""What the kernel tells about processes below /proc: memory, wake-ups, time on a core, who descends from whom.

*Private* memory is what no other process has mapped. The *proportional* set counts a page that k processes have
mapped as a k-th in each, so that the sum over processes counts every page once. Both are what `smaps_rollup` says.

Where memory is shared, that is not the whole truth: a page of a shared file that one process alone has looked at
counts as private to it, although it would not come free if the process ended. What is a process's *own* leaves such
pages out; it takes the longer `smaps` to tell.
"""

import os

KB = 1024
MB = 1024 * 1024


def is_there():
    """Whether this system tells what is asked for here (Linux from 4.14 on)."""
    return os.path.exists("/proc/self/smaps_rollup")


def read(*parts):
    """A file below /proc; empty if the process has ended or belongs to somebody else."""
    try:
        with open("/".join(("/proc", *map(str, parts))), "rb") as file:
            return file.read()
    except OSError:
        return b""


def names(*parts):
    """The names in a folder below /proc, likewise."""
    try:
        return os.listdir("/".join(("/proc", *map(str, parts))))
    except OSError:
        return []


def descendants(pid):
    """The processes that descend from one, by their numbers."""
    found = []
    for thread in names(pid, "task"):
        found += map(int, read(pid, "task", thread, "children").split())
    return found + [deeper for child in found for deeper in descendants(child)]


def memory(pid):
    """Bytes of private memory, and of the proportional set, of a process; zeros if it has ended."""
    private = proportional = 0
    for line in read(pid, "smaps_rollup").splitlines():
        key, _, rest = line.partition(b":")
        if key in (b"Private_Clean", b"Private_Dirty"):
            private += int(rest.split()[0]) * KB
        elif key == b"Pss":
            proportional = int(rest.split()[0]) * KB
    return private, proportional


def private(pid):
    """Bytes of private memory."""
    return memory(pid)[0]


def own(pid):
    """Bytes of memory that would come free if the process ended: private, and no page of a file."""
    total = alone = 0
    for line in read(pid, "smaps").splitlines():
        key, _, rest = line.partition(b":")
        if key in (b"Private_Clean", b"Private_Dirty"):
            alone += int(rest.split()[0]) * KB
        elif key == b"Anonymous":  # behind the two others in each mapping
            total += min(alone, int(rest.split()[0]) * KB)
            alone = 0
    return total


def family_memory(pid):
    """Bytes that a process and all its descendants occupy together: the sum of the proportional sets."""
    return sum(memory(member)[1] for member in [pid, *descendants(pid)])


def activity(pid):
    """For each thread of a process and of its descendants: how often it has waited, and its nanoseconds on a core."""
    found = {}
    for member in [pid, *descendants(pid)]:
        for thread in names(member, "task"):
            waits = 0
            for line in read(member, "task", thread, "status").splitlines():
                if line.startswith(b"voluntary_ctxt_switches"):
                    waits = int(line.split()[1])
            on_core = (read(member, "task", thread, "schedstat").split() or [b"0"])[0]
            found[thread] = waits, int(on_core)
    return found
