"""Retries: as often as asked, on what was asked, after the pauses that were asked; and never unasked."""

from __future__ import annotations

import logging
import math
import multiprocessing
import sys
import time
from collections import Counter
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reliability_tasks as tasks
from allcores import MemoryLimitExceeded, Pool, PoolBroken, Retry, TaskTimeout, WorkerDied

pytestmark = pytest.mark.timeout(45)

#: Seconds after which a result that has not come never will.
SOON = 15.0


def _slow(*values: Any) -> Any:
    """A parameter for the long suite only."""
    return pytest.param(*values, marks=pytest.mark.slow)


# How often


@pytest.mark.parametrize("engine", ["processes", "threads", "serial"])
def test_a_task_is_tried_until_it_works(engine: str, tmp_path: Path) -> None:
    path = str(tmp_path / "calls")
    with Pool(2, engine=engine) as pool:
        assert pool.apply_async(tasks.fail_times, (path, 2), retries=5).get(SOON) == 3
    assert len(tasks.marks(path)) == 3


@pytest.mark.parametrize("retries", [1, 3, Retry(3)])
def test_a_task_that_never_works_is_tried_as_often_as_asked(
    processes: Pool, tmp_path: Path, retries: int | Retry
) -> None:
    path = str(tmp_path / "calls")
    times = 3 if isinstance(retries, Retry) else retries
    with pytest.raises(OSError, match=f"attempt {times + 1}"):  # the last error, not the first
        processes.apply(tasks.fail_times, (path, 99), retries=retries)
    assert len(tasks.marks(path)) == times + 1


@pytest.mark.parametrize("retries", [0, _slow(None), _slow(Retry(0))])
def test_nothing_is_tried_again_unasked(processes: Pool, tmp_path: Path, retries: Any) -> None:
    path = str(tmp_path / "calls")
    with pytest.raises(OSError, match="attempt 1"):
        processes.apply(tasks.fail_times, (path, 99))
    with pytest.raises(OSError, match="attempt 2"):
        processes.apply(tasks.fail_times, (path, 99), retries=retries)
    with pytest.raises(WorkerDied):
        processes.apply(tasks.die_times, (str(tmp_path / "deaths"), 99))
    with pytest.raises(TaskTimeout):
        processes.apply(tasks.sleep_times, (str(tmp_path / "naps"), 99, 30), timeout=1.0)
    assert [len(tasks.marks(str(tmp_path / name))) for name in ("calls", "deaths", "naps")] == [2, 1, 1]


def test_a_calls_retries_stand_in_for_the_pools(tmp_path: Path) -> None:
    path = str(tmp_path / "calls")
    with Pool(1, retries=2) as pool:
        assert pool.apply(tasks.fail_times, (path, 2)) == 3
        with pytest.raises(OSError, match="attempt 4"):
            pool.apply(tasks.fail_times, (path, 99), retries=0)
        with pytest.raises(OSError, match="attempt 6"):
            pool.apply(tasks.fail_times, (path, 99), retries=1)


@pytest.mark.parametrize("way", ["map", "starmap", "imap", "imap_unordered", "apply_async"])
def test_only_the_items_that_failed_are_tried_again(processes: Pool, tmp_path: Path, way: str) -> None:
    path = str(tmp_path / "begun")
    folder = str(tmp_path)

    def work(x: int) -> int:
        tasks.mark(path, x)
        if x % 7 == 0 and tasks.fail_times(f"{folder}/{x}", 2) != 3:
            raise AssertionError
        return x

    items = range(100)
    if way == "starmap":
        results = processes.starmap(work, [(x,) for x in items], retries=2)
    elif way == "apply_async":
        results = [result.get(SOON) for result in [processes.apply_async(work, (x,), retries=2) for x in items]]
    else:
        results = list(getattr(processes, way)(work, items, retries=2))
    assert sorted(results) == list(items)
    if way != "imap_unordered":
        assert results == list(items)
    assert Counter(map(int, tasks.marks(path))) == Counter({x: 3 if x % 7 == 0 else 1 for x in items})


# On what


def test_only_the_errors_named_are_tried_again(processes: Pool, tmp_path: Path) -> None:
    path = str(tmp_path / "calls")
    with pytest.raises(OSError):
        processes.apply(tasks.fail_times, (path, 99), retries=Retry(3, on=ValueError))
    assert len(tasks.marks(path)) == 1
    assert processes.apply(tasks.fail_times, (path, 3), retries=Retry(3, on=(ValueError, OSError))) == 4


