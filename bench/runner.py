"""Run rows: each peer of each round in a fresh interpreter of its own, in turn, with a time limit."""

import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

import psutil

ROOT = pathlib.Path(__file__).resolve().parent.parent

# How long whatever a peer has left running may take to end by itself, and then after a polite signal.
GRACE_S = 0.5


def is_present(peer):
    """Whether the peer's library is installed; nothing is imported but its parent package."""
    try:
        return importlib.util.find_spec(peer.module) is not None
    except ModuleNotFoundError:
        return False


def lives(group):
    """Whether a process of the group is running; one that has ended without being reaped does not count."""
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return False


def end_group(group):
    """End every process that a measurement has left behind, those that clean up after the others last."""
    for number in (0, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            return
        end = time.monotonic() + GRACE_S
        while lives(group):
            if time.monotonic() > end:
                break
            time.sleep(0.01)
        else:
            return


def environment_of_a_measurement():
    """The caller's environment, with `bench` importable and nothing that slows down some but not others."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    # An installed library has its bytecode from the installer; one that is used from a checkout would be
    # compiled anew in every process if it were not allowed to keep it.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def measure_once(row, peer, *, workers, quick, timeout):
    """One peer, one round: the status is `ok` and there are `values`, or `hang` or `error` and a note."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        output, errors = pathlib.Path(folder, "numbers"), pathlib.Path(folder, "errors")
        command = [sys.executable, str(ROOT / "bench" / "one.py"), str(output), row.name, peer.slug]
        command += [
            f"workers={workers}",
            f"n={row.size_for(peer, quick)}",
            f"budget_ms={50 if quick else 500}",
        ]
        environment = environment_of_a_measurement()
        hung = threading.Event()
        with errors.open("wb") as sink:
            began = time.perf_counter()
            # A file instead of a pipe: a worker that lives on would keep a pipe open, and us waiting.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=environment,
                start_new_session=True,
            )

            def give_up():
                hung.set()
                end_group(process.pid)

            alarm = threading.Timer(timeout, give_up)
            alarm.start()
            try:
                process.wait()  # without a timeout: with one it polls, and is late by up to 50 ms
                wall_ms = (time.perf_counter() - began) * 1e3
            finally:  # also on Ctrl-C, which a session of its own does not hear
                alarm.cancel()
                end_group(process.pid)
        if hung.is_set():
            return {"status": "hang", "note": f"no end within {timeout:g} s"}
        if process.returncode or not output.exists():
            last = errors.read_text(errors="replace").strip().splitlines()[-1:]
            return {"status": "error", "note": "".join(last)[:200] or f"exit code {process.returncode}"}
        return {"status": "ok", "values": {**json.loads(output.read_text()), "process": wall_ms}}


def run_row(row, peers, *, rounds, workers, quick, timeout, tell):
    """Every peer in turn, round after round; returns what the report needs, by the peer's slug.

    A peer that hangs or fails is not tried again in this row.
    """
    takers = [peer for peer in peers if row.takes(peer)]
    outcomes = {}
    for peer in takers:
        present = is_present(peer)
        outcomes[peer.slug] = {
            "status": "ok" if present else "absent",
            "note": "" if present else "not installed",
            "n": row.size_for(peer, quick),
            "rounds": [],
        }
    for number in range(1, rounds + 1):
        for peer in takers:
            outcome = outcomes[peer.slug]
            if outcome["status"] != "ok":
                continue
            tell(f"{row.name}: round {number} of {rounds}, {peer.title}")
            result = measure_once(row, peer, workers=workers, quick=quick, timeout=timeout)
            if result["status"] == "ok":
                outcome["rounds"].append(result["values"])
            else:
                outcome.update(status=result["status"], note=result["note"])
    return outcomes
