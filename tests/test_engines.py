"""What the engines have in common, and where they differ on purpose."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import allcores
import pool_tasks as tasks
from allcores import Pool
from allcores.lanes import ENGINES

WaitUntil = Callable[..., None]


def test_the_engines_are_these() -> None:
    assert ENGINES == ("processes", "threads", "serial")


def test_an_unknown_engine_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="'processes', 'threads', 'serial'"):
        Pool(1, engine="gpu")


def test_the_default_engine_is_processes() -> None:
    with Pool(1) as pool:
        assert pool.apply(tasks.pid) != os.getpid()
    pool.join()


@pytest.mark.parametrize("engine", ["threads", "serial"])
def test_local_engines_run_in_this_process_with_the_objects_themselves(engine: str) -> None:
    item = object()
    seen: list[Any] = []
    with Pool(2, engine=engine) as pool:
        assert pool.apply(tasks.pid) == os.getpid()
        assert pool.apply(tasks.identity, (item,)) is item
        pool.map(seen.append, [item])
        assert seen == [item]
    pool.join()


def test_threads_are_called_after_the_pool_and_are_not_the_callers() -> None:
    with Pool(2, engine="threads", name="weavers") as pool:
        names = set(pool.map(lambda n: time.sleep(0.05) or tasks.thread_name(), range(4)))
    pool.join()
    assert names == {"weavers-1", "weavers-2"}


def test_threads_run_at_the_same_time() -> None:
    barrier = threading.Barrier(3)
    with Pool(3, engine="threads") as pool:
        results = [pool.apply_async(barrier.wait, (10,)) for _ in range(3)]
        assert sorted(result.get(15) for result in results) == [0, 1, 2]
    pool.join()


def test_serial_runs_in_the_calling_thread() -> None:
    with Pool(4, engine="serial") as pool:
        names = pool.map(tasks.thread_name, range(5))
        names += list(pool.imap(tasks.thread_name, range(5)))
        names += list(pool.imap(tasks.thread_name, iter(range(5))))
        names.append(pool.apply_async(tasks.thread_name).get())
    pool.join()
    assert set(names) == {threading.current_thread().name}


def test_serial_has_run_a_task_when_apply_async_returns() -> None:
    with Pool(1, engine="serial") as pool:
        result = pool.apply_async(tasks.square, (3,))
        assert result.ready()
        assert result.get() == 9
    pool.join()


def test_serial_starts_no_thread_and_no_process() -> None:
    before = set(threading.enumerate())
    with Pool(4, engine="serial") as pool:
        pool.map(tasks.square, range(100))
        assert set(threading.enumerate()) <= before
        assert pool.stats().started == 1
    pool.join()


def test_serial_shows_the_whole_way_from_the_call_to_the_task() -> None:
    """A debugger, and a traceback, see both."""
    with Pool(1, engine="serial") as pool:
        frames = pool.apply(lambda: [frame.name for frame in __import__("traceback").extract_stack()])
    pool.join()
    assert "test_serial_shows_the_whole_way_from_the_call_to_the_task" in frames


@pytest.mark.timeout(20)
def test_a_task_may_use_its_own_serial_pool() -> None:
    with Pool(1, engine="serial") as pool:
        assert pool.apply(lambda: [pool.apply(tasks.square, (n,)) for n in range(3)]) == [0, 1, 4]
    pool.join()


@pytest.mark.timeout(20)
def test_a_serial_map_of_many_items_does_not_grow_the_stack() -> None:
    with Pool(1, engine="serial") as pool:
        assert pool.map(tasks.square, range(20_000)) == [n * n for n in range(20_000)]
        results = [pool.apply_async(tasks.square, (n,)) for n in range(3000)]
        assert [result.get() for result in results] == [n * n for n in range(3000)]
    pool.join()


@pytest.mark.timeout(20)
def test_a_serial_pool_used_from_two_threads_gives_each_its_own() -> None:
    with Pool(2, engine="serial") as pool:
        results: dict[int, list[int]] = {}

        def use(number: int) -> None:
            results[number] = pool.map(lambda n: time.sleep(0.001) or n * number, range(30))

        threads = [threading.Thread(target=use, args=(number,)) for number in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    pool.join()
    assert results == {number: [n * number for n in range(30)] for number in (1, 2, 3)}


def test_ctrl_c_in_a_serial_pool_is_the_callers() -> None:
    done = []

    def interrupted(n: int) -> int:
        done.append(n)
        if n == 3:
            raise KeyboardInterrupt
        return n

    with Pool(1, engine="serial") as pool, pytest.raises(KeyboardInterrupt):
        pool.map(interrupted, range(100))
    pool.join()
    assert len(done) < 100


@pytest.mark.timeout(20)
def test_a_thread_past_its_limit_is_left_to_itself_and_replaced(wait_until: WaitUntil) -> None:
    release = threading.Event()
    with Pool(1, engine="threads") as pool:
        with pytest.raises(allcores.TaskTimeout):
            pool.apply(release.wait, (30,), timeout=0.1)
        assert pool.apply_async(tasks.square, (3,)).get(10) == 9
        release.set()
    pool.join()
    wait_until(lambda: pool.stats().alive == 0)


@pytest.mark.timeout(20)
def test_terminating_a_pool_of_threads_does_not_wait_for_them() -> None:
    release = threading.Event()
    pool = Pool(1, engine="threads")
    running = pool.apply_async(release.wait, (30,))
    time.sleep(0.05)
    began = time.monotonic()
    pool.terminate()
    pool.join()
    assert time.monotonic() - began < 2
    with pytest.raises(BaseException) as caught:
        running.get(5)
    assert type(caught.value).__name__ == "CancelledError"
    release.set()


def test_initializers_of_local_engines_run_where_their_tasks_run() -> None:
    local = threading.local()

    def prepare() -> None:
        local.ready = True

    for engine in ("threads", "serial"):
        with Pool(2, prepare, engine=engine) as pool:
            assert set(pool.map(lambda n: local.ready, range(10))) == {True}
        pool.join()


def test_finalizers_of_local_engines_run_at_the_end() -> None:
    for engine in ("threads", "serial"):
        ended: list[str] = []
        pool = Pool(1, engine=engine, finalizer=lambda ended=ended: ended.append(tasks.thread_name()))
        name = pool.apply(tasks.thread_name)
        assert ended == []
        pool.close()
        pool.join()
        assert ended == [name]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("limit", [1, 3])
def test_maxtasksperchild_replaces_threads_too(limit: int) -> None:
    with Pool(1, engine="threads", maxtasksperchild=limit) as pool:
        names = [pool.apply(tasks.thread_name) for _ in range(6)]
    pool.join()
    assert len(set(names)) == 6 // limit


@pytest.mark.parametrize("engine", ["threads", "serial"])
def test_local_engines_need_neither_cloudpickle_nor_a_process(engine: str) -> None:
    script = f"""
        import sys, allcores
        with allcores.Pool(2, engine={engine!r}) as pool:
            assert pool.map(lambda n: n + 1, range(5)) == [1, 2, 3, 4, 5]
        print([name for name in ("cloudpickle", "allcores.lanes.processes", "psutil") if name in sys.modules])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_preloaded_module_is_there_in_every_worker() -> None:
    def loaded() -> bool:
        return "wave" in sys.modules

    with Pool(1) as pool:
        assert not pool.apply(loaded)
    pool.join()
    with Pool(1, preload=["wave"]) as pool:
        assert pool.apply(loaded)
    pool.join()
