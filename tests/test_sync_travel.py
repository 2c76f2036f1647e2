"""Locks and the like get into workers and processes, however deep they are packed, and back."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import allcores
from allcores import BoundedSemaphore, Condition, Event, Lock, Pool, Process, RLock, Semaphore
from sync_agents import SOON, stop_fork_server

pytestmark = [pytest.mark.timeout(50), pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")]

METHODS = ["fork", "forkserver", "spawn"]


@pytest.fixture(autouse=True)
def no_server() -> Iterator[None]:
    """The standard library's fork server stays until it is told to stop."""
    yield
    stop_fork_server()


def takes(lock: Any) -> bool:
    """Whether the lock can be had; it is given back at once."""
    if not lock.acquire(False):
        return False
    lock.release()
    return True


def take_one_of(bundle: dict[str, Any]) -> bool:
    return takes(bundle["deep"][0][1].lock)


class Box:
    def __init__(self, lock: Any) -> None:
        self.lock = lock


def keep(lock: Any) -> None:
    kept["lock"] = lock


kept: dict[str, Any] = {}


def take_kept() -> bool:
    return takes(kept["lock"])


def release_kept_and_this(lock: Any) -> bool:
    kept["lock"].release()
    lock.release()
    return takes(lock)


LOCKS = pytest.mark.parametrize("make", [Lock, RLock, Semaphore, BoundedSemaphore, Condition])
Make = Callable[[], Any]


@LOCKS
def test_they_arrive_in_a_worker_as_what_they_are(make: Make) -> None:
    lock = make()

    def captured() -> bool:
        return takes(lock)

    # (each asks: can the worker have it?)
    ways: list[Callable[[Pool], bool]] = [
        lambda pool: pool.apply(takes, (lock,)),
        lambda pool: pool.apply(takes, (), {"lock": lock}),
        lambda pool: pool.map(takes, [lock])[0],
        lambda pool: pool.starmap(takes, [(lock,)])[0],
        lambda pool: next(pool.imap(takes, iter([lock]))),
        lambda pool: pool.apply(take_one_of, ({"deep": [(1, Box(lock))]},)),
        lambda pool: pool.apply(captured),
        lambda pool: pool.apply(partial(takes, lock)),
        lambda pool: pool.apply(Box(lock).lock.__class__.__name__.__eq__, (make.__name__,)),
    ]
    with Pool(1) as pool:
        for free in (True, False):
            for way in ways[:-1]:
                assert way(pool) is free
            assert ways[-1](pool)
            if free:
                lock.acquire()
    pool.join()
    lock.release()


@pytest.mark.parametrize("method", METHODS)
def test_they_arrive_by_initargs_in_pools_of_every_kind(method: str) -> None:
    lock = Lock()
    with Pool(1, keep, (lock,), context=multiprocessing.get_context(method)) as pool:
        assert pool.apply(take_kept)
        with lock:
            assert not pool.apply(take_kept)
    pool.join()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("whose", ["allcores", "multiprocessing"])
def test_they_arrive_in_processes_of_every_kind(method: str, whose: str) -> None:
    """The standard library's too; many locks at once, and a Condition and an Event."""
    locks = [Lock() for _ in range(300)]
    condition, event, answers = Condition(), Event(), allcores.Array("i", 2)
    for lock in locks[::3]:
        lock.acquire()
    arguments = (locks, {"condition": condition, "event": event}, answers)
    context: Any = multiprocessing.get_context(method)
    if whose == "allcores":
        process: Any = Process(target=look_around, args=arguments, context=context)
    else:
        process = context.Process(target=look_around, args=arguments)
    with condition:
        process.start()
        assert condition.wait(SOON)
    assert event.wait(SOON)
    process.join()
    process.close()
    assert list(answers) == [200, 100]


def look_around(locks: list[Any], named: dict[str, Any], answers: Any) -> None:
    free = [takes(lock) for lock in locks]
    answers[0], answers[1] = free.count(True), free.count(False)
    with named["condition"]:
        named["condition"].notify()
    named["event"].set()


def test_a_pool_of_the_standard_library_takes_them_as_initargs() -> None:
    lock = Lock()
    with multiprocessing.get_context("spawn").Pool(1, keep, (lock,)) as pool:
        assert pool.apply(take_kept)
        with lock:
            assert not pool.apply(take_kept)


def test_they_come_back_as_the_very_same() -> None:
    lock, semaphore = Lock(), Semaphore(3)
    with Pool(1) as pool:
        back, others = pool.apply(lambda *locks: (locks[0], {"others": locks[1:]}), (lock, semaphore))
        with lock:
            assert not back.acquire(False)
            assert not pool.apply(takes, (back,))
        others["others"][0].acquire()
        assert semaphore.get_value() == 2
    pool.join()


