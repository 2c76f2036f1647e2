"""What runs, sampled by perf where that is installed: by kind of machine code, the kernel's included."""

import collections
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

#: Seconds for perf to attach to the processes; what it misses of the work does no harm.
_ATTACHING = 0.5

#: Kinds, and what the library or the symbol of a sample of it contains. The first that fits counts.
_KINDS = (
    ("kernel: switching, waking up", ("kernel",), ("finish_task_switch", "schedule", "try_to_wake", "futex")),
    ("kernel: the rest", ("kernel", "vdso"), ("",)),
    ("pickling", ("_pickle",), ("",)),
    (
        "garbage collection",
        ("python",),
        ("gc_collect", "visit_", "_traverse", "untrack_tuples", "update_refs", "deduce_unreachable"),
    ),
    (
        "memory: objects made and freed",
        ("python", "libc"),
        ("alloc", "Alloc", "free", "Free", "dealloc", "_New", "NewReference", "memset"),
    ),
    ("interpreter: the evaluation loop", ("python",), ("_PyEval_EvalFrameDefault",)),
    ("interpreter: calls, look-ups and other", ("",), ("",)),
)


def available():
    """Whether perf is there and may sample."""
    if shutil.which("perf") is None:
        return False
    probe = ["perf", "record", "-q", "-e", "cpu-clock", "-o", "/dev/null", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def shares(pids, run):
    """Sample processes while `run()` does something.

    Args:
        pids: the processes.
        run: what they are to do; some seconds of it say more.

    Returns:
        By kind and by thread group (caller, reactor, workers), the share of its samples.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "samples")
        command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "4999", "-p", ",".join(map(str, pids)), "-o", data]
        recorder = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            time.sleep(_ATTACHING)
            run()
        finally:
            recorder.send_signal(signal.SIGINT)
            recorder.wait()
        script = ["perf", "script", "-i", data, "-F", "pid,tid,ip,sym,dso"]
        text = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    return _shares(text)


def _shares(text):
    me, main = os.getpid(), threading.main_thread().native_id
    counted = collections.defaultdict(collections.Counter)
    for line in text.splitlines():
        words = line.split(None, 2)
        if len(words) < 3 or "/" not in words[0]:
            continue
        pid, thread = map(int, words[0].split("/"))
        role = "workers" if pid != me else "caller" if thread == main else "reactor"
        symbol, _, library = words[2].rpartition(" (")
        counted[role][_kind(symbol, library)] += 1
    return {
        role: {kind: count / sum(kinds.values()) for kind, count in kinds.items()} for role, kinds in counted.items()
    }


def _kind(symbol, library):
    for kind, libraries, symbols in _KINDS:
        if any(name in library for name in libraries) and any(name in symbol for name in symbols):
            return kind
    return _KINDS[-1][0]
