"""System calls of a pool's processes, counted by strace where that is installed."""

import collections
import os
import shutil
import signal
import subprocess
import tempfile

# A call that nothing else makes here: the log is read from the first one to the last.
_MARK = "getppid"


def available():
    """Whether strace is there and may look at processes."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-q", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0


def counts(workers, run):
    """Count the system calls of this process and of others while `run()` does something.

    Args:
        workers: their process ids.
        run: what is to be done.

    Returns:
        For each process id, all of its threads together, how often each system call was made.

    Raises:
        RuntimeError: strace may not look at them; the kernel's setting `yama/ptrace_scope` may be the reason.
    """
    pids = (os.getpid(), *workers)
    threads = {int(thread): pid for pid in pids for thread in os.listdir(f"/proc/{pid}/task")}
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "calls")
        command = ["strace", "-f", "-s", "0", "-o", log, *(word for pid in pids for word in ("-p", str(pid)))]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            _wait_until_attached(tracer, len(pids))
            os.getppid()
            run()
            os.getppid()
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate()
        with open(log, encoding="utf-8", errors="replace") as lines:
            return _counted(lines, threads)


def _wait_until_attached(tracer, processes):
    """strace says so for each, in a line."""
    while processes:
        line = tracer.stderr.readline()
        if not line:
            raise RuntimeError("strace cannot attach to the processes")
        processes -= "attached" in line


def _counted(lines, threads):
    """Lines are such as ``4711 recvfrom(3, ""..., 65536, 0, NULL, NULL) = 48``, or the second half of one."""
    found = {pid: collections.Counter() for pid in threads.values()}
    inside = 0
    for line in lines:
        thread, _, call = line.partition(" ")
        name = call.lstrip().partition("(")[0]
        if name == _MARK:
            inside += 1
        elif inside == 1 and name.isidentifier() and int(thread) in threads:
            found[threads[int(thread)]][name] += 1
    return found
