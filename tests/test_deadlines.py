"""Limits in time and cancelling: that task only, with all that it has started, and from its own start on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import psutil
import pytest

import reliability_tasks as tasks
from allcores import Pool, TaskTimeout, WorkerDied

pytestmark = pytest.mark.timeout(45)

WaitUntil = Callable[..., None]

#: Seconds after which a result that has not come never will.
SOON = 15.0


def _slow(*values: Any) -> Any:
    """A parameter for the long suite only."""
    return pytest.param(*values, marks=pytest.mark.slow)


def is_alive(number: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# Where a limit comes from


def test_a_pools_timeout_ends_a_task() -> None:
    with Pool(1, timeout=0.2) as pool:
        began = time.monotonic()
        with pytest.raises(TaskTimeout) as caught:
            pool.apply(tasks.nap, (30,))
        assert 0.2 <= time.monotonic() - began < 10
        assert caught.value.timeout == 0.2
        assert caught.value.task == "nap(30)"
        assert "nap(30)" in str(caught.value)
        assert "0.2 s" in str(caught.value)
        assert pool.apply(tasks.same, (1,)) == 1


def test_a_timeout_is_what_programs_already_catch() -> None:
    assert issubclass(TaskTimeout, multiprocessing.TimeoutError)
    assert issubclass(TaskTimeout, TimeoutError)


_WAYS: dict[str, Callable[[Pool], Any]] = {
    "apply": lambda pool: pool.apply(tasks.nap, (30,), timeout=0.2),
    "apply_async": lambda pool: pool.apply_async(tasks.nap, (30,), timeout=0.2).get(SOON),
    "map": lambda pool: pool.map(tasks.nap, [30], timeout=0.2),
    "starmap": lambda pool: pool.starmap(tasks.nap, [(30,)], timeout=0.2),
    "map_async": lambda pool: pool.map_async(tasks.nap, [30], timeout=0.2).get(SOON),
    "imap": lambda pool: pool.imap(tasks.nap, [30], timeout=0.2).next(SOON),
    "imap_unordered": lambda pool: pool.imap_unordered(tasks.nap, [30], timeout=0.2).next(SOON),
}


@pytest.mark.parametrize("way", [way if way in ("apply", "map", "imap") else _slow(way) for way in _WAYS])
def test_a_calls_timeout_ends_a_task(one: Pool, way: str) -> None:
    with pytest.raises(TaskTimeout):
        _WAYS[way](one)
    assert one.apply(tasks.same, (1,)) == 1


def test_a_calls_timeout_stands_in_for_the_pools() -> None:
    with Pool(1, timeout=0.2) as pool:
        assert pool.apply(tasks.nap, (0.5, "slow"), timeout=None) == "slow"
        assert pool.apply(tasks.nap, (0.5, "slow"), timeout=10) == "slow"
        with pytest.raises(TaskTimeout):
            pool.apply(tasks.nap, (0.5, "slow"))


@pytest.mark.slow
def test_tasks_with_different_limits_do_not_share_one(one: Pool) -> None:
    short = one.apply_async(tasks.nap, (0.6,), timeout=0.2)
    long = one.apply_async(tasks.nap, (0.6, "long"), timeout=10)
    none = one.apply_async(tasks.nap, (0.6, "none"))
    with pytest.raises(TaskTimeout):
        short.get(SOON)
    assert long.get(SOON) == "long"
    assert none.get(SOON) == "none"


@pytest.mark.parametrize("timeout", [float("inf"), 30 * 86400, 1e18])
def test_a_limit_beyond_all_measure_is_no_limit(one: Pool, timeout: float) -> None:
    assert one.apply_async(tasks.nap, (0.1, "done"), timeout=timeout).get(SOON) == "done"
    assert one.map(tasks.same, range(100), timeout=timeout) == list(range(100))
    assert one.apply_async(tasks.same, (1,)).get(SOON) == 1


def test_waiting_for_a_result_ends_nothing(one: Pool) -> None:
    result = one.apply_async(tasks.nap, (0.5, "done"))
    with pytest.raises(multiprocessing.TimeoutError) as caught:
        result.get(0.1)
    assert not isinstance(caught.value, TaskTimeout)
    assert result.get(SOON) == "done"


# From when it counts


def test_a_timeout_counts_from_the_tasks_start(one: Pool) -> None:
    results = [one.apply_async(tasks.nap, (0.2, number), timeout=0.6) for number in range(5)]
    assert [result.get(SOON) for result in results] == list(range(5))  # the last one has waited 0.8 s


def test_a_timeout_does_not_count_the_start_of_the_worker() -> None:
    with Pool(1, tasks.initialize_slowly, (1.2,), timeout=0.8) as pool:
        assert pool.apply_async(tasks.nap, (0.1, "done")).get(SOON) == "done"


@pytest.mark.slow
def test_a_timeout_counts_for_each_item_of_a_chunk(one: Pool) -> None:
    assert one.map(tasks.nap, [0.2] * 5, chunksize=5, timeout=0.6) == [None] * 5


def test_a_timeout_counts_the_loading_of_arguments(one: Pool) -> None:
    outcomes = one.map(tasks.same, [tasks.TakesForeverToLoad()], timeout=0.3, return_exceptions=True)
    assert isinstance(outcomes[0], TaskTimeout)
    with pytest.raises(TaskTimeout):
        one.apply(tasks.same, (tasks.TakesForeverToLoad(),), timeout=0.3)
    assert one.apply(tasks.same, (1,)) == 1


def test_a_timeout_counts_the_packing_of_the_result(one: Pool) -> None:
    class TakesForeverToPickle:
        def __reduce__(self) -> tuple[Any, ...]:
            time.sleep(30)
            return int, ()

    def make() -> TakesForeverToPickle:
        return TakesForeverToPickle()

    with pytest.raises(TaskTimeout):
        one.apply(make, timeout=0.3)
    assert one.apply(tasks.same, (1,)) == 1


# In a map


def test_a_map_hands_back_timeouts_in_place(processes: Pool) -> None:
    def work(x: int) -> int:
        time.sleep(30 if x in (2, 5) else 0)
        return x

    outcomes = processes.map(work, range(8), timeout=0.8, return_exceptions=True)
    assert [x for x in range(8) if isinstance(outcomes[x], TaskTimeout)] == [2, 5]
    assert [outcomes[2].task, outcomes[5].task] == [f"{work.__qualname__}(2)", f"{work.__qualname__}(5)"]
    assert [outcomes[x] for x in range(8) if x not in (2, 5)] == [0, 1, 3, 4, 6, 7]


def test_a_timeout_in_a_chunk_costs_one_item_and_no_item_starts_twice(one: Pool, tmp_path: Path) -> None:
    path = str(tmp_path / "begun")

    def work(x: int) -> int:
        tasks.mark(path, x)
        time.sleep(30 if x == 3 else 0)
        return x

    outcomes = one.map(work, range(10), chunksize=10, timeout=0.8, return_exceptions=True)
    assert isinstance(outcomes.pop(3), TaskTimeout)
    assert outcomes == [x for x in range(10) if x != 3]
    assert Counter(tasks.marks(path)) == Counter(map(str, range(10)))


@pytest.mark.slow
def test_imap_goes_on_after_a_timeout(processes: Pool) -> None:
    def work(x: int) -> int:
        time.sleep(30 if x == 1 else 0)
        return x

    results = processes.imap(work, range(4), timeout=0.8)
    assert results.next(SOON) == 0
    with pytest.raises(TaskTimeout):
        results.next(SOON)
    assert [results.next(SOON), results.next(SOON)] == [2, 3]


def test_a_timeout_close_to_what_tasks_take_blames_the_right_ones(processes: Pool, tmp_path: Path) -> None:
    """Tasks end about when their limit is up; whoever ends in time must not pay for a neighbour."""
    path = str(tmp_path / "begun")

    def work(x: int) -> int:
        tasks.mark(path, x)
        time.sleep(0.2 if x % 4 == 0 else 0.001)
        return x

    processes.map(tasks.nap, [0.1, 0.1])  # both workers have started
    outcomes = processes.map(work, range(40), chunksize=5, timeout=0.2, return_exceptions=True)
    for x, outcome in enumerate(outcomes):
        if isinstance(outcome, TaskTimeout):
            assert x % 4 == 0
            assert outcome.task == f"{work.__qualname__}({x})"
        else:
            assert outcome == x
    assert max(Counter(tasks.marks(path)).values()) == 1


# How a task is ended


def test_a_task_that_ignores_sigterm_is_ended_all_the_same(one: Pool) -> None:
    began = time.monotonic()
    with pytest.raises(TaskTimeout):
        one.apply(tasks.ignore_sigterm_and_nap, (30,), timeout=0.2)
    assert time.monotonic() - began < 10
    assert one.apply(tasks.same, (1,)) == 1


def test_a_task_that_ends_in_its_grace_harms_no_neighbour(one: Pool) -> None:
    def work(x: int) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(0.7 if x == 0 else 0.3)
        return x

    outcomes = one.map(work, range(4), chunksize=4, timeout=0.5, return_exceptions=True)
    assert isinstance(outcomes[0], TaskTimeout)
    assert outcomes[1:] == [1, 2, 3]


def test_a_task_may_clean_up_on_sigterm(one: Pool, tmp_path: Path) -> None:
    path = str(tmp_path / "marks")
    with pytest.raises(TaskTimeout):
        one.apply(tasks.mark_on_sigterm, (path, 30), timeout=0.9)
    assert tasks.marks(path) == ["ready", "cleaned up"]


@pytest.mark.parametrize("function", [tasks.hold_the_interpreter, tasks.compute])
def test_a_task_busy_in_c_is_ended(one: Pool, function: Callable[[int], int]) -> None:
    with pytest.raises(TaskTimeout):
        one.apply(function, (30,), timeout=0.2)
    assert one.apply(tasks.same, (1,)) == 1


@pytest.mark.parametrize("kind", [_slow("plain"), "stubborn", "daemon"])
@pytest.mark.parametrize("context", ["forkserver", _slow("fork")])
def test_processes_that_a_task_has_started_end_with_it(
    tmp_path: Path, wait_until: WaitUntil, kind: str, context: str
) -> None:
    path = str(tmp_path / "pids")
    with Pool(1, context=multiprocessing.get_context(context)) as pool:
        result = pool.apply_async(tasks.start_processes, (path, kind, 30), timeout=1.0)
        wait_until(lambda: tasks.marks(path), SOON)
        child = int(tasks.marks(path)[0])
        assert is_alive(child)
        try:
            with pytest.raises(TaskTimeout):
                result.get(SOON)
            wait_until(lambda: not is_alive(child))
        finally:
            if is_alive(child):
                os.kill(child, signal.SIGKILL)
        assert pool.apply(tasks.same, (1,)) == 1


def test_another_worker_takes_over(one: Pool) -> None:
    before = one.apply(tasks.pid)
    with pytest.raises(TaskTimeout):
        one.apply(tasks.nap, (30,), timeout=0.1)
    after = one.apply(tasks.pid)
    assert after != before
    assert not is_alive(before)


def test_many_timeouts_in_a_row(processes: Pool) -> None:
    outcomes = processes.map(tasks.nap, [30] * 8, timeout=0.05, return_exceptions=True)
    assert all(isinstance(outcome, TaskTimeout) for outcome in outcomes)
    assert processes.map(tasks.same, range(20)) == list(range(20))


def test_a_worker_that_dies_before_its_deadline_has_died(one: Pool) -> None:
    with pytest.raises(WorkerDied):
        one.apply(tasks.die, ("SIGKILL",), timeout=10)


def test_a_thread_past_its_deadline_is_left_to_itself() -> None:
    release = threading.Event()
    with Pool(1, engine="threads") as pool:
        with pytest.raises(TaskTimeout):
            pool.apply_async(release.wait, (30,), timeout=0.2).get(SOON)
        assert pool.apply_async(tasks.same, (1,)).get(SOON) == 1
        release.set()


# Cancelling


def test_cancelling_a_task_that_waits(one: Pool, tmp_path: Path) -> None:
    path = str(tmp_path / "begun")
    first = one.apply_async(tasks.nap, (0.5, "first"))
    waiting = one.apply_async(tasks.nap_and_mark, (path, "waiting", 0))
    last = one.apply_async(tasks.nap, (0, "last"))
    assert waiting.cancel()
    with pytest.raises(CancelledError):
        waiting.get(0.2)  # at once, not when its turn would have come
    assert (first.get(SOON), last.get(SOON)) == ("first", "last")
    assert tasks.marks(path) == []


def test_cancelling_a_task_that_runs_stops_it_and_what_it_started(
    one: Pool, tmp_path: Path, wait_until: WaitUntil
) -> None:
    path = str(tmp_path / "pids")
    worker = one.apply(tasks.pid)
    result = one.apply_async(tasks.start_processes, (path, "plain", 30))
    behind = one.apply_async(tasks.same, ("behind",))
    wait_until(lambda: tasks.marks(path), SOON)
    child = int(tasks.marks(path)[0])
    assert result.cancel()
    with pytest.raises(CancelledError):
        result.get(SOON)
    assert behind.get(SOON) == "behind"
    wait_until(lambda: not is_alive(worker) and not is_alive(child))


def test_cancelling_a_task_that_is_done_changes_nothing(one: Pool) -> None:
    result = one.apply_async(tasks.same, (1,))
    assert result.get(SOON) == 1
    assert not result.cancel()
    assert result.get() == 1
    failed = one.apply_async(tasks.fail_on, (1, 1))
    with pytest.raises(ValueError):
        failed.get(SOON)
    assert not failed.cancel()


def test_cancelling_twice(one: Pool) -> None:
    result = one.apply_async(tasks.nap, (30,))
    time.sleep(0.3)
    assert result.cancel()
    result.cancel()
    with pytest.raises(CancelledError):
        result.get(SOON)
    assert not result.cancel()


def test_cancelling_a_map(processes: Pool, tmp_path: Path, wait_until: WaitUntil) -> None:
    path = str(tmp_path / "begun")
    result = processes.starmap_async(tasks.nap_and_mark, [(path, x, 0.2) for x in range(40)])
    wait_until(lambda: len(tasks.marks(path)) >= 3, SOON)
    assert result.cancel()
    with pytest.raises(CancelledError):
        result.get(SOON)
    begun = len(tasks.marks(path))
    time.sleep(0.5)
    assert len(tasks.marks(path)) <= begun < 40
    assert processes.map(tasks.same, range(10)) == list(range(10))


def test_cancelling_a_map_that_hands_errors_back_keeps_what_was_done(processes: Pool) -> None:
    def work(x: int) -> int:
        time.sleep(0 if x < 4 else 30)
        return x

    result = processes.map_async(work, range(10), return_exceptions=True)
    time.sleep(0.8)
    assert result.cancel()
    outcomes = result.get(SOON)
    assert outcomes[:4] == [0, 1, 2, 3]
    assert all(isinstance(outcome, CancelledError) for outcome in outcomes[4:])


def test_cancelling_one_of_a_batch_harms_no_neighbour(one: Pool, tmp_path: Path) -> None:
    """Calls of one task each travel together; the one given up may be done, running or waiting."""
    path = str(tmp_path / "begun")

    def work(x: int) -> int:
        tasks.mark(path, x)
        time.sleep(0.15 if x % 8 == 3 else 0)
        return x

    for victim in range(8):
        for x in range(200):
            one.apply_async(work, (8 * x,)).get(SOON) if x < 30 else None
        os.unlink(path)
        results = [one.apply_async(work, (x,)) for x in range(8)]
        time.sleep(0.05)
        cancelled = results[victim].cancel()
        for x, result in enumerate(results):
            if x == victim and cancelled:
                with pytest.raises(CancelledError):
                    result.get(SOON)
            else:
                assert result.get(SOON) == x
        assert max(Counter(tasks.marks(path)).values()) == 1


def test_cancelling_races_with_tasks_that_end(processes: Pool) -> None:
    for _ in range(150):
        result = processes.apply_async(tasks.same, (1,))
        if result.cancel():
            with pytest.raises(CancelledError):
                result.get(SOON)
        else:
            assert result.get(SOON) == 1
    assert processes.map(tasks.same, range(10)) == list(range(10))


def test_a_thread_that_waits_hears_of_a_cancellation(one: Pool) -> None:
    result = one.apply_async(tasks.nap, (30,))
    heard: list[BaseException] = []

    def wait() -> None:
        try:
            result.get(SOON)
        except BaseException as error:
            heard.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    result.cancel()
    thread.join(SOON)
    assert isinstance(heard[0], CancelledError)


def test_a_cancelled_task_calls_its_error_callback_once(one: Pool, wait_until: WaitUntil) -> None:
    errors: list[BaseException] = []
    running = one.apply_async(tasks.nap, (30,), error_callback=errors.append)
    waiting = one.apply_async(tasks.nap, (30,), error_callback=errors.append)
    time.sleep(0.3)
    running.cancel()
    waiting.cancel()
    running.wait(SOON)
    waiting.wait(SOON)
    assert [type(error) for error in errors] == [CancelledError, CancelledError]


def test_a_cancelled_task_is_not_tried_again(one: Pool, tmp_path: Path) -> None:
    path = str(tmp_path / "begun")
    result = one.apply_async(tasks.nap_and_mark, (path, "x", 30), retries=5)
    time.sleep(0.4)
    result.cancel()
    with pytest.raises(CancelledError):
        result.get(SOON)
    time.sleep(0.2)
    assert tasks.marks(path) == ["x"]


@pytest.mark.parametrize("engine", ["threads", "serial"])
@pytest.mark.slow
def test_cancelling_where_tasks_cannot_be_stopped(engine: str) -> None:
    with Pool(1, engine=engine) as pool:
        result = pool.apply_async(tasks.nap, (0.3, "done"))
        if result.cancel():
            with pytest.raises(CancelledError):
                result.get(SOON)
        else:
            assert result.get(SOON) == "done"
        assert pool.apply(tasks.same, (1,)) == 1
