"""The rows of "Hangs and crashes" and "Memory" in the list of known failures of process pools, one after the other.

Each test is named after what happens elsewhere; `docs/reliability.md` has the table. Rows on locks are in
`test_locks`, `test_semaphores`, `test_conditions` and `test_barriers`. More about each matter is in `test_deaths`,
`test_deadlines`, `test_retries`, `test_supervision`, `test_parent` and `test_citizens`.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import psutil
import pytest

import reliability_tasks as tasks
from allcores import MemoryLimitExceeded, Pool, PoolBroken, TaskTimeout, WorkerDied
from test_parent import GONE, Program, program  # noqa: F401  # the fixture

pytestmark = pytest.mark.timeout(45)

WaitUntil = Callable[..., None]
Start = Callable[[str], Program]

#: Seconds after which a result that has not come never will.
SOON = 15.0


def outcome_of(result: Any) -> Any:
    """What a result holds: a value, or the exception."""
    try:
        return result.get(SOON)
    except BaseException as error:
        return error


# Hangs and crashes


@pytest.mark.parametrize("how", list(tasks.DEATHS))
def test_a_worker_is_killed_and_map_waits_for_ever(
    processes: Pool, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    items = [("/dev/null", x, (7,), how, "int") for x in range(40)]
    with pytest.raises(WorkerDied) as caught:
        processes.map_async(tasks.work_or_die_packed, items).get(SOON)
    assert caught.value.exitcode == tasks.DEATHS[how]
    outcomes = processes.map(tasks.work_or_die_packed, items, return_exceptions=True)
    assert isinstance(outcomes.pop(7), WorkerDied)
    assert outcomes == [3 * x for x in range(40) if x != 7]


def test_one_dead_worker_destroys_the_executor(processes: Pool, tmp_path: Path) -> None:
    in_flight = [processes.apply_async(tasks.nap, (0.3, x)) for x in range(2)]
    deadly = processes.apply_async(tasks.die, ("SIGKILL",))
    queued = [processes.apply_async(tasks.same, (x,)) for x in range(50)]
    assert isinstance(outcome_of(deadly), WorkerDied)
    assert [result.get(SOON) for result in (*in_flight, *queued)] == [0, 1, *range(50)]
    # One that keeps killing its workers is given up after as many attempts as it was given.
    again = processes.apply_async(tasks.die_times, (str(tmp_path / "calls"), 99), retries=2)
    error = outcome_of(again)
    assert isinstance(error, WorkerDied)
    assert error.deaths == 3
    assert processes.apply(tasks.same, (1,)) == 1


def test_an_exception_that_cannot_be_unpickled(processes: Pool, caplog: pytest.LogCaptureFixture) -> None:
    error = outcome_of(processes.apply_async(tasks.raise_two_arguments))
    assert isinstance(error, tasks.TwoArguments)
    assert error.code == 404
    assert "raise_two_arguments" in str(error.__cause__)
    stand_in = outcome_of(processes.apply_async(tasks.raise_exits_when_loaded))
    assert "ExitsWhenLoaded" in f"{type(stand_in).__name__} {stand_in}"
    assert "raise_exits_when_loaded" in str(stand_in.__cause__)
    outcomes = processes.map(tasks.raise_two_arguments, range(5), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [tasks.TwoArguments] * 5
    assert processes.apply_async(tasks.same, (1,)).get(SOON) == 1


def test_an_argument_or_a_result_that_cannot_be_pickled(processes: Pool) -> None:
    error = outcome_of(processes.apply_async(tasks.same, ({"fine": 1, "lock": threading.Lock()},)))
    assert isinstance(error, (TypeError, pickle.PicklingError))
    assert "lock" in str(error)
    error = outcome_of(processes.apply_async(tasks.return_a_lock))
    assert isinstance(error, multiprocessing.pool.MaybeEncodingError)
    assert "lock" in str(error)
    outcomes = processes.map(tasks.same, [1, threading.Lock(), 3], return_exceptions=True)
    assert [outcomes[0], outcomes[2]] == [1, 3]
    assert isinstance(outcomes[1], Exception)
    assert outcome_of(processes.apply_async(tasks.return_exits_when_loaded)).__class__ is not None
    assert processes.map(tasks.same, range(10)) == list(range(10))


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("sys.exit", SystemExit),
        ("KeyboardInterrupt", KeyboardInterrupt),
        ("GeneratorExit", GeneratorExit),
        ("BaseException", BaseException),
    ],
)
def test_sys_exit_in_a_task(processes: Pool, how: str, error: type[BaseException]) -> None:
    assert type(outcome_of(processes.apply_async(tasks.leave, (how,)))) is error
    outcomes = processes.map(tasks.leave, [how] * 3, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [error] * 3
    assert processes.apply(tasks.same, (1,)) == 1


def test_a_callback_raises_and_every_get_hangs(processes: Pool, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("from the callback")

    assert processes.apply_async(tasks.same, (1,), callback=fail).get(SOON) == 1
    assert [processes.apply_async(tasks.same, (x,)).get(SOON) for x in range(5)] == list(range(5))
    assert "from the callback" in caplog.text


def test_an_initializer_that_raises_is_tried_for_ever(tmp_path: Path) -> None:
    path = str(tmp_path / "starts")
    with Pool(2, tasks.fail_to_initialize, (path, "raise")) as pool:
        results = [pool.apply_async(tasks.same, (x,)) for x in range(4)]
        for result in results:
            error = outcome_of(result)
            assert isinstance(error, PoolBroken)
            assert isinstance(error.__cause__, LookupError)
    assert len(tasks.marks(path)) <= 12


def test_fork_in_a_program_with_threads_inherits_locked_locks() -> None:
    """Workers are made while somebody holds a lock that a task needs: the task finds it free."""
    with tasks.program_lock, Pool(1) as pool:
        assert pool.apply_async(tasks.take_program_lock).get(SOON)


def test_ctrl_c_is_a_wall_of_tracebacks_then_a_hang(program: Start, wait_until: WaitUntil) -> None:  # noqa: F811
    running = program(
        "with Pool(2) as pool:\n"
        "    pool.map(tasks.nap, [0.1, 0.1]); print('ready', flush=True)\n"
        "    pool.map(tasks.nap, [60] * 10)\n"
    )
    assert running.process.stdout is not None
    assert running.process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    running.look()
    began = time.monotonic()
    os.killpg(running.process.pid, 2)
    _, _, err = running.finish(10)
    assert time.monotonic() - began < GONE
    assert err.count("Traceback") == 1
    wait_until(lambda: not running.left(), GONE)


def test_the_parent_is_killed_and_workers_live_on(program: Start, wait_until: WaitUntil) -> None:  # noqa: F811
    """Also where a sibling could hold the write end of a pipe, and where another thread has started the workers."""
    running = program(
        "pool = Pool(3)\n"
        "thread = threading.Thread(target=lambda: pool.map(tasks.nap, [0.1] * 3)); thread.start(); thread.join()\n"
        "results = [pool.apply_async(tasks.hold_the_interpreter, (60,)) for _ in range(2)]\n"
        "time.sleep(0.4); print('ready', flush=True); time.sleep(60)\n"
    )
    assert running.process.stdout is not None
    assert running.process.stdout.readline() == "ready\n"
    assert len(running.look()) == 4  # they outlive the thread that has started them
    os.kill(running.process.pid, 9)
    wait_until(lambda: not running.left(), GONE)
    assert running.process.stdout.read() == ""  # nobody holds the pipe


def test_a_pool_is_dropped_without_close_or_alive_at_the_end(
    program: Start,  # noqa: F811
    wait_until: WaitUntil,
) -> None:
    here = {"pool": Pool(2)}
    workers = set(here["pool"].map(tasks.pid, range(10)))
    with pytest.warns(ResourceWarning):
        here.clear()
    wait_until(lambda: not any(psutil.pid_exists(worker) for worker in workers))

    running = program("pool = Pool(2); result = pool.apply_async(tasks.nap, (60,)); pool.apply(tasks.same, (1,))\n")
    code, _, err = running.finish(10)
    assert code == 0
    assert "Traceback" not in err


def test_recycling_workers_after_n_tasks_deadlocks() -> None:
    with Pool(2, maxtasksperchild=1) as pool:
        results = [pool.apply_async(tasks.same, (x,)) for x in range(30)]
        assert [result.get(SOON) for result in results] == list(range(30))
    pool = Pool(2, maxtasksperchild=3)
    result = pool.map_async(tasks.same, range(50))
    pool.close()
    pool.join()
    assert result.get(0) == list(range(50))


def test_killing_or_cancelling_races_with_the_next_dispatch(processes: Pool) -> None:
    for turn in range(15):
        running = [processes.apply_async(tasks.nap, (30,)) for _ in range(2)]
        behind = [processes.apply_async(tasks.same, (x,)) for x in range(10)]
        late = processes.apply_async(tasks.nap, (30,), timeout=0.01)
        time.sleep(0.01 * (turn % 3))
        for result in running:
            result.cancel()
        assert [type(outcome_of(result)) for result in running] == [CancelledError] * 2
        assert [result.get(SOON) for result in behind] == list(range(10))
        assert isinstance(outcome_of(late), TaskTimeout)


@pytest.mark.parametrize("end", ["terminate", "close"])
def test_a_shutdown_that_cancels_leaves_nobody_waiting(end: str) -> None:
    pool = Pool(2)
    results = [pool.apply_async(tasks.nap, (0.2, x)) for x in range(6)]
    heard: list[Any] = []
    waiting = [threading.Thread(target=lambda r=result: heard.append(outcome_of(r))) for result in results]
    for thread in waiting:
        thread.start()
    time.sleep(0.1)
    getattr(pool, end)()
    for thread in waiting:
        thread.join(SOON)
    pool.join()
    if end == "close":
        assert sorted(heard) == list(range(6))
    else:
        assert len(heard) == 6
        assert all(isinstance(outcome, CancelledError) for outcome in heard)


def test_submitting_very_many_tasks_fills_a_pipe(one: Pool) -> None:
    """The worker is busy; nothing is read from the other end while all this is submitted."""
    blocking = one.apply_async(tasks.nap, (1.0,))
    done = threading.Event()
    results: list[Any] = []

    def submit() -> None:
        results.extend(one.apply_async(tasks.same, (x,)) for x in range(30_000))
        done.set()

    threading.Thread(target=submit, daemon=True).start()
    assert done.wait(SOON)
    assert blocking.get(SOON) is None
    assert [result.get(SOON) for result in results] == list(range(30_000))


def test_a_queued_item_over_64_kb_and_a_parent_in_join() -> None:
    pool = Pool(2)
    results = [pool.apply_async(bytes, (1_000_000,)) for _ in range(20)]
    results += [pool.apply_async(len, (bytes(1_000_000),)) for _ in range(20)]
    pool.close()
    joining = threading.Thread(target=pool.join, daemon=True)
    joining.start()
    joining.join(SOON)
    assert not joining.is_alive()
    assert [result.get(0) for result in results] == [bytes(1_000_000)] * 20 + [1_000_000] * 20


def test_large_things_both_ways_at_once(processes: Pool) -> None:
    """A worker that sends while the parent sends to it: neither waits for the other."""
    items = [bytes([x]) * 3_000_000 for x in range(16)]
    assert processes.map_async(tasks.same, items).get(SOON * 2) == items


# Memory


@pytest.mark.parametrize("way", ["imap", "imap_unordered"])
def test_the_whole_input_is_swallowed(processes: Pool, way: str) -> None:
    drawn = 0

    def endless() -> Iterator[int]:
        nonlocal drawn
        for number in itertools.count():
            drawn += 1
            yield number

    results = getattr(processes, way)(tasks.same, endless())
    assert results.next(SOON) in range(10)
    time.sleep(0.3)
    assert drawn <= 1100
    few = getattr(processes, way)(tasks.same, endless(), buffersize=5)
    drawn = 0
    first = {few.next(SOON) for _ in range(10)}
    time.sleep(0.2)
    assert drawn <= 16
    assert max(first) < 16


@pytest.mark.parametrize("way", ["imap", "imap_unordered"])
def test_close_and_join_after_partial_consumption_return(way: str) -> None:
    pool = Pool(2)
    results = getattr(pool, way)(tasks.same, itertools.count())
    assert results.next(SOON) in range(10)
    pool.close()
    joining = threading.Thread(target=pool.join, daemon=True)
    joining.start()
    joining.join(SOON)
    assert not joining.is_alive()


def test_results_pile_up_when_the_consumer_is_slow(processes: Pool, tmp_path: Path) -> None:
    path = str(tmp_path / "begun")

    def work(x: int) -> bytes:
        tasks.mark(path, x)
        return bytes(100_000)

    results = processes.imap(work, itertools.count(), buffersize=8)
    for fetched in range(1, 20):
        assert len(results.next(SOON)) == 100_000
        time.sleep(0.01)
        assert len(tasks.marks(path)) <= fetched + 9


def test_big_arrays_arrive_writable_and_private(processes: Pool) -> None:
    numpy = pytest.importorskip("numpy")

    def double(array: Any) -> Any:
        array *= 2
        return array

    array = numpy.arange(1_000_000)
    doubled = processes.apply_async(double, (array,)).get(SOON)
    assert (doubled == 2 * array).all()
    assert array[3] == 3
    doubled[0] = 7
    assert doubled[0] == 7


def test_dev_shm_is_full_and_files_are_left_after_a_kill(processes: Pool, tmp_path: Path) -> None:
    """Nothing has a name in /dev/shm or in the folder for temporary files, so nothing can be left there."""

    def names() -> set[str]:
        return {*os.listdir("/dev/shm"), *os.listdir("/tmp")}

    before = names()
    result = processes.apply_async(tasks.nap, (30,))
    processes.map(tasks.same, [bytes(300_000)] * 4)
    assert not {name for name in names() - before if "allcores" in name or "pym" in name or "psm" in name}
    for entry in processes.stats().workers:
        if entry.alive and entry.pid:
            os.kill(entry.pid, 9)
    assert isinstance(outcome_of(result), WorkerDied)
    assert not {name for name in names() - before if "allcores" in name or "pym" in name or "psm" in name}


def test_the_resource_tracker_unlinks_what_others_use(program: Start) -> None:  # noqa: F811
    """There is no tracker, as there is nothing with a name to track, and so no warning of leaks."""
    running = program(
        "pool = Pool(2)\npool.map(tasks.same, [bytes(300_000)] * 4)\n"
        "tracker = sys.modules.get('multiprocessing.resource_tracker')\n"
        "print(tracker is None or tracker._resource_tracker._pid is None)\n"
        "os.kill(pool.apply(tasks.pid), 9); pool.map(tasks.same, range(10)); pool.terminate()\n"
    )
    code, out, err = running.finish()
    assert (code, out) == (0, "True\n")
    assert "leak" not in err


def test_leaky_native_code(processes: Pool) -> None:
    """`maxtasksperchild` and `memory_limit`, with messages that tell the truth."""
    with Pool(1, maxtasksperchild=2) as pool:
        assert len(set(pool.map(tasks.pid, range(6)))) == 3
    with Pool(1, memory_limit="150MB") as pool:
        with pytest.raises(MemoryLimitExceeded) as caught:
            pool.apply(tasks.eat, (300 * 2**20,))
        assert "memory_limit" in str(caught.value)
        assert "eat(" in str(caught.value)
        assert pool.apply(tasks.same, (1,)) == 1


def test_a_real_want_of_memory_under_a_limit_of_the_kernel() -> None:
    with Pool(1, tasks.limit_address_space, (1 << 30,)) as pool:
        outcomes = pool.starmap(tasks.eat, [(1 << 20, 0), (4 << 30, 0), (1 << 20, 0)], return_exceptions=True)
    assert [outcomes[0], outcomes[2]] == [1 << 20, 1 << 20]
    assert isinstance(outcomes[1], MemoryError)


def test_neither_sem_open_nor_dev_shm_is_needed(tmp_path: Path) -> None:
    """Some platforms have none: there, the standard pool cannot even be made."""
    script = tmp_path / "program.py"
    script.write_text(
        "import sys\n"
        "sys.modules['_multiprocessing'] = None\n"
        "sys.modules['_posixshmem'] = None\n"
        "from allcores import Pool\n"
        "with Pool(2) as pool:\n"
        "    print(pool.map(abs, range(-5, 0)))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "[5, 4, 3, 2, 1]\n", done.stderr