def test_what_a_task_has_made_comes_back_and_goes_to_other_pools() -> None:
    with Pool(1) as pool, Pool(1) as other:
        lock = pool.apply(Lock)
        bounded, condition = pool.apply(lambda: (BoundedSemaphore(2), Condition(Lock())))
        assert takes(lock)
        assert lock.acquire()
        assert not pool.apply(takes, (lock,))
        assert not other.apply(takes, (lock,))
        pool.terminate()
        pool.join()
        assert not other.apply(takes, (lock,))
        lock.release()
        assert other.apply(takes, (lock,))
        assert other.apply(lambda: (bounded.acquire(), bounded.get_value())) == (True, 1)
        with condition:
            assert not condition.wait(0.01)
    other.join()


@pytest.mark.parametrize("method", METHODS)
def test_what_a_process_has_made_outlives_it(method: str) -> None:
    process = Process(target=lambda: [Lock(), Event()], context=method)
    process.start()
    process.join()
    lock, event = process.result()
    process.close()
    event.set()
    with lock, Pool(1) as pool:
        assert pool.apply(lambda: (lock.acquire(False), event.is_set())) == (False, True)
    pool.join()


def test_they_go_on_to_nested_pools() -> None:
    lock = Lock()

    def nest(lock: Any) -> list[bool]:
        with Pool(1) as inner:
            found = [inner.apply(takes, (lock,))]
            with lock:
                found.append(inner.apply(takes, (lock,)))
        inner.join()
        return found

    with Pool(1) as pool:
        assert pool.apply(nest, (lock,)) == [True, False]
    pool.join()


def test_copies_in_one_process_are_one_lock() -> None:
    lock = RLock()

    def acquire_by_one_and_release_by_another(first: Any, second: Any) -> bool:
        first.acquire()
        second.acquire(False)
        first.release()
        second.release()
        try:
            second.release()
        except AssertionError:
            return True
        return False

    with Pool(1, keep, (lock,)) as pool:
        assert pool.apply(acquire_by_one_and_release_by_another, (lock, [lock][0]))
        assert pool.map(lambda lock: lock.acquire(False), [lock, lock]) == [True, True]
        assert not lock.acquire(False)
        assert pool.apply(release_kept_and_this, (lock,))
        assert takes(lock)
    pool.join()


def test_elsewhere_they_refuse_to_be_pickled_as_the_standard_librarys_do() -> None:
    for shared in (Lock(), Semaphore(), Event(), Condition(), allcores.Barrier(2)):
        with pytest.raises(RuntimeError, match="shared with processes"):
            pickle.dumps(shared)


def test_a_lock_whose_memory_is_gone_says_so() -> None:
    from allcores.sync import records, travel

    lock = Lock()
    handle = travel.Passed("/proc/1/fd/999999", os.O_RDWR)
    with pytest.raises(OSError, match="is gone"):
        travel._arrive(Lock, lock._record.slab.token ^ 1, handle, 0, ())
    handle = travel.Passed(f"/proc/self/fd/{lock._record.slab.fd}", os.O_RDWR)
    with pytest.raises(OSError, match="something else"):
        records.attach(lock._record.slab.token ^ 1, handle.detach)


def test_nothing_is_left_when_the_last_one_is_gone() -> None:
    def memory() -> int:
        return Path("/proc/self/maps").read_text().count("allcores-sync")

    def use() -> None:
        locks = [Lock(), Event(), Condition()]
        with Pool(1) as pool:
            pool.apply(len, (locks,))
            pool.map(lambda _: len(locks), range(3))
        pool.join()
        assert memory() > 0

    use()
    give_up = time.monotonic() + SOON
    while memory():
        assert time.monotonic() < give_up
        gc.collect()


COLLECTED_IN_A_FORK = """
import gc, os

from allcores import Event, Lock

class Places(list):
    def clear(self):  # a forked child does this as soon as it is told of the fork
        super().clear()
        gc.collect()

gc.disable()
lock, another = Lock(), Lock()
is_known, is_reused, is_held, is_over = Event(), Event(), Event(), Event()
lock._record.slab.free = Places(lock._record.slab.free)
dropped = [Lock()]
dropped.append(dropped)
with dropped[0]:
    pass  # it has a place in the shared memory now, which is this process's
del dropped
child = os.fork()
if child == 0:
    with lock:
        pass
    is_known.set()
    is_reused.wait(20)
    with lock:
        is_held.set()
        is_over.wait(20)
    os._exit(0)
assert is_known.wait(20)
gc.collect()
another.acquire()  # in the place of the dropped one
is_reused.set()
assert is_held.wait(20)
assert not lock.acquire(timeout=0.3), "two have it"
is_over.set()
assert lock.acquire(timeout=20)
assert os.waitpid(child, 0)[1] == 0
"""


def test_what_a_fork_collects_was_its_parents() -> None:
    program = [sys.executable, "-c", COLLECTED_IN_A_FORK]
    done = subprocess.run(program, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_threads_and_processes_use_one_lock_at_once(tmp_path: Any) -> None:
    path = tmp_path / "number"
    path.write_text("0")
    lock = Lock()

    def add(times: int) -> None:
        for _ in range(times):
            with lock:
                path.write_text(str(int(path.read_text()) + 1))

    threads = [threading.Thread(target=add, args=(100,)) for _ in range(3)]
    with Pool(2) as pool:
        results = [pool.apply_async(add, (150,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results:
            result.get(SOON)
    pool.join()
    assert path.read_text() == "900"
