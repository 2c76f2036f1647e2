"""Run rows: each peer of each round in a fresh interpreter of its own, in turn, with limits in time."""

import contextlib
import importlib.util
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from typing import NamedTuple

from bench import processes, procfs

ROOT = pathlib.Path(__file__).resolve().parent.parent
OWN = "allcores"

# After so many errors a peer is not tried again in a row.
MOST_FAILURES = 2

_marks = itertools.count(1)


class Settings(NamedTuple):
    """How to measure.

    Attributes:
        rounds: how often each peer is measured in each row.
        workers: how many each pool has.
        quick: tiny sizes and short times.
        timeout: seconds after which a measurement is a hang.
        limit: seconds that doing a row's work once may take; who is slower is given less work.
        patience: seconds that a peer's rounds in a row may take together before it is given no more of them.
        tell: called with a line of progress.
    """

    rounds: int
    workers: int
    quick: bool = False
    timeout: float = 60
    limit: float = 1.0
    patience: float = 5
    tell: object = print

    def words_for(self, row):
        """What `bench/one.py` is told about a row's work."""
        size = row.quick_size if self.quick else row.size
        limit = min(self.limit, 0.3) if self.quick else self.limit
        return [
            f"workers={row.workers or self.workers}",
            f"n={size}",
            f"budget_ms={50 if self.quick else 500}",
            f"limit_ms={limit * 1000:.0f}",
        ]


def is_present(peer):
    """Whether the peer's library is installed; nothing is imported but its parent package."""
    try:
        return importlib.util.find_spec(peer.module) is not None
    except ModuleNotFoundError:
        return False


def environment_of_a_measurement(mark, folder=None):
    """The caller's environment, marked, with `bench` importable and nothing that slows down some but not others."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), processes.MARK: mark}
    # An installed library has its bytecode from the installer; one that is used from a checkout would be
    # compiled anew in every process if it were not allowed to keep it.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if folder:
        environment["TMPDIR"] = folder  # whatever a peer forgets there goes with the folder
    return environment


def note_of(process, errors):
    """The last line that a failed measurement has written, or how it ended."""
    last = errors.read_text(errors="replace").strip().splitlines()[-1:]
    return "".join(last)[:200] or f"exit code {process.returncode}"


def measure_once(row, peer, settings):
    """One peer, one round: the status is `ok` and there are `values`, or it is another and there is a note."""
    mark = f"{os.getpid()}-{next(_marks)}"
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        output, errors = pathlib.Path(folder, "numbers"), pathlib.Path(folder, "errors")
        command = [sys.executable, str(ROOT / "bench" / "one.py"), str(output), row.name, peer.slug]
        hung = threading.Event()
        with errors.open("wb") as sink:
            began = time.perf_counter()
            # A file instead of a pipe: a worker that lives on would keep a pipe open, and us waiting.
            process = subprocess.Popen(
                [*command, *settings.words_for(row)],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=environment_of_a_measurement(mark, folder),
                start_new_session=True,
            )

            def give_up():
                hung.set()
                processes.end_all(process.pid, mark)

            alarm = threading.Timer(settings.timeout, give_up)
            alarm.start()
            try:
                with processes.MemoryWatch(process.pid) if row.is_watched else contextlib.nullcontext() as watch:
                    process.wait()  # without a timeout: with one it polls, and is late by up to 50 ms
                    wall_ms = (time.perf_counter() - began) * 1e3
            finally:  # also on Ctrl-C, which a session of its own does not hear
                alarm.cancel()
                processes.end_all(process.pid, mark)
        if hung.is_set():
            return {"status": "hang", "note": f"no end within {settings.timeout:g} s"}
        if process.returncode or not output.exists():
            return {"status": "error", "note": note_of(process, errors)}
        outcome = json.loads(output.read_text())
        if "unable" in outcome:
            return {"status": "unable", "note": outcome["unable"]}
        values = {**outcome["values"], "process": wall_ms}
        if watch:
            values["peak"] = watch.peak / procfs.MB
        return {"status": "ok", "values": values}


def begin(row, peer, size):
    """The outcome of a peer before the first round."""
    status, note = "ok", ""
    if reason := row.reason_without(peer):
        status, note = "unable", reason
    elif not is_present(peer):
        status, note = "absent", "not installed"
    return {"status": status, "note": note, "n": size, "rounds": []}


class Turns:
    """Whose turn it is in a row, and who has had enough.

    A peer that hangs is not tried again, nor one that has failed twice (some fail now and then); one whose rounds
    have taken longer than the settings' patience has no more of them. allcores has them all, and so has whoever is
    named by a goal: one round could reach it by chance.
    """

    def __init__(self, row, peer, patience):
        self.peer = peer
        is_needed = peer.slug == OWN or peer.slug in [goal.peer for goal in row.goals]
        self._patience = float("inf") if is_needed else patience
        self._spent = 0.0
        self._failures = 0

    def are_left(self, outcome):
        """Whether the peer is to be measured once more."""
        return outcome["status"] in ("ok", "error") and self._failures < MOST_FAILURES and self._spent <= self._patience

    def take(self, row, settings, outcome):
        """Measure once, and enter what has come of it."""
        began = time.perf_counter()
        result = measure_once(row, self.peer, settings)
        self._spent += time.perf_counter() - began
        if result["status"] == "ok":
            outcome["rounds"].append(result["values"])
            outcome["n"] = min(outcome["n"], result["values"].get("n", outcome["n"]))
        else:
            outcome.update(status=result["status"], note=result["note"])
            self._failures += 1


def run_row(row, peers, settings):
    """Every peer in turn, round after round; returns what the report needs, by the peer's slug.

    Competitors that cannot take part are mentioned, with the reason; see `Row.mentions`.
    """
    size = row.quick_size if settings.quick else row.size
    taking_part = [peer for peer in peers if row.mentions(peer)]
    outcomes = {peer.slug: begin(row, peer, size) for peer in taking_part}
    turns = [Turns(row, peer, settings.patience) for peer in taking_part]
    rounds = min(settings.rounds, row.most_rounds or settings.rounds)
    for number in range(1, rounds + 1):
        for turn in turns:
            outcome = outcomes[turn.peer.slug]
            if turn.are_left(outcome):
                settings.tell(f"{row.name}: round {number} of {rounds}, {turn.peer.title}")
                turn.take(row, settings, outcome)
    return outcomes
