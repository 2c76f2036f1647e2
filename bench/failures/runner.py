"""Run cases: each with each library in a fresh interpreter, with a limit in time."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import psutil

from bench import processes, runner
from bench.failures import cases

# By this, what a case's program has started can be told from everything else.
MARK = f"failures-{os.getpid()}"


def is_alive(number):
    """Whether a process runs; one that has ended without being reaped does not."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def family_of(folder, process):
    """What the case has written down, and what descends from its program now."""
    numbers = set()
    path = folder / "family"
    if path.exists():
        numbers.update(map(int, path.read_text().split()))
    try:
        numbers.update(child.pid for child in psutil.Process(process.pid).children(recursive=True))
    except psutil.NoSuchProcess:
        pass
    return numbers


def wait(process, seconds):
    """Wait for the program; whether it has ended."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def run_once(case, library, limit):
    """One case with one library: its outcome as plain data."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = pathlib.Path(name)
        command = [sys.executable, str(pathlib.Path(__file__).with_name("inside.py")), name, case.name, library.slug]
        with (folder / "errors").open("wb") as sink:
            began = time.monotonic()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=runner.environment_of_a_measurement(MARK),
                start_new_session=True,
            )
            family = set()
            try:
                ended = wait(process, limit)
                seconds = time.monotonic() - began
                family = family_of(folder, process)
                return judge(case, folder, process, ended, seconds, family, limit)
            finally:
                clean_up(process, family | family_of(folder, process))


def judge(case, folder, process, ended, seconds, family, limit):
    """Put what was seen into words."""
    path = folder / "outcome"
    if case.aftermath is not None and (folder / "family").exists():
        return judge_aftermath(case, folder, process, ended, seconds, family, limit)
    if path.exists():
        return json.loads(path.read_text())
    if not ended:
        return {"status": "hang", "right": False, "text": "hang", "seconds": seconds}
    last = (folder / "errors").read_text(errors="replace").strip().splitlines()[-1:]
    text = "".join(last)[:80] or f"exit code {process.returncode}"
    return {"status": "crash", "right": False, "text": text, "seconds": seconds}


def judge_aftermath(case, folder, process, ended, seconds, family, limit):
    """How long what the program had started has lived on, and how much the user had to read."""
    if not ended:
        return {"status": "hang", "right": False, "text": "hang", "seconds": seconds}
    began = time.monotonic()
    while any(map(is_alive, family)) and time.monotonic() - began < limit:
        time.sleep(0.02)
    gone = time.monotonic() - began
    left = sum(map(is_alive, family))
    parts = [f"{left} processes live on after {limit:g} s" if left else "all gone"]
    tracebacks = (folder / "errors").read_text(errors="replace").count("Traceback (most recent call last)")
    right = not left and gone < 2
    if case.aftermath == cases.INTERRUPTED:
        parts.append(f"{tracebacks} traceback{'' if tracebacks == 1 else 's'}")
        right = right and tracebacks == 1 and seconds < 5
    elif case.aftermath == cases.ENDS:
        parts.append(f"exit code {process.returncode}")
        right = right and process.returncode == 0 and seconds < 10
    return {
        "status": "ended",
        "right": right,
        "text": ", ".join(parts),
        "seconds": gone if case.aftermath == cases.KILLED else seconds + gone,
    }


def clean_up(process, family):
    """End whatever is left of a program."""
    for number in (process.pid, *family):
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()
    processes.end_all(process.pid, MARK)


def run_all(chosen, libraries, limit, tell):
    """Every case with every library."""
    results = {}
    for case in chosen:
        results[case.name] = {}
        for library in libraries:
            if not runner.is_present(library):
                results[case.name][library.slug] = {
                    "status": "absent",
                    "right": False,
                    "text": "not installed",
                    "seconds": 0.0,
                }
                continue
            outcome = run_once(case, library, limit)
            results[case.name][library.slug] = outcome
            tell(f"{case.name}, {library.title}: {outcome['text']} ({outcome['seconds']:.1f} s)")
    return results
