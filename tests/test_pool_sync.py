"""Queues, values and locks of multiprocessing, given to workers as initargs and as arguments."""

from __future__ import annotations

import multiprocessing.resource_sharer
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import allcores
import pool_tasks as tasks
from allcores import Pool

pytestmark = pytest.mark.timeout(15)


@pytest.fixture(autouse=True)
def sharer() -> Iterator[None]:
    """multiprocessing hands descriptors over by a thread of its own, which it keeps until told to stop."""
    yield
    multiprocessing.resource_sharer.stop()


@pytest.fixture(params=["argument", "initarg"])
def way(request: pytest.FixtureRequest) -> str:
    """How an object gets to the worker."""
    way: str = request.param
    return way


def call(way: str, function: Any, shared: Any, *rest: Any) -> list[Any]:
    """Call a function twice at once in two workers, with an object that gets there one way or the other."""
    if way == "argument":
        with Pool(2) as pool:
            results = [pool.apply_async(function, (shared, *rest)) for _ in range(2)]
            values = [result.get(20) for result in results]
            pool.close()  # in good order: what a queue's thread has not sent yet is lost with a worker that is ended
            pool.join()
    else:

        def with_remembered(*rest: Any) -> Any:
            return function(tasks.state["values"][0], *rest)

        with Pool(2, tasks.remember_positional, (shared,)) as pool:
            results = [pool.apply_async(with_remembered, rest) for _ in range(2)]
            values = [result.get(20) for result in results]
            pool.close()
            pool.join()
    return values


@pytest.mark.parametrize("kind", ["Queue", "SimpleQueue", "JoinableQueue"])
def test_a_queue_carries_values_from_workers(kind: str, way: str) -> None:
    queue: Any = getattr(allcores, kind)()
    call(way, tasks.put_in, queue, {"from": "a worker"})
    assert queue.get() == queue.get() == {"from": "a worker"}
    queue.close()
    if hasattr(queue, "join_thread"):
        queue.join_thread()


def test_a_queue_carries_values_to_workers(way: str) -> None:
    queue = allcores.SimpleQueue()
    for value in ("one", "two"):
        queue.put(value)
    assert sorted(call(way, lambda queue: queue.get(), queue)) == ["one", "two"]
    queue.close()


def test_a_value_is_shared(way: str) -> None:
    value = allcores.Value("i", 5)
    call(way, tasks.add_to, value, 100)
    assert value.value == 205


def test_an_array_is_shared(way: str) -> None:
    def fill(array: Any) -> None:
        for index in range(len(array)):
            array[index] = index * index

    array = allcores.Array("i", 10)
    call(way, fill, array)
    assert list(array) == [n * n for n in range(10)]


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "BoundedSemaphore"])
def test_a_lock_keeps_workers_out(kind: str, way: str, tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("0")
    call(way, tasks.add_under_lock, getattr(allcores, kind)(), str(path), 200)
    assert path.read_text() == "400"


def test_an_event_reaches_the_parent(way: str) -> None:
    event = allcores.Event()
    call(way, tasks.set_event, event)
    assert event.wait(5)


def test_a_barrier_and_a_condition_travel(way: str) -> None:
    assert sorted(call(way, lambda barrier: barrier.wait(10), allcores.Barrier(2))) == [0, 1]

    def notify(condition: Any) -> bool:
        with condition:
            condition.notify_all()
        return True

    assert call(way, notify, allcores.Condition()) == [True, True]


def test_a_pipe_travels(way: str) -> None:
    reading, writing = allcores.Pipe(duplex=False)
    call(way, lambda end, text: end.send(text), writing, "hello")
    assert reading.recv() == reading.recv() == "hello"
    reading.close()
    writing.close()


def test_a_managers_objects_travel(way: str) -> None:
    with allcores.get_context("spawn").Manager() as manager:
        shared = manager.dict()
        call(way, lambda shared: shared.update(seen=True), shared)
        assert dict(shared) == {"seen": True}


def test_a_queue_inside_a_structure_and_in_a_map_travels() -> None:
    queue: Any = allcores.Queue()
    with Pool(2) as pool:
        pool.map(lambda item: item["queue"].put(item["n"]), [{"queue": queue, "n": n} for n in range(10)])
        assert sorted(queue.get(timeout=10) for _ in range(10)) == list(range(10))
    pool.join()
    queue.close()
    queue.join_thread()


def test_a_queue_that_a_function_captures_travels() -> None:
    queue = allcores.SimpleQueue()
    with Pool(1) as pool:
        pool.map(lambda n: queue.put(n * n), range(3))
        assert [queue.get() for _ in range(3)] == [0, 1, 4]
    pool.join()
    queue.close()


def test_a_queue_reaches_a_replacement_of_a_worker() -> None:
    queue = allcores.SimpleQueue()
    with Pool(1, tasks.remember_positional, (queue,), 1) as pool:
        for n in range(4):
            pool.apply(tasks.put_in_remembered, (n,))
        assert [queue.get() for _ in range(4)] == [0, 1, 2, 3]
    pool.join()
    queue.close()


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_objects_made_by_a_context_work_in_a_pool_of_that_context(method: str) -> None:
    context: Any = allcores.get_context(method)
    value, lock, queue = context.Value("i", 0), context.Lock(), context.SimpleQueue()

    def use(_: Any) -> None:
        shared, held, out = tasks.state["values"]
        with held:
            shared.value += 1
        out.put("used")

    with Pool(2, tasks.remember_positional, (value, lock, queue), context=context) as pool:
        pool.map(use, range(4))
    pool.join()
    assert value.value == 4
    assert [queue.get() for _ in range(4)] == ["used"] * 4
    queue.close()


def make_pipe() -> Any:
    reading, writing = allcores.Pipe()
    writing.send("written by the task")
    return [reading]


def test_the_end_of_a_pipe_that_a_task_has_made_arrives() -> None:
    with Pool(1) as pool:
        (reading,) = pool.apply(make_pipe)
        assert reading.poll(10)
        assert reading.recv() == "written by the task"
        reading.close()
    pool.join()
