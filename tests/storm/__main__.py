"""Run storms: ``python -m tests.storm --seeds 10``. A storm that finds something is run again with its seed."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import io
import logging
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tests.storm import tasks
from tests.storm.tasks import Task

from allcores import MaybeEncodingError, MemoryLimitExceeded, Pool, RemoteError, Retry, TaskTimeout, WorkerDied
from allcores.lanes.start.template import LINGER

#: Seconds that a task of a storm may run.
TIMEOUT = 1.5
MEMORY_LIMIT = 250_000_000
RETRIES = 3
#: By how many bytes the parent's memory may have grown: what fragments hold of 50,000 results.
GROWTH = 48 << 20

Outcome = tuple[Task, Any, int]  # the task, its value or error, and how often it may have been run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    parser.add_argument("--tasks", type=int, default=50_000, help="how many tasks (50000)")
    parser.add_argument("--seeds", type=int, default=1, help="how many storms (1)")
    parser.add_argument("--seed", type=int, default=1, help="the first storm's seed (1)")
    parser.add_argument("--pause", type=float, default=0.08, help="seconds between kills (0.08)")
    parser.add_argument("--processes", type=int, default=4, help="workers (4)")
    options = parser.parse_args()
    failed = 0
    for seed in range(options.seed, options.seed + options.seeds):
        began = time.monotonic()
        findings, summary = storm(seed, options.tasks, options.pause, options.processes)
        print(f"seed {seed}: {time.monotonic() - began:.0f} s, {summary}", flush=True)
        for finding in findings[:20]:
            print(f"  FOUND: {finding}", flush=True)
        failed += bool(findings)
    print(f"{options.seeds - failed} passed, {failed} failed")
    return 1 if failed else 0


def storm(seed: int, count: int, pause: float, processes: int) -> tuple[list[str], str]:
    """Run one storm; returns what was found, and a summary."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, "tmp")
        own.mkdir()
        tempfile.tempdir = str(own)
        journal = str(Path(folder, "journal"))
        Path(journal).touch()
        _one_calm_round(journal)
        before = _belongings()
        memory = _memory()
        outcomes: list[Outcome] = []
        with _quiet():
            drawn = [tasks.draw(chance, index, journal) for index in range(count)]
            with _wind(folder, seed, pause):
                pool = Pool(processes, memory_limit=MEMORY_LIMIT, timeout=TIMEOUT, name="storm", preload=["numpy"])
                _run(pool, chance, drawn, outcomes)
                pool.close()
                pool.join()
        restarts = pool.stats().restarts
        findings = _audit(outcomes, count, tasks.executions(journal, count))
        kinds = Counter(type(outcome).__name__ for _, outcome, _ in outcomes if isinstance(outcome, BaseException))
        del pool, drawn, outcomes
        findings += _left_behind(before)
        grown = _memory() - memory
        if grown > GROWTH:
            findings.append(f"the parent's memory has grown by {grown / 2**20:.0f} MiB")
        findings += [f"a file is left: {path}" for path in own.iterdir()]
        tempfile.tempdir = None
    errors = ", ".join(f"{number} {name}" for name, number in kinds.most_common())
    return findings, f"{count} tasks, {restarts} restarts; {errors}; memory {grown / 2**20:+.0f} MiB"


def _one_calm_round(journal: str) -> None:
    """Import and allocate whatever the first use imports and allocates."""
    with Pool(2, memory_limit=MEMORY_LIMIT, timeout=TIMEOUT, preload=["numpy"]) as pool:
        calm = [Task(0, "plain", 0, os.devnull) for _ in range(2_000)]
        pool.map(tasks.run, calm)
        list(pool.imap_unordered(tasks.run, calm))
    Path(journal).write_bytes(b"")
    while any("allcores" in name for name in _threads()):  # the template lingers
        time.sleep(0.05)