def test_a_base_exception_is_tried_again_only_when_named(processes: Pool, tmp_path: Path) -> None:
    path = str(tmp_path / "calls")
    with pytest.raises(SystemExit):
        processes.apply(tasks.fail_times, (path, 99, SystemExit), retries=3)
    assert len(tasks.marks(path)) == 1
    assert processes.apply(tasks.fail_times, (path, 2, SystemExit), retries=Retry(3, on=SystemExit)) == 3


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSEGV", "_exit"])
def test_a_death_is_tried_again_when_asked(
    processes: Pool, tmp_path: Path, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert processes.apply(tasks.die_times, (str(tmp_path / "a"), 2, how), retries=2) == 3
    assert processes.apply(tasks.die_times, (str(tmp_path / "b"), 2, how), retries=Retry(2, on=WorkerDied)) == 3
    with pytest.raises(WorkerDied):
        processes.apply(tasks.die_times, (str(tmp_path / "c"), 2, how), retries=Retry(2, on=OSError))
    assert len(tasks.marks(str(tmp_path / "c"))) == 1


def test_a_task_that_keeps_killing_is_given_up_and_says_how_often(processes: Pool, tmp_path: Path) -> None:
    path = str(tmp_path / "calls")
    with pytest.raises(WorkerDied, match="has cost 4 workers") as caught:
        processes.apply(tasks.die_times, (path, 99), retries=3)
    assert caught.value.deaths == 4
    assert len(tasks.marks(path)) == 4
    assert processes.map(tasks.same, range(20)) == list(range(20))


def test_a_timeout_is_tried_again_when_asked(processes: Pool, tmp_path: Path) -> None:
    path = str(tmp_path / "calls")
    policy = Retry(2, on=TaskTimeout)
    assert processes.apply(tasks.sleep_times, (path, 2, 30), timeout=0.8, retries=policy) == 3
    with pytest.raises(TaskTimeout):
        processes.apply(tasks.sleep_times, (path, 99, 30), timeout=0.8, retries=Retry(2, on=ValueError))
    assert len(tasks.marks(path)) == 4


def test_memory_over_the_limit_is_tried_again_when_asked(tmp_path: Path) -> None:
    path = str(tmp_path / "calls")

    def eat() -> None:
        tasks.mark(path, "called")
        tasks.eat(300 * 2**20)

    with Pool(1, memory_limit="150MB") as pool:
        with pytest.raises(MemoryLimitExceeded):
            pool.apply(eat, retries=Retry(1, on=WorkerDied))
        assert len(tasks.marks(path)) == 2


# After what pauses


@given(
    times=st.integers(0, 50),
    backoff=st.floats(0, 1e6),
    jitter=st.floats(0, 1),
    longest=st.floats(0, 1e6),
    attempt=st.integers(1, 60),
)
def test_pauses_double_stay_below_the_longest_and_above_what_chance_may_take(
    times: int, backoff: float, jitter: float, longest: float, attempt: int
) -> None:
    pause = Retry(times, backoff=backoff, jitter=jitter, longest=longest).pause(attempt, ValueError())
    if attempt > times:
        assert pause is None
        return
    assert pause is not None
    whole = min(backoff * 2.0 ** (attempt - 1), longest)
    assert math.nextafter(whole * (1 - jitter), -1) <= pause <= whole


@given(attempt=st.integers(1, 5), seconds=st.floats(-10, 1e9))
def test_a_backoff_function_decides(attempt: int, seconds: float) -> None:
    asked: list[int] = []

    def backoff(failed: int) -> float:
        asked.append(failed)
        return seconds

    pause = Retry(5, backoff=backoff, jitter=0, longest=100).pause(attempt, ValueError())
    assert asked == [attempt]
    assert pause == min(max(seconds, 0), 100)


@given(st.lists(st.sampled_from([OSError, KeyError, FileNotFoundError, WorkerDied]), min_size=1, max_size=3))
def test_subclasses_of_the_errors_named_count(classes: list[type[BaseException]]) -> None:
    policy = Retry(1, on=tuple(classes))
    for error in (FileNotFoundError(), KeyError(), MemoryLimitExceeded("x"), ValueError()):
        assert (policy.pause(1, error) is not None) == isinstance(error, tuple(classes))


def test_without_jitter_the_pauses_are_exact_and_with_it_they_differ() -> None:
    assert [Retry(4, backoff=0.5, jitter=0).pause(n, OSError()) for n in (1, 2, 3, 4)] == [0.5, 1, 2, 4]
    assert len({Retry(1, backoff=1).pause(1, OSError()) for _ in range(20)}) > 10


def test_pauses_are_kept(processes: Pool, tmp_path: Path) -> None:
    asked: list[int] = []

    def backoff(failed: int) -> float:
        asked.append(failed)
        return 0.2

    began = time.monotonic()
    policy = Retry(3, backoff=backoff, jitter=0)
    assert processes.apply(tasks.fail_times, (str(tmp_path / "calls"), 3), retries=policy) == 4
    assert time.monotonic() - began >= 0.6
    assert asked == [1, 2, 3]


@pytest.mark.slow
def test_a_task_that_pauses_keeps_no_worker(one: Pool, tmp_path: Path) -> None:
    failing = one.apply_async(tasks.fail_times, (str(tmp_path / "calls"), 1), retries=Retry(1, backoff=1.0, jitter=0))
    began = time.monotonic()
    assert one.map(tasks.same, range(10)) == list(range(10))
    assert not failing.ready() or time.monotonic() - began > 0.9
    assert failing.get(SOON) == 2


@pytest.mark.parametrize("what", ["raises", "exits", "text", "None", "nan", "inf"])
def test_a_backoff_function_that_fails_costs_its_task_only(
    processes: Pool, tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    def backoff(failed: int) -> Any:
        if what == "raises":
            raise LookupError("no idea")
        if what == "exits":
            sys.exit(3)
        return {"text": "soon", "None": None, "nan": math.nan, "inf": math.inf}[what]

    longest = 0.1
    result = processes.apply_async(
        tasks.fail_times, (str(tmp_path / "calls"), 1), retries=Retry(1, backoff=backoff, longest=longest)
    )
    if what in ("nan", "inf"):
        assert result.get(SOON) == 2
    else:
        with pytest.raises(OSError, match="attempt 1"):
            result.get(SOON)
        assert any(record.levelno >= logging.ERROR for record in caplog.records)
    assert processes.map(tasks.same, range(10)) == list(range(10))


def test_a_pause_beyond_all_measure_is_only_long(one: Pool, tmp_path: Path) -> None:
    result = one.apply_async(
        tasks.fail_times, (str(tmp_path / "calls"), 1), retries=Retry(1, backoff=1e12, longest=1e12)
    )
    time.sleep(0.5)
    assert one.apply_async(tasks.same, (1,)).get(SOON) == 1
    assert result.cancel()
    with pytest.raises(CancelledError):
        result.get(SOON)


# While a task pauses


def pausing(pool: Pool, path: str, seconds: float = 30.0) -> Any:
    """A task that has failed once and waits for its next attempt."""
    result = pool.apply_async(tasks.fail_times, (path, 1), retries=Retry(1, backoff=seconds, jitter=0))
    give_up = time.monotonic() + SOON
    while not tasks.marks(path):
        assert time.monotonic() < give_up
        time.sleep(0.01)
    time.sleep(0.3)
    assert not result.ready()
    return result


def test_cancelling_a_task_that_pauses(one: Pool, tmp_path: Path) -> None:
    result = pausing(one, str(tmp_path / "calls"))
    assert result.cancel()
    with pytest.raises(CancelledError):
        result.get(SOON)


def test_terminating_while_a_task_pauses(tmp_path: Path) -> None:
    pool = Pool(1)
    result = pausing(pool, str(tmp_path / "calls"))
    began = time.monotonic()
    pool.terminate()
    with pytest.raises(CancelledError):
        result.get(SOON)
    pool.join()
    assert time.monotonic() - began < 10


def test_closing_while_a_task_pauses_waits_for_it(tmp_path: Path) -> None:
    pool = Pool(1)
    result = pausing(pool, str(tmp_path / "calls"), 1.0)
    pool.close()
    pool.join()
    assert result.get(0) == 2


def test_cancelling_a_map_of_which_some_pause(processes: Pool, tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work(x: int) -> int:
        return tasks.fail_times(f"{folder}/{x}", 1 if x % 2 else 0)

    result = processes.map_async(work, range(10), retries=Retry(1, backoff=30, jitter=0))
    time.sleep(0.8)
    assert result.cancel()
    with pytest.raises(CancelledError):
        result.get(SOON)


def test_a_pool_that_breaks_while_a_task_pauses_fails_it(tmp_path: Path) -> None:
    path, starts = str(tmp_path / "calls"), str(tmp_path / "starts")
    with Pool(1, tasks.fail_from_the_second_on, (starts,)) as pool:
        result = pool.apply_async(tasks.fail_times, (path, 1), retries=Retry(1, backoff=2.0, jitter=0))
        deadly = pool.apply_async(tasks.die, ("SIGKILL",))
        waiting = pool.apply_async(tasks.same, (1,))
        with pytest.raises(WorkerDied):
            deadly.get(SOON)
        with pytest.raises(PoolBroken):
            waiting.get(SOON)
        with pytest.raises((PoolBroken, OSError)):
            result.get(SOON)


def test_a_task_that_is_to_be_tried_again_on_a_broken_pool_fails(tmp_path: Path, wait_until: Any) -> None:
    """It runs on the last worker while the pool gives up starting others; then it dies with that one."""
    starts, pids = str(tmp_path / "starts"), str(tmp_path / "pids")

    def work() -> None:
        tasks.mark(pids, "running")
        time.sleep(1.5)
        tasks.die("SIGKILL")

    with Pool(2, tasks.fail_from_the_second_on, (starts,)) as pool:
        result = pool.apply_async(work, retries=3)
        wait_until(lambda: tasks.marks(pids), SOON)
        with pytest.raises(PoolBroken):
            pool.apply_async(tasks.same, (1,)).get(SOON)
        with pytest.raises((PoolBroken, WorkerDied)):
            result.get(SOON)
    assert tasks.marks(pids) == ["running"]


def test_a_seeded_task_that_is_tried_again_draws_the_same_numbers(tmp_path: Path) -> None:
    import random

    path = str(tmp_path / "calls")

    def draw(times: int) -> float:
        number = random.random()
        tasks.mark(path, number)
        tasks.fail_times(f"{path}-{times}", times)
        return number

    with Pool(2, seed=1) as pool:
        pool.apply(draw, (2,), retries=2)
    assert len(tasks.marks(path)) == 3
    assert len(set(tasks.marks(path))) == 1


# Bad arguments


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "name"),
    [
        ((-1,), {}, ValueError, "times"),
        (("x",), {}, TypeError, "times"),
        ((1.5,), {}, TypeError, "times"),
        ((True,), {}, TypeError, "times"),
        ((1,), {"on": 3}, TypeError, "on"),
        ((1,), {"on": ()}, TypeError, "on"),
        ((1,), {"on": (OSError, "x")}, TypeError, "on"),
        ((1,), {"on": [OSError]}, TypeError, "on"),
        ((1,), {"backoff": -1}, ValueError, "backoff"),
        ((1,), {"backoff": "x"}, TypeError, "backoff"),
        ((1,), {"backoff": math.nan}, ValueError, "backoff"),
        ((1,), {"jitter": 2}, ValueError, "jitter"),
        ((1,), {"jitter": -0.1}, ValueError, "jitter"),
        ((1,), {"jitter": math.nan}, ValueError, "jitter"),
        ((1,), {"jitter": "x"}, TypeError, "jitter"),
        ((1,), {"longest": -1}, ValueError, "longest"),
        ((1,), {"longest": None}, TypeError, "longest"),
    ],
)
def test_a_policy_refuses_what_makes_no_sense(
    arguments: tuple[Any, ...], keywords: dict[str, Any], error: type[Exception], name: str
) -> None:
    with pytest.raises(error, match=name):
        Retry(*arguments, **keywords)


def test_a_policy_shows_what_it_is() -> None:
    assert repr(Retry(3, on=OSError, backoff=0.5)) == "Retry(3, on=(OSError), backoff=0.5)"


def test_a_timeout_that_a_caller_catches_is_multiprocessings() -> None:
    with Pool(1, retries=1) as pool, pytest.raises(multiprocessing.TimeoutError):
        pool.apply(tasks.nap, (30,), timeout=0.1)
