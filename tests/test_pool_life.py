"""A pool's life: its workers, its end, its figures, and what it refuses."""

from __future__ import annotations

import collections
import concurrent.futures
import gc
import multiprocessing
import os
import pickle
import re
import signal
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import allcores
import pool_tasks as tasks
from allcores import Pool, Retry

WaitUntil = Callable[..., None]

# Workers are made on demand


def test_a_pool_without_tasks_starts_no_worker() -> None:
    with Pool(8) as pool:
        assert pool.stats().started == 0
    pool.join()


def test_a_pool_of_eight_asked_for_one_task_starts_one_worker() -> None:
    with Pool(8) as pool:
        assert pool.apply(tasks.square, (2,)) == 4
        assert pool.stats().started == pool.stats().alive == 1
        for n in range(20):  # one after the other they need no second one
            pool.apply(tasks.square, (n,))
        assert pool.stats().started == 1
    pool.join()


def test_a_request_that_finds_no_idle_worker_starts_one() -> None:
    with Pool(8) as pool:
        for count in (1, 2, 3):
            pool.apply_async(tasks.sleep_and_return, (20,))
            assert pool.stats().started == count
        assert pool.apply_async(tasks.square, (3,)).get(10) == 9
        assert pool.stats().started == 4
    pool.join()


def test_a_map_starts_no_more_workers_than_it_has_items() -> None:
    with Pool(8) as pool:
        assert pool.map(tasks.square, [1, 2, 3]) == [1, 4, 9]
        assert pool.stats().started <= 3
    pool.join()


def test_requests_past_the_number_of_processes_wait_their_turn() -> None:
    with Pool(2) as pool:
        results = [pool.apply_async(tasks.pid_slowly, (0.05,)) for _ in range(8)]
        assert len({result.get(10) for result in results}) == 2
        assert pool.stats().started == 2
    pool.join()


def test_tasks_of_one_worker_run_in_the_order_of_their_calls(one: Pool, tmp_path: Path) -> None:
    path = str(tmp_path / "lines")
    results = [one.apply_async(tasks.append_line, (path, str(n))) for n in range(200)]
    for result in results:
        result.get(10)
    with open(path) as file:
        assert [int(line) for line in file] == list(range(200))


def test_the_default_number_of_processes_is_cpu_count() -> None:
    with Pool() as pool:
        assert f"processes={allcores.cpu_count()}>" in repr(pool)
    pool.join()


# close, join, terminate


def every_method(pool: Pool) -> list[Callable[[], Any]]:
    return [
        lambda: pool.apply(tasks.square, (1,)),
        lambda: pool.apply_async(tasks.square, (1,)),
        lambda: pool.map(tasks.square, [1]),
        lambda: pool.map(tasks.square, []),
        lambda: pool.map_async(tasks.square, [1]),
        lambda: pool.starmap(tasks.square, [(1,)]),
        lambda: pool.starmap_async(tasks.square, [(1,)]),
        lambda: pool.imap(tasks.square, [1]),
        lambda: pool.imap(tasks.square, iter([1])),
        lambda: pool.imap_unordered(tasks.square, [1]),
        pool.__enter__,
    ]


@pytest.mark.parametrize("end", ["close", "terminate", "with"])
def test_every_method_raises_value_error_after_the_end(engine: str, end: str) -> None:
    pool = Pool(1, engine=engine)
    pool.apply(tasks.square, (1,))
    if end == "with":
        with pool:
            pass
    else:
        getattr(pool, end)()
    for method in every_method(pool):
        with pytest.raises(ValueError, match="Pool not running"):
            method()
    pool.join()
    for method in every_method(pool):
        with pytest.raises(ValueError, match="Pool not running"):
            method()


def test_join_before_close_raises_value_error(pool: Pool) -> None:
    with pytest.raises(ValueError, match="Pool is still running"):
        pool.join()
    assert pool.apply(tasks.square, (2,)) == 4


