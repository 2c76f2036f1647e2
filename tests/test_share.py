"""`Pool.share`, and arrays that functions bring along: sent once, mapped by all."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import resource
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import array_tasks as tasks
from allcores import Pool, WorkerDied
from allcores.lanes import large
from array_tasks import MANY

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def array() -> Any:
    return np.arange(MANY)


def received(pool: Pool) -> int:
    """Bytes that workers have been sent."""
    return sum(worker.bytes_in for worker in pool.stats().workers)


def test_a_handle_arrives_as_the_object_wherever_it_stands(processes: Pool, array: Any) -> None:
    handle = processes.share(array)
    total = int(array.sum())
    assert processes.apply(tasks.total, (handle,)) == total
    assert processes.apply(tasks.total, (), {"array": handle}) == total
    assert processes.map(tasks.total, [handle] * 5) == [total] * 5
    assert list(processes.imap(tasks.total, [handle] * 5)) == [total] * 5
    assert processes.starmap(tasks.item, [(handle, n) for n in range(5)]) == list(range(5))
    assert processes.map(partial(tasks.item, handle), range(5)) == list(range(5))
    assert processes.map(lambda n: int(handle[n]), range(5)) == list(range(5))
    assert processes.apply(lambda deep: int(deep["a"][0].sum()), ({"a": [handle]},)) == total


@pytest.mark.parametrize(
    "value", [5, "text", None, {"a": [1, 2]}, lambda n: n + 1], ids=["number", "text", "None", "dict", "function"]
)
def test_anything_can_be_shared(processes: Pool, value: Any) -> None:
    handle = processes.share(value)
    if callable(value):
        assert processes.apply(lambda function: function(1), (handle,)) == 2
    else:
        assert processes.apply(tasks.same, (handle,)) == value
        assert processes.map(tasks.same, [handle, 1, handle]) == [value, 1, value]


def test_it_is_sent_once_to_each_worker(processes: Pool, array: Any) -> None:
    handle = processes.share(array)
    processes.map(tasks.total, [handle] * 1000)
    for _ in range(50):
        processes.apply(tasks.total, (handle,))
    assert array.nbytes <= received(processes) < 2 * array.nbytes + 200_000


def test_it_is_the_same_object_for_all_tasks_of_a_worker(one: Pool) -> None:
    handle = one.share([])
    for n in range(3):
        assert one.apply(lambda shared, n: (shared.append(n), len(shared))[1], (handle, n)) == n + 1


def test_what_a_task_writes_no_other_worker_sees(array: Any) -> None:
    def write_and_read(shared: Any, _: int) -> tuple[int, int, int]:
        before = int(shared[0])
        shared[0] = os.getpid()
        return before, os.getpid(), int(shared[-1])

    with Pool(2) as pool:
        seen = pool.starmap(write_and_read, [(pool.share(array), n) for n in range(1)] * 4)
        handle = pool.share(array)
        seen += pool.starmap(write_and_read, [(handle, n) for n in range(200)])
        assert all(before in (0, pid) for before, pid, _ in seen)
        assert all(last == MANY - 1 for _, _, last in seen)
    assert array[0] == 0
    pool.join()


def test_workers_that_come_later_get_it_too(one: Pool, array: Any) -> None:
    handle = one.share(array)
    for _ in range(3):
        assert one.apply(tasks.total, (handle,)) == array.sum()
        with pytest.raises(WorkerDied):
            one.apply(tasks.die_with, (handle,))


def test_maxtasksperchild_and_shared_objects() -> None:
    with Pool(2, maxtasksperchild=3) as pool:
        handle = pool.share(np.arange(MANY))
        assert pool.starmap(tasks.item, [(handle, n) for n in range(50)]) == list(range(50))
    pool.join()


def test_a_handle_that_is_dropped_while_its_task_waits_does_no_harm(one: Pool, array: Any) -> None:
    first = one.apply_async(tasks.nap, (0.3, None))
    results = [one.apply_async(tasks.total, (one.share(array + n),)) for n in range(5)]
    gc.collect()
    assert [result.get(30) for result in results] == [(array + n).sum() for n in range(5)]
    first.get(30)


def mapped(pid: int | str = "self") -> int:
    return Path(f"/proc/{pid}/maps").read_text().count("/memfd:allcores")


def test_memory_is_free_again_once_the_handle_is_gone(
    one: Pool, array: Any, monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    monkeypatch.setattr(large, "UNUSED", 0.1)
    before = one.apply(mapped)
    handle = one.share(array)
    assert one.apply(tasks.total, (handle,)) == array.sum()
    assert one.apply(mapped) == before + 1
    del handle
    gc.collect()
    wait_until(lambda: one.apply(mapped) == before)


def test_the_private_memory_of_workers_does_not_grow_with_what_is_shared(processes: Pool) -> None:
    size = 64 << 20
    big = np.ones(size, "u1")
    before = dict(processes.map(private_memory, range(50)))
    handle = processes.share(big)
    while len(grown := dict(processes.starmap(touch, [(handle, n) for n in range(60)]))) < 2:
        pass
    assert set(grown) <= set(before) or len(before) < 2
    for pid, (private, total) in grown.items():
        assert total == size
        assert private - before.get(pid, (0, 0))[0] < size // 4, "kB of pages that only this process has written"


def private_memory(_: int) -> tuple[int, tuple[int, int]]:
    """Process id and bytes of anonymous memory."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return os.getpid(), (int(line.split()[1]) * 1024, 0)
    raise AssertionError("no such line")


