"""One task at a time: `apply`, `apply_async`, and the results that they return."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pool_tasks as tasks
from allcores import AsyncResult, Pool, TaskTimeout

WaitUntil = Callable[..., None]


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What allcores logs, as text; pytest would keep what the tracebacks refer to."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))
            record.exc_info = None  # its text is in the record by now

    logger, handler = logging.getLogger("allcores"), Handler()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


def test_apply_returns_what_the_function_returns(pool: Pool) -> None:
    assert pool.apply(tasks.square, (7,)) == 49


def test_apply_passes_positional_and_keyword_arguments(pool: Pool) -> None:
    assert pool.apply(tasks.everything, (1, "two"), {"three": 3, "args": 4}) == (
        (1, "two"),
        {"three": 3, "args": 4},
    )


def test_apply_takes_any_iterable_of_arguments(pool: Pool) -> None:
    assert pool.apply(tasks.everything, iter([1, 2])) == ((1, 2), {})


def test_apply_without_arguments_calls_with_none(pool: Pool) -> None:
    assert pool.apply(tasks.everything) == ((), {})


def test_apply_runs_in_another_process(processes: Pool) -> None:
    assert processes.apply(tasks.pid) != os.getpid()


def test_apply_raises_what_the_task_raised(pool: Pool) -> None:
    with pytest.raises(ValueError, match=r"^cannot take 3$"):
        pool.apply(tasks.fail_on_three, (3,))


def test_apply_many_times_in_a_row_gives_each_its_own_result(pool: Pool) -> None:
    assert [pool.apply(tasks.square, (n,)) for n in range(300)] == [n * n for n in range(300)]


def test_apply_async_returns_an_async_result_at_once(processes: Pool) -> None:
    began = time.monotonic()
    result = processes.apply_async(tasks.sleep_and_return, (0.3, "late"))
    assert time.monotonic() - began < 0.2
    assert isinstance(result, AsyncResult)
    assert not result.ready()
    assert result.get() == "late"
    assert result.ready()


def test_get_can_be_called_again(pool: Pool) -> None:
    result = pool.apply_async(tasks.square, (3,))
    assert result.get() == result.get() == 9


def test_a_failed_result_raises_every_time_that_it_is_fetched(pool: Pool) -> None:
    result = pool.apply_async(tasks.fail_on_three, (3,))
    for _ in range(2):
        with pytest.raises(ValueError, match="cannot take 3"):
            result.get()


def test_a_thousand_results_are_each_their_own(pool: Pool) -> None:
    results = [pool.apply_async(tasks.square, (n,)) for n in range(1000)]
    assert [result.get() for result in results] == [n * n for n in range(1000)]


def test_get_raises_multiprocessings_timeout_error(processes: Pool) -> None:
    result = processes.apply_async(tasks.sleep_and_return, (0.5, 1))
    began = time.monotonic()
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(timeout=0.05)
    assert 0.04 < time.monotonic() - began < 0.4
    assert result.get(timeout=10) == 1  # nothing was lost by asking too early


@pytest.mark.parametrize("timeout", [0, -1])
def test_get_without_patience_asks_once(processes: Pool, timeout: float) -> None:
    result = processes.apply_async(tasks.sleep_and_return, (0.2, 1))
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(timeout)
    result.wait()
    assert result.get(timeout) == 1


def test_get_accepts_an_endless_timeout(processes: Pool) -> None:
    assert processes.apply_async(tasks.sleep_and_return, (0.05, 1)).get(float("inf")) == 1


def test_wait_returns_when_the_time_is_up(processes: Pool) -> None:
    result = processes.apply_async(tasks.sleep_and_return, (0.4,))
    began = time.monotonic()
    result.wait(0.05)
    assert time.monotonic() - began < 0.35
    assert not result.ready()
    result.wait()
    assert result.ready()


def test_successful_tells_success_from_failure(pool: Pool) -> None:
    good = pool.apply_async(tasks.square, (1,))
    bad = pool.apply_async(tasks.fail_on_three, (3,))
    good.wait()
    bad.wait()
    assert good.successful()
    assert not bad.successful()


def test_successful_raises_value_error_before_the_result_is_there(processes: Pool) -> None:
    result = processes.apply_async(tasks.sleep_and_return, (0.2,))
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    result.wait()


# Callbacks


def test_callback_gets_the_result_before_get_returns(pool: Pool) -> None:
    for number in range(50):
        seen: list[int] = []
        result = pool.apply_async(tasks.square, (number,), callback=seen.append)
        assert result.get() == number * number
        assert seen == [number * number]


def test_error_callback_gets_the_error_before_get_raises(pool: Pool) -> None:
    for _ in range(20):
        seen: list[BaseException] = []
        result = pool.apply_async(tasks.fail_on_three, (3,), error_callback=seen.append)
        with pytest.raises(ValueError) as caught:
            result.get()
        assert seen == [caught.value]


def test_only_the_callback_that_fits_is_called(pool: Pool) -> None:
    seen: list[tuple[str, Any]] = []

    def good(value: Any) -> None:
        seen.append(("good", value))

    def bad(error: BaseException) -> None:
        seen.append(("bad", type(error)))

    pool.apply_async(tasks.square, (2,), {}, good, bad).wait()
    pool.apply_async(tasks.fail_on_three, (3,), {}, good, bad).wait()
    assert seen == [("good", 4), ("bad", ValueError)]


def test_a_callback_that_raises_keeps_nobody_from_the_result(pool: Pool, log: list[str]) -> None:
    def broken(_: Any) -> None:
        raise RuntimeError("the callback is broken")

    assert pool.apply_async(tasks.square, (2,), callback=broken).get(5) == 4
    assert pool.apply(tasks.square, (3,)) == 9
    assert "RuntimeError: the callback is broken" in "".join(log)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("failure", [SystemExit, KeyboardInterrupt])
def test_a_callback_that_wants_to_exit_does_not_end_the_pool(
    processes: Pool, failure: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)

    def broken(_: Any) -> None:
        raise failure

    assert processes.apply_async(tasks.square, (2,), callback=broken).get(5) == 4
    assert processes.apply_async(tasks.square, (3,)).get(5) == 9


def test_a_callback_may_submit_more_work(pool: Pool) -> None:
    following: list[AsyncResult] = []
    first = pool.apply_async(
        tasks.square, (2,), callback=lambda value: following.append(pool.apply_async(tasks.square, (value,)))
    )
    assert first.get() == 4
    assert following[0].get(5) == 16


@pytest.mark.timeout(20)
def test_a_callback_that_waits_for_its_own_pool_raises_instead_of_hanging(processes: Pool) -> None:
    raised: list[BaseException] = []

    def waits(_: Any) -> None:
        try:
            processes.apply_async(tasks.square, (3,)).get()
        except BaseException as error:
            raised.append(error)

    assert processes.apply_async(tasks.square, (2,), callback=waits).get(10) == 4
    assert [type(error) for error in raised] == [RuntimeError]


# Await


def test_a_result_can_be_awaited(pool: Pool) -> None:
    async def main() -> int:
        result: int = await pool.apply_async(tasks.square, (5,))
        return result

    assert asyncio.run(main()) == 25


def test_awaiting_raises_what_the_task_raised(pool: Pool) -> None:
    async def main() -> None:
        await pool.apply_async(tasks.fail_on_three, (3,))

    with pytest.raises(ValueError, match="cannot take 3"):
        asyncio.run(main())


def test_many_results_can_be_gathered_while_the_loop_goes_on(processes: Pool) -> None:
    async def main() -> tuple[list[Any], int]:
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.005)

        counting = asyncio.create_task(count_turns())

        async def one(n: int) -> Any:
            return await processes.apply_async(tasks.sleep_and_return, (0.05, n))

        values = await asyncio.gather(*(one(n) for n in range(6)))
        counting.cancel()
        return values, turns

    values, turns = asyncio.run(main())
    assert values == list(range(6))
    assert turns > 5


def test_a_map_result_can_be_awaited(pool: Pool) -> None:
    async def main() -> Any:
        return await pool.map_async(tasks.square, range(5))

    assert asyncio.run(main()) == [0, 1, 4, 9, 16]


def test_giving_up_an_await_leaves_the_result_alone(processes: Pool) -> None:
    async def main() -> Any:
        result = processes.apply_async(tasks.sleep_and_return, (0.2, "value"))

        async def fetch() -> Any:
            return await result

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(fetch(), 0.02)
        return await result

    assert asyncio.run(main()) == "value"


# Cancel


@pytest.mark.timeout(20)
def test_a_waiting_task_can_be_cancelled_and_never_runs(one: Pool, tmp_path: Path) -> None:
    trace = str(tmp_path / "trace")
    first = one.apply_async(tasks.sleep_and_return, (0.3, "first"))
    waiting = one.apply_async(tasks.append_line, (trace, "ran"))
    assert waiting.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        waiting.get(5)
    assert first.get(5) == "first"  # what ran was not disturbed
    one.close()
    one.join()
    assert not os.path.exists(trace)


@pytest.mark.timeout(20)
def test_a_running_task_can_be_cancelled_and_the_pool_goes_on(one: Pool, tmp_path: Path, wait_until: WaitUntil) -> None:
    began = tmp_path / "began"
    running = one.apply_async(tasks.touch_and_sleep, (str(began), 60))
    wait_until(began.exists)
    assert running.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        running.get(5)
    assert one.apply_async(tasks.square, (4,)).get(10) == 16


def test_a_finished_task_cannot_be_cancelled(pool: Pool) -> None:
    result = pool.apply_async(tasks.square, (4,))
    result.wait()
    assert not result.cancel()
    assert result.get() == 16


@pytest.mark.timeout(20)
def test_cancelling_one_of_many_calls_leaves_the_others(one: Pool) -> None:
    results = [one.apply_async(tasks.sleep_and_return, (0.01, n)) for n in range(20)]
    assert results[10].cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        results[10].get(5)
    others = [result.get(10) for n, result in enumerate(results) if n != 10]
    assert others == [n for n in range(20) if n != 10]


@pytest.mark.timeout(20)
def test_a_map_can_be_cancelled_and_the_pool_goes_on(processes: Pool) -> None:
    result = processes.map_async(tasks.sleep_and_return, [0.05] * 500)
    time.sleep(0.1)
    assert result.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        result.get(5)
    assert processes.apply_async(tasks.square, (4,)).get(10) == 16


@pytest.mark.timeout(20)
def test_cancelling_twice_does_no_harm(one: Pool) -> None:
    result = one.apply_async(tasks.sleep_and_return, (30,))
    result.cancel()
    result.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        result.get(5)
    assert one.apply_async(tasks.square, (4,)).get(10) == 16


# Limits and further attempts: the basics


@pytest.mark.timeout(20)
def test_a_task_over_its_timeout_raises_and_the_pool_goes_on(one: Pool) -> None:
    began = time.monotonic()
    with pytest.raises(TaskTimeout) as caught:
        one.apply(tasks.sleep_and_return, (30,), timeout=0.1)
    assert time.monotonic() - began < 5
    assert isinstance(caught.value, multiprocessing.TimeoutError)
    assert isinstance(caught.value, TimeoutError)
    assert "sleep_and_return(30)" in str(caught.value)
    assert caught.value.timeout == 0.1
    assert one.apply(tasks.square, (3,)) == 9


def test_a_task_within_its_timeout_is_left_alone(processes: Pool) -> None:
    assert processes.apply(tasks.sleep_and_return, (0.05, "fine"), timeout=20) == "fine"


@pytest.mark.timeout(20)
def test_the_pools_timeout_holds_unless_a_call_has_its_own() -> None:
    with Pool(1, timeout=0.1) as pool:
        with pytest.raises(TaskTimeout):
            pool.apply(tasks.sleep_and_return, (30,))
        assert pool.apply(tasks.sleep_and_return, (0.3, "longer"), timeout=None) == "longer"


@pytest.mark.timeout(20)
def test_the_timeout_of_a_map_is_for_each_item() -> None:
    with Pool(1) as pool:
        # together longer than the limit, each shorter
        assert pool.map(tasks.sleep_and_return, [0.1] * 5, timeout=0.4) == [None] * 5
        values = pool.map(tasks.sleep_and_return, [0.01, 30, 0.01], timeout=0.3, return_exceptions=True)
        assert [type(value) for value in values] == [type(None), TaskTimeout, type(None)]


@pytest.mark.timeout(20)
def test_time_in_the_queue_does_not_count_as_running(one: Pool) -> None:
    results = [one.apply_async(tasks.sleep_and_return, (0.15, n), timeout=0.4) for n in range(5)]
    assert [result.get(10) for result in results] == list(range(5))


def test_a_failed_task_is_tried_again_as_often_as_said(pool: Pool, tmp_path: Path) -> None:
    assert pool.apply(tasks.fail_times, (str(tmp_path / "a"), 2), retries=2) == 3
    with pytest.raises(OSError, match="attempt 2"):
        pool.apply(tasks.fail_times, (str(tmp_path / "b"), 2), retries=1)
    assert (tmp_path / "b").read_text().count("called") == 2


def test_a_failed_task_is_not_tried_again_unless_asked(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="attempt 1"):
        pool.apply(tasks.fail_times, (str(tmp_path / "a"), 1))
    assert (tmp_path / "a").read_text().count("called") == 1


def test_a_map_with_retries_keeps_the_order(pool: Pool, tmp_path: Path) -> None:
    items = [(str(tmp_path / str(n)), n % 2) for n in range(10)]
    assert pool.starmap(tasks.fail_times, items, retries=1) == [1 + n % 2 for n in range(10)]


def test_an_error_is_told_to_the_error_callback_once_the_attempts_are_used_up(pool: Pool, tmp_path: Path) -> None:
    seen: list[BaseException] = []
    result = pool.apply_async(tasks.fail_times, (str(tmp_path / "a"), 9), error_callback=seen.append, retries=2)
    with pytest.raises(OSError, match="attempt 3"):
        result.get(10)
    assert [str(error) for error in seen] == ["attempt 3"]