def test_close_lets_tasks_that_were_submitted_finish(engine: str) -> None:
    pool = Pool(2, engine=engine)
    results = [pool.apply_async(tasks.sleep_and_return, (0.02, n)) for n in range(10)]
    mapped = pool.map_async(tasks.square, range(100))
    pool.close()
    pool.join()
    assert all(result.ready() for result in results)
    assert [result.get(0) for result in results] == list(range(10))
    assert mapped.get(0) == [n * n for n in range(100)]


def test_after_join_no_worker_is_left() -> None:
    pool = Pool(2)
    pids = set(pool.map(tasks.pid_slowly, [0.05] * 4))
    pool.close()
    pool.join()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_close_join_and_terminate_can_be_called_again(engine: str) -> None:
    pool = Pool(1, engine=engine)
    pool.apply(tasks.square, (1,))
    for _ in range(2):
        pool.close()
        pool.join()
    for _ in range(2):
        pool.terminate()
        pool.join()


def test_a_pool_that_was_never_used_ends_at_once(engine: str) -> None:
    began = time.monotonic()
    for end in ("close", "terminate"):
        pool = Pool(4, engine=engine)
        getattr(pool, end)()
        pool.join()
    assert time.monotonic() - began < 2


@pytest.mark.timeout(20)
@pytest.mark.parametrize("end", ["terminate", "with"])
def test_terminate_does_not_wait_for_tasks(end: str, tmp_path: Path, wait_until: WaitUntil) -> None:
    began = tmp_path / "began"
    pool = Pool(1)
    running = pool.apply_async(tasks.touch_and_sleep, (str(began), 60))
    waiting = pool.apply_async(tasks.square, (2,))
    mapped = pool.map_async(tasks.square, range(10))
    wait_until(began.exists)
    start = time.monotonic()
    if end == "terminate":
        pool.terminate()
    else:
        with pool:
            pass
    pool.join()
    assert time.monotonic() - start < 2
    for result in (running, waiting, mapped):
        with pytest.raises(concurrent.futures.CancelledError):
            result.get(5)


@pytest.mark.timeout(20)
def test_terminate_while_workers_are_still_starting() -> None:
    for _ in range(10):
        pool = Pool(3)
        results = [pool.apply_async(tasks.sleep_and_return, (30,)) for _ in range(5)]
        pool.terminate()
        pool.join()
        for result in results:
            with pytest.raises(concurrent.futures.CancelledError):
                result.get(5)


@pytest.mark.timeout(20)
def test_terminate_from_another_thread_wakes_those_who_wait() -> None:
    pool = Pool(1)
    raised: list[type[BaseException]] = []

    def wait() -> None:
        try:
            pool.apply(tasks.sleep_and_return, (60,))
        except BaseException as error:
            raised.append(type(error))

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    pool.terminate()
    for thread in threads:
        thread.join(10)
    pool.join()
    assert raised == [concurrent.futures.CancelledError] * 3


@pytest.mark.timeout(20)
def test_an_error_in_the_with_block_is_not_hidden() -> None:
    pool = Pool(2)

    def fail() -> None:
        with pool:
            pool.apply_async(tasks.sleep_and_return, (60,))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    pool.join()


@pytest.mark.filterwarnings("always::ResourceWarning")
def test_a_pool_that_is_dropped_while_running_warns_and_leaves_nothing(wait_until: WaitUntil) -> None:
    pool = Pool(1)
    pid = pool.apply(tasks.pid)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del pool
        gc.collect()
    assert [warning.category for warning in caught] == [ResourceWarning]
    assert "unclosed running" in str(caught[0].message)
    wait_until(lambda: not psutil.pid_exists(pid))


def test_a_closed_pool_that_is_dropped_does_not_warn() -> None:
    pool = Pool(1)
    pool.apply(tasks.square, (1,))
    pool.close()
    pool.join()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del pool
        gc.collect()
    assert caught == []