def touch(array: Any, n: int) -> tuple[int, tuple[int, int]]:
    total = int(array.sum())
    return os.getpid(), (private_memory(0)[1][0], total)


def test_an_object_that_cannot_be_pickled_says_so(one: Pool) -> None:
    with pytest.raises(TypeError, match="lock"):
        one.share(__import__("_thread").allocate_lock())


def test_an_object_that_cannot_be_unpickled_is_the_error_of_its_tasks(one: Pool) -> None:
    handle = one.share(tasks.Unloadable())
    for _ in range(2):
        with pytest.raises(Exception, match="cannot be loaded"):
            one.apply(tasks.same, (handle,))
    assert one.apply(tasks.same, (1,)) == 1


def test_a_handle_that_goes_another_way_says_so(one: Pool) -> None:
    handle = one.share([1])
    with pytest.raises(LookupError, match="argument of a task"):
        pickle.loads(pickle.dumps(handle))


def test_a_pool_that_has_ended_shares_nothing(one: Pool, array: Any) -> None:
    handle = one.share(array)
    assert "ndarray" in repr(handle)
    one.terminate()
    with pytest.raises(ValueError, match="not running"):
        one.share(array)
    one.join()
    with Pool(1) as other:
        with pytest.raises(ValueError, match="has ended"):
            other.apply(tasks.total, (handle,))
        assert other.apply(tasks.total, (array,)) == array.sum()
    other.join()


def test_what_is_shared_without_a_descriptor_to_be_had_is_right(one: Pool, array: Any) -> None:
    one.apply(tasks.total, (array,))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        handle = one.share(array)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    for n in range(5):
        assert one.apply(tasks.total, (array + n,)) == (array + n).sum()
        assert one.apply(tasks.total, (handle,)) == array.sum()


def test_one_item_that_cannot_be_sent_costs_no_other_and_no_worker(processes: Pool, array: Any) -> None:
    with Pool(1) as other:
        dead = other.share(array)
    other.join()
    processes.map(tasks.same, [None] * 1000)
    before = processes.stats().restarts
    items = [None] * 50 + [dead] + [None] * 50
    outcomes = processes.map(tasks.same, items, return_exceptions=True)
    assert isinstance(outcomes.pop(50), ValueError)
    assert outcomes == [None] * 100
    for _ in range(3):
        with pytest.raises(ValueError, match="has ended"):
            processes.apply(tasks.same, (dead,))
    assert processes.stats().restarts == before


def test_a_copy_of_a_handle_is_the_handle(one: Pool) -> None:
    handle = one.share([1])
    assert copy.copy(handle) is handle
    assert copy.deepcopy([handle])[0] is handle


def test_memory_is_free_again_without_another_task(
    one: Pool, array: Any, monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    monkeypatch.setattr(large, "UNUSED", 0.1)
    worker = one.apply(os.getpid)
    before = mapped(worker)
    handle = one.share(array)
    assert one.apply(tasks.total, (handle,)) == array.sum()
    assert mapped(worker) == before + 1
    del handle
    gc.collect()
    wait_until(lambda: mapped(worker) == before, 10)


@pytest.mark.parametrize("engine", ["threads", "serial"])
def test_where_tasks_run_in_this_process_it_is_the_object_itself(engine: str, array: Any) -> None:
    with Pool(2, engine=engine) as pool:
        handle = pool.share(array)
        assert pool.apply(lambda deep: deep[0] is array, ([handle],))
    pool.join()


# Functions


def test_an_array_bound_to_a_function_is_sent_once(processes: Pool, array: Any) -> None:
    bound = partial(tasks.item, array)
    assert processes.map(bound, range(1000)) == list(range(1000))
    assert processes.map(lambda n: int(array[n]), range(1000)) == list(range(1000))
    assert received(processes) < 4 * array.nbytes + 300_000


def test_an_unchanged_array_is_not_sent_again(one: Pool, array: Any) -> None:
    bound = partial(tasks.item, array)
    for n in range(20):
        assert one.apply(bound, (n,)) == n
    assert received(one) < 2 * array.nbytes


def test_a_changed_array_is(one: Pool, array: Any) -> None:
    bound = partial(tasks.item, array)
    read = lambda n: int(array[n])
    for n in range(10):
        array[7] = 1000 + n
        assert one.apply(bound, (7,)) == 1000 + n
        assert one.apply(read, (7,)) == 1000 + n


def test_calls_under_way_keep_their_own_array(one: Pool, array: Any) -> None:
    results = []
    for n in range(5):
        array[0] = n
        results.append(one.map_async(partial(tasks.item_slowly, array), [0] * 4))
    assert [result.get(30) for result in results] == [[n] * 4 for n in range(5)]


def test_an_initializer_may_bring_arrays(array: Any) -> None:
    with Pool(2, tasks.keep, (array,)) as pool:
        assert pool.map(tasks.kept_item, range(20)) == list(range(20))
    pool.join()