@contextlib.contextmanager
def _wind(folder: str, seed: int, pause: float) -> Iterator[None]:
    ready = Path(folder, "ready")
    ready.touch()
    command = [sys.executable, "-m", "tests.storm.killer", str(os.getpid()), str(seed), str(pause), str(ready)]
    killer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        ready.unlink()
        killer.wait()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what tasks print, log and warn of, and what dying workers say, off the terminal."""
    logger = logging.getLogger("storm")
    logger.propagate = False
    logger.addHandler(handler := logging.NullHandler())
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(record=True),
    ):
        yield
    logger.removeHandler(handler)


def _run(pool: Pool, chance: random.Random, drawn: list[Task], outcomes: list[Outcome]) -> None:
    """Send the tasks through all doors, several at a time."""
    shared = pool.share(tasks.SHARED)
    drawn = [task._replace(load=shared) if task.kind == "shared" else task for task in drawn]
    runners: list[threading.Thread] = []
    position = 0
    while position < len(drawn):
        size = chance.choice((1, 20, 300, 1500))
        part = drawn[position : position + size]
        position += size
        door = chance.choice(_DOORS)
        runner = threading.Thread(target=door, args=(pool, part, outcomes))
        runner.start()
        runners.append(runner)
        while sum(runner.is_alive() for runner in runners) >= 4:
            time.sleep(0.005)
        runners = [runner for runner in runners if runner.is_alive()]
    for runner in runners:
        runner.join()


def _by_map(pool: Pool, part: list[Task], outcomes: list[Outcome]) -> None:
    values = pool.map(tasks.run, part, return_exceptions=True)
    outcomes += [(task, value, 1) for task, value in zip(part, values, strict=True)]


def _by_starmap(pool: Pool, part: list[Task], outcomes: list[Outcome]) -> None:
    values = pool.starmap(tasks.run_star, part, return_exceptions=True, retries=Retry(RETRIES, on=WorkerDied))
    outcomes += [(task, value, 1 + RETRIES) for task, value in zip(part, values, strict=True)]


def _by_apply_async(pool: Pool, part: list[Task], outcomes: list[Outcome]) -> None:
    results = [pool.apply_async(tasks.run, (task,)) for task in part]
    for task, result in zip(part, results, strict=True):
        outcomes.append((task, _fetch(result.get), 1))


def _by_apply_async_again(pool: Pool, part: list[Task], outcomes: list[Outcome]) -> None:
    retry = Retry(RETRIES, on=(WorkerDied, TaskTimeout), backoff=0.01)
    results = [pool.apply_async(tasks.run, (task,), retries=retry) for task in part]
    for task, result in zip(part, results, strict=True):
        outcomes.append((task, _fetch(result.get), 1 + RETRIES))


def _by_apply(pool: Pool, part: list[Task], outcomes: list[Outcome]) -> None:
    for task in part:
        outcomes.append((task, _fetch(lambda task=task: pool.apply(tasks.run, (task,), timeout=None)), 1)) if (
            task.kind != "hang"
        ) else _by_map(pool, [task], outcomes)


def _by_imap(pool: Pool, part: list[Task], outcomes: list[Outcome]) -> None:
    iterator = pool.imap(tasks.run, iter(part))
    for task in part:
        outcomes.append((task, _fetch(iterator.next), 1))


def _by_cancelling(pool: Pool, part: list[Task], outcomes: list[Outcome]) -> None:
    results = [pool.apply_async(tasks.run, (task,)) for task in part]
    for result in results[::3]:
        result.cancel()
    for task, result in zip(part, results, strict=True):
        outcomes.append((task, _fetch(result.get), 1))


_DOORS = (_by_map, _by_starmap, _by_apply_async, _by_apply_async_again, _by_apply, _by_imap, _by_cancelling)


def _fetch(get: Any) -> Any:
    try:
        return get()
    except BaseException as error:
        return error.with_traceback(None)


def _audit(outcomes: list[Outcome], count: int, executions: list[int]) -> list[str]:
    """Whether every task has one outcome, right or explained, and has been run as often as promised."""
    findings = []
    seen = Counter(task.index for task, _, _ in outcomes)
    for index in range(count):
        if seen[index] != 1:
            findings.append(f"task {index} has {seen[index]} outcomes")
    for task, outcome, most in outcomes:
        ran = executions[task.index]
        if ran > most:
            findings.append(f"{_brief(task)} was run {ran} times, {most} at most were promised")
        # Loading what a batch brings along counts as its first task's time.
        if not isinstance(outcome, (WorkerDied, CancelledError, TaskTimeout)) and not ran:
            findings.append(f"{_brief(task)} has the outcome {outcome!r:.100} and was never run")
        if not _explained(task, outcome):
            findings.append(f"{_brief(task)} has the outcome {outcome!r:.200}")
    return findings


def _explained(task: Task, outcome: Any) -> bool:
    # Whatever a task does, its worker may have been killed, and stopped workers and slow starts may cost its time.
    if isinstance(outcome, (MemoryLimitExceeded, CancelledError)):
        return task.kind == "devour" or isinstance(outcome, CancelledError)
    if isinstance(outcome, WorkerDied):
        return outcome.pid is not None and outcome.task is not None
    if isinstance(outcome, TaskTimeout):
        return task.kind in ("hang", "devour") or outcome.timeout == TIMEOUT
    if task.kind == "raise":
        return _right_error(task, outcome)
    if task.kind == "unpicklable":
        return isinstance(outcome, MaybeEncodingError)
    if task.kind in ("hang", "devour", "die"):
        return False
    if task.kind == "number":
        return type(outcome) is int and outcome == task.index
    if task.kind == "array":
        return (
            isinstance(outcome, np.ndarray) and len(outcome) == task.amount and bool((outcome == task.index + 1).all())
        )
    if task.kind == "large result":
        return bool(outcome == task.index.to_bytes(4, "little") * (task.amount // 4))
    expected = tasks.value(task)
    return type(outcome) is type(expected) and bool(outcome == expected)


def _right_error(task: Task, outcome: Any) -> bool:
    wanted = (
        ValueError,
        tasks.TwoArguments,
        tasks.Mute,
        SystemExit,
        tasks.Base,
        (StopIteration, RuntimeError),
        GeneratorExit,
        (OSError, RemoteError),
    )[task.index % 8]
    return isinstance(outcome, wanted)


def _brief(task: Task) -> str:
    return f"task {task.index} ({task.kind} {task.amount})"


def _belongings() -> dict[str, Any]:
    return {"descriptors": _descriptors(), "shared memory": sorted(os.listdir("/dev/shm")), "threads": _threads()}


def _descriptors() -> list[str]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{fd}").split(":")[0])
    return sorted(found)


def _threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate())


def _memory() -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what the C allocator keeps for later is not what the program holds
    return psutil.Process().memory_info().rss


def _left_behind(before: dict[str, Any]) -> list[str]:
    """What is there now that was not there before, after a moment for the template to leave."""
    give_up = time.monotonic() + LINGER + 3
    while True:
        gc.collect()
        found = [f"a process is left: {_name(child)}" for child in psutil.Process().children(recursive=True)]
        found += [f"an orphan is left: {process.pid}" for process in psutil.process_iter() if _is_orphan(process)]
        now = _belongings()
        found += [f"{what}: before {before[what]}, now {now[what]}" for what in now if now[what] != before[what]]
        if not found or time.monotonic() > give_up:
            return found
        time.sleep(0.05)


def _name(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {process.status()} {' '.join(process.cmdline())[:100]}"
    except psutil.Error:
        return str(process.pid)


def _is_orphan(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[1:2] == [str(tasks.ORPHAN_SECONDS)] and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


if __name__ == "__main__":
    sys.exit(main())