def test_a_result_keeps_its_pool_working_until_it_is_there() -> None:
    """`Pool(1).apply_async(…).get()`, the pool being referred to by nobody."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        result = Pool(1).apply_async(tasks.sleep_and_return, (0.2, "done"))
        gc.collect()
        assert result.get(10) == "done"
        del result
        gc.collect()


def test_pools_one_after_the_other_work(wait_until: WaitUntil) -> None:
    for number in range(5):
        with Pool(2) as pool:
            assert pool.map(tasks.square, range(number)) == [n * n for n in range(number)]
        pool.join()


def test_several_pools_at_once_do_not_mix() -> None:
    pools = [Pool(1) for _ in range(3)]
    results = [pool.map_async(tasks.pid_slowly, [0.01] * 5) for pool in pools]
    pids = [set(result.get(10)) for result in results]
    assert all(len(of_pool) == 1 for of_pool in pids)
    assert len(set.union(*pids)) == 3
    pools[1].terminate()
    assert pools[0].apply(tasks.square, (2,)) == 4
    for pool in pools:
        pool.terminate()
        pool.join()


# initializer, finalizer, maxtasksperchild


def test_the_initializer_runs_once_in_each_worker_before_its_tasks(tmp_path: Path) -> None:
    path = str(tmp_path / "pids")
    with Pool(2, tasks.count_initialisations, (path,)) as pool:
        pids = pool.map(tasks.pid_slowly, [0.05] * 6)
    pool.join()
    with open(path) as file:
        initialised = [int(line) for line in file]
    assert sorted(initialised) == sorted(set(pids))


def test_initargs_reach_the_initializer(engine: str) -> None:
    with Pool(1, initializer=tasks.remember_positional, initargs=iter(("a", 1)), engine=engine) as pool:
        assert pool.apply(tasks.recall, ("values",)) == ("a", 1)
    pool.join()


def test_a_local_function_with_captured_values_can_be_the_initializer() -> None:
    value = {"captured": [1, 2]}

    def prepare() -> None:
        tasks.remember(value=value)

    with Pool(1, prepare) as pool:
        assert pool.apply(tasks.recall, ("value",)) == value
    pool.join()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("method", ["apply", "map", "imap"])
def test_an_initializer_that_always_fails_gives_the_reason_instead_of_hanging(method: str) -> None:
    def fail() -> None:
        raise ZeroDivisionError("cannot prepare")

    with Pool(2, fail) as pool:
        with pytest.raises(allcores.PoolBroken, match="cannot prepare") as caught:
            list(getattr(pool, method)(tasks.square, [1]))
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        with pytest.raises(allcores.PoolBroken):
            pool.apply_async(tasks.square, (1,)).get(5)
    pool.join()


@pytest.mark.timeout(30)
def test_an_initializer_that_ends_its_process_gives_a_reason_instead_of_hanging() -> None:
    with Pool(1, os._exit, (3,)) as pool, pytest.raises(allcores.PoolBroken, match="code 3"):
        pool.apply(tasks.square, (1,))
    pool.join()


def test_an_initializer_that_cannot_be_pickled_is_refused_at_once() -> None:
    lock = threading.Lock()
    with pytest.raises(TypeError, match="lock"):
        Pool(1, initializer=tasks.remember_positional, initargs=(lock,))
    gc.collect()


def test_the_finalizer_runs_in_each_worker_that_ends_in_good_order(tmp_path: Path) -> None:
    path = str(tmp_path / "pids")
    pool = Pool(2, finalizer=lambda: tasks.count_initialisations(path))
    pids = set(pool.map(tasks.pid_slowly, [0.05] * 4))
    assert not os.path.exists(path)
    pool.close()
    pool.join()
    with open(path) as file:
        assert {int(line) for line in file} == pids


@pytest.mark.timeout(30)
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_maxtasksperchild_replaces_workers_after_exactly_so_many_tasks(limit: int) -> None:
    with Pool(1, maxtasksperchild=limit) as pool:
        pids = [pool.apply_async(tasks.pid).get(10) for _ in range(7)]
    pool.join()
    counts = list(collections.Counter(pids).values())
    assert counts == [limit] * (7 // limit) + ([7 % limit] if 7 % limit else [])


@pytest.mark.timeout(30)
def test_items_of_a_map_count_as_tasks() -> None:
    with Pool(2, maxtasksperchild=5) as pool:
        pool.map(tasks.identity, range(3))  # the cost is known: items could travel together
        pids = pool.map(tasks.pid, range(40))
    pool.join()
    assert max(collections.Counter(pids).values()) <= 5
    assert len(set(pids)) >= 8


@pytest.mark.timeout(30)
def test_a_chunk_larger_than_maxtasksperchild_is_run_all_the_same() -> None:
    with Pool(1, maxtasksperchild=2) as pool:
        assert pool.map(tasks.square, range(10), chunksize=5) == [n * n for n in range(10)]
    pool.join()


@pytest.mark.timeout(30)
def test_maxtasksperchild_loses_nothing_of_a_flood() -> None:
    with Pool(2, maxtasksperchild=10) as pool:
        results = [pool.apply_async(tasks.square, (n,)) for n in range(200)]
        assert [result.get(20) for result in results] == [n * n for n in range(200)]
        stats = pool.stats()
        assert stats.tasks == 200
        assert all(entry.tasks <= 10 for entry in stats.workers)
    pool.join()


@pytest.mark.timeout(30)
def test_the_initializer_runs_again_in_a_replacement(tmp_path: Path) -> None:
    path = str(tmp_path / "pids")
    with Pool(1, tasks.count_initialisations, (path,), 1) as pool:
        pids = [pool.apply(tasks.pid) for _ in range(3)]
        with open(path) as file:
            assert [int(line) for line in file][:3] == pids
    pool.join()


# context


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_context_chooses_how_workers_are_started(method: str) -> None:
    context = multiprocessing.get_context(method)
    with Pool(2, context=context) as pool:
        assert pool.map(tasks.square, range(10)) == [n * n for n in range(10)]
        assert pool.apply(lambda n: n + 1, (1,)) == 2
        with pytest.raises(ValueError, match="cannot take 3"):
            pool.apply(tasks.fail_on_three, (3,))
        assert pool.apply(tasks.pid) != os.getpid()
    pool.join()


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.timeout(30)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_every_context_end_in_every_way(method: str) -> None:
    context = multiprocessing.get_context(method)
    pool = Pool(1, context=context)
    pid = pool.apply(tasks.pid)
    pool.close()
    pool.join()
    assert not psutil.pid_exists(pid)
    pool = Pool(1, context=context)
    pid = pool.apply(tasks.pid)
    running = pool.apply_async(tasks.sleep_and_return, (60,))
    pool.terminate()
    pool.join()
    with pytest.raises(concurrent.futures.CancelledError):
        running.get(5)
    assert not psutil.pid_exists(pid)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_fork_inherits_the_programs_variables_and_the_default_does_not() -> None:
    tasks.state["inherited"] = "from the parent"
    try:
        with Pool(1, context=multiprocessing.get_context("fork")) as pool:
            assert pool.apply(tasks.recall, ("inherited",)) == "from the parent"
        pool.join()
        with Pool(1) as pool:
            assert pool.apply(tasks.recall, ("inherited",)) is None
        pool.join()
    finally:
        del tasks.state["inherited"]


def test_the_multiprocessing_module_itself_will_do_as_a_context() -> None:
    with Pool(1, context=multiprocessing) as pool:
        assert pool.apply(tasks.square, (2,)) == 4
    pool.join()


def test_the_name_of_a_context_will_do() -> None:
    with Pool(1, context="spawn") as pool:
        assert pool.apply(tasks.square, (2,)) == 4
    pool.join()
    with pytest.raises(ValueError, match="'nonsense'"):
        Pool(1, context="nonsense")


# Threads


def test_one_pool_can_be_used_from_many_threads() -> None:
    with Pool(2) as pool:
        results: dict[int, Any] = {}

        def use(number: int) -> None:
            mine = [pool.apply(tasks.square, (n,)) for n in range(number, number + 20)]
            mine += pool.map(tasks.square, range(number, number + 50))
            mine += [r.get() for r in [pool.apply_async(tasks.square, (n,)) for n in range(number)]]
            mine += list(pool.imap(tasks.square, iter(range(number))))
            results[number] = mine

        threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    pool.join()
    for number in range(8):
        numbers = [*range(number, number + 20), *range(number, number + 50), *range(number), *range(number)]
        assert results[number] == [n * n for n in numbers]


@pytest.mark.timeout(30)
def test_a_pool_can_live_wholly_in_a_thread_that_ends() -> None:
    """Workers belong to the process and not to the thread that happened to start them."""
    pools: list[Pool] = []

    def make() -> None:
        pool = Pool(1)
        pool.apply(tasks.square, (1,))
        pools.append(pool)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert pools[0].apply_async(tasks.square, (3,)).get(10) == 9
    assert pools[0].stats().started == 1
    pool = pools.pop()
    pool.terminate()
    pool.join()


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.timeout(30)
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_every_context_outlive_the_thread_that_asked_for_them(method: str) -> None:
    pool = Pool(1, context=multiprocessing.get_context(method))
    pids: list[int] = []
    thread = threading.Thread(target=lambda: pids.append(pool.apply(tasks.pid)))
    thread.start()
    thread.join()
    time.sleep(0.1)
    assert pool.apply_async(tasks.pid).get(10) == pids[0]
    pool.terminate()
    pool.join()


# A worker's death, the basics


@pytest.mark.timeout(30)
def test_a_killed_worker_costs_its_task_and_the_pool_goes_on(one: Pool, tmp_path: Path, wait_until: WaitUntil) -> None:
    began = tmp_path / "began"
    pid = one.apply(tasks.pid)
    running = one.apply_async(tasks.touch_and_sleep, (str(began), 60))
    waiting = [one.apply_async(tasks.square, (n,)) for n in range(5)]
    wait_until(began.exists)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(allcores.WorkerDied, match="SIGKILL") as caught:
        running.get(10)
    assert caught.value.pid == pid
    assert caught.value.signal == signal.SIGKILL
    assert "touch_and_sleep" in (caught.value.task or "")
    assert [result.get(10) for result in waiting] == [n * n for n in range(5)]


@pytest.mark.timeout(30)
def test_a_task_that_ends_its_process_fails_alone_in_a_map(processes: Pool) -> None:
    def some(n: int) -> int:
        if n == 150:
            os._exit(7)
        return n

    values = processes.map(some, range(300), return_exceptions=True)
    died = values.pop(150)
    assert type(died) is allcores.WorkerDied
    assert died.exitcode == 7
    assert values == [n for n in range(300) if n != 150]


# Figures


def test_stats_count_tasks_and_bytes() -> None:
    with Pool(2) as pool:
        pool.map(tasks.identity, range(500))
        pool.apply(tasks.same_size, (b"x" * 100_000,))
        stats = pool.stats()
        assert stats.tasks == 501
        assert stats.processes == 2
        assert sum(entry.tasks for entry in stats.workers) == 501
        assert sum(entry.bytes_in for entry in stats.workers) > 100_000
        assert sum(entry.bytes_out for entry in stats.workers) > 100_000
        assert all(entry.pid and entry.alive for entry in stats.workers if entry.tasks)  # another may be starting
        pids = {entry.pid for entry in stats.workers if entry.tasks}
    pool.join()
    stats = pool.stats()
    assert stats.alive == 0
    assert {entry.pid for entry in stats.workers} >= pids
    assert stats.tasks == 501


def test_stats_tell_busy_from_idle_time() -> None:
    with Pool(1) as pool:
        pool.apply_async(tasks.sleep_and_return, (0.2,)).get()
        time.sleep(0.2)
        entry = pool.stats().workers[0]
    pool.join()
    assert entry.busy > 0.19
    assert entry.idle > 0.15


def test_stats_count_restarts(one: Pool) -> None:
    assert one.stats().restarts == 0
    with pytest.raises(allcores.WorkerDied):
        one.apply(os._exit, (1,))
    one.apply(tasks.square, (1,))
    assert one.stats().restarts == 1
    assert one.stats().started == 2


def test_stats_can_be_printed(engine: str) -> None:
    with Pool(2, engine=engine) as pool:
        pool.map(tasks.square, range(10))
        text = str(pool.stats())
    pool.join()
    assert re.search(r"^worker +pid +tasks +busy s", text.lstrip())
    assert "10 tasks" in text
    assert str(pool.stats()).endswith("restarts")


# What it says and refuses


def test_repr_names_the_pool_and_its_size() -> None:
    with Pool(3, name="crunchers") as pool:
        assert repr(pool) == "<allcores.pool.Pool crunchers processes=3>"
    pool.join()


def test_workers_are_called_after_the_pool() -> None:
    def name() -> str:
        return multiprocessing.current_process().name

    with Pool(1, name="crunchers") as pool:
        assert pool.apply(name) == "crunchers-1"
    pool.join()


@pytest.mark.parametrize("dumps", [pickle.dumps, lambda pool: tasks.identity])
def test_a_pool_cannot_be_pickled(processes: Pool, dumps: Any) -> None:
    if dumps is pickle.dumps:
        with pytest.raises(NotImplementedError, match="cannot be passed between processes"):
            dumps(processes)
    else:
        with pytest.raises(NotImplementedError, match="cannot be passed between processes"):
            processes.apply(tasks.identity, (processes,))


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"processes": 0}, ValueError, "processes"),
        ({"processes": -1}, ValueError, "processes"),
        ({"processes": "2"}, TypeError, "processes"),
        ({"processes": 1.5}, TypeError, "processes"),
        ({"processes": True}, TypeError, "processes"),
        ({"maxtasksperchild": 0}, ValueError, "maxtasksperchild"),
        ({"maxtasksperchild": -3}, ValueError, "maxtasksperchild"),
        ({"maxtasksperchild": 0.5}, ValueError, "maxtasksperchild"),
        ({"maxtasksperchild": "12"}, ValueError, "maxtasksperchild"),
        ({"initializer": 5}, TypeError, "initializer"),
        ({"finalizer": "f"}, TypeError, "finalizer"),
        ({"engine": "quantum"}, ValueError, "engine"),
        ({"engine": None}, ValueError, "engine"),
        ({"context": 5}, TypeError, "context"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": "1"}, TypeError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"retries": -1}, ValueError, "retries"),
        ({"retries": 1.5}, TypeError, "retries"),
        ({"retries": True}, TypeError, "retries"),
        ({"initializer": print, "initargs": 5}, TypeError, "initargs"),
        ({"preload": 5}, TypeError, "preload"),
        ({"preload": "numpy"}, TypeError, "preload"),
        ({"name": 5}, TypeError, "name"),
    ],
    ids=lambda value: repr(value) if isinstance(value, dict) else None,
)
def test_a_bad_argument_of_the_pool_is_named(arguments: dict[str, Any], error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=name):
        Pool(**arguments)


@pytest.mark.parametrize(
    ("method", "arguments", "error", "name"),
    [
        ("map", {"chunksize": 0}, ValueError, "chunksize"),
        ("map", {"chunksize": 1.5}, TypeError, "chunksize"),
        ("map_async", {"chunksize": -1}, ValueError, "chunksize"),
        ("starmap", {"chunksize": "3"}, TypeError, "chunksize"),
        ("starmap_async", {"chunksize": 0}, ValueError, "chunksize"),
        ("imap", {"chunksize": 0}, ValueError, "chunksize"),
        ("imap_unordered", {"chunksize": 0}, ValueError, "chunksize"),
        ("imap", {"buffersize": 0}, ValueError, "buffersize"),
        ("imap", {"buffersize": -1}, ValueError, "buffersize"),
        ("imap_unordered", {"buffersize": 2.5}, TypeError, "buffersize"),
        ("apply", {"timeout": 0}, ValueError, "timeout"),
        ("apply_async", {"timeout": "1"}, TypeError, "timeout"),
        ("map", {"timeout": -1}, ValueError, "timeout"),
        ("imap", {"timeout": float("nan")}, ValueError, "timeout"),
        ("apply", {"retries": -1}, ValueError, "retries"),
        ("map_async", {"retries": 0.5}, TypeError, "retries"),
        ("imap_unordered", {"retries": "2"}, TypeError, "retries"),
        ("apply", {"args": 5}, TypeError, "args"),
        ("apply_async", {"args": None}, TypeError, "args"),
        ("apply", {"kwds": 5}, TypeError, "kwds"),
        ("apply_async", {"callback": 5}, TypeError, "callback"),
        ("apply_async", {"error_callback": 5}, TypeError, "error_callback"),
        ("map_async", {"callback": "f"}, TypeError, "callback"),
        ("starmap_async", {"error_callback": 5}, TypeError, "error_callback"),
    ],
)
def test_a_bad_argument_of_a_method_is_named_at_the_call(
    pool: Pool, method: str, arguments: dict[str, Any], error: type[Exception], name: str
) -> None:
    first = () if method.startswith("apply") else ([(1,)],)
    with pytest.raises(error, match=name):
        getattr(pool, method)(tasks.identity, *first, **arguments)
    assert pool.apply(tasks.square, (2,)) == 4


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"times": -1}, ValueError, "times"),
        ({"times": 1.5}, TypeError, "times"),
        ({"times": 1, "on": "ValueError"}, TypeError, "on"),
        ({"times": 1, "on": ()}, TypeError, "on"),
        ({"times": 1, "backoff": -1}, ValueError, "backoff"),
        ({"times": 1, "backoff": "1"}, TypeError, "backoff"),
        ({"times": 1, "jitter": 2}, ValueError, "jitter"),
        ({"times": 1, "longest": -1}, ValueError, "longest"),
    ],
)
def test_a_bad_argument_of_retry_is_named(arguments: dict[str, Any], error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=name):
        Retry(**arguments)


def test_retry_tries_again_only_on_the_errors_that_it_names(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(OSError, match="attempt 1"):
        pool.apply(tasks.fail_times, (str(path), 1), retries=Retry(3, on=KeyError))
    assert pool.apply(tasks.fail_times, (str(path), 1), retries=Retry(3, on=(KeyError, OSError))) == 2


def test_retry_waits_as_its_backoff_says(pool: Pool, tmp_path: Path) -> None:
    began = time.monotonic()
    retry = Retry(2, backoff=0.1, jitter=0)
    assert pool.apply(tasks.fail_times, (str(tmp_path / "a"), 2), retries=retry) == 3
    assert time.monotonic() - began > 0.29  # 0.1 and 0.2


def test_counts_may_be_anything_that_is_an_index() -> None:
    numpy = pytest.importorskip("numpy")
    with Pool(numpy.int64(2)) as pool:
        assert pool.map(tasks.square, [1, 2], numpy.int32(1)) == [1, 4]
    pool.join()


def test_a_pool_of_a_forked_parent_says_that_it_belongs_elsewhere() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    with Pool(1) as pool:
        pool.apply(tasks.square, (1,))
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                pool.apply(tasks.square, (1,))
            except BaseException as error:
                os.write(writing, repr(error).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with open(reading) as file:
            said = file.read()
        os.waitpid(child, 0)
        assert said.startswith("RuntimeError(")
        assert "forked" in said
        assert pool.apply(tasks.square, (3,)) == 9  # the parent's pool has not noticed
    pool.join()
