"""Workers that cannot start or are replaced, limits of memory, finalizers, and arguments that make no sense."""

from __future__ import annotations

import math
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reliability_tasks as tasks
from allcores import MemoryLimitExceeded, Pool, PoolBroken, WorkerDied

pytestmark = pytest.mark.timeout(45)

WaitUntil = Callable[..., None]

#: Seconds after which a result that has not come never will.
SOON = 15.0

#: More failed starts than this, and the pool would not be giving up but trying for ever.
MOST_STARTS = 12


def _slow(*values: Any) -> Any:
    """A parameter for the long suite only."""
    return pytest.param(*values, marks=pytest.mark.slow)


# Workers that cannot start


@pytest.mark.parametrize(
    "how",
    [
        "raise",
        "_exit",
        *(_slow(how) for how in ("import", "sys.exit", "SIGKILL", "SIGSEGV")),
    ],
)
def test_an_initializer_that_always_fails_breaks_the_pool_after_a_few_starts(
    tmp_path: Path, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "starts")
    with Pool(2, tasks.fail_to_initialize, (path, how)) as pool:
        results = [pool.apply_async(tasks.same, (x,)) for x in range(5)]
        for result in results:
            with pytest.raises(PoolBroken) as caught:
                result.get(SOON)
        if how in ("raise", "import", "sys.exit"):
            cause = caught.value.__cause__
            assert isinstance(cause, {"raise": LookupError, "import": ImportError, "sys.exit": SystemExit}[how])
            assert cause.__cause__ is not None
            assert "in fail_to_initialize" in str(cause.__cause__)
            assert "initializer" in str(caught.value)
        else:
            reason = {"_exit": "code 7"}.get(how, how)
            assert reason in str(caught.value)
        time.sleep(0.5)  # for those that were on their way
        starts = len(tasks.marks(path))
        assert 1 < starts <= MOST_STARTS
        time.sleep(0.5)
        assert len(tasks.marks(path)) == starts  # nobody goes on trying
        with pytest.raises(PoolBroken):
            pool.apply(tasks.same, (1,))
    pool.join()


_WAYS: dict[str, Callable[[Pool], Any]] = {
    "apply": lambda pool: pool.apply(tasks.same, (1,)),
    "apply_async": lambda pool: pool.apply_async(tasks.same, (1,)).get(SOON),
    "map": lambda pool: pool.map(tasks.same, range(10_000)),
    "starmap": lambda pool: pool.starmap(tasks.same, [(1,)] * 100),
    "map_async": lambda pool: pool.map_async(tasks.same, range(10_000)).get(SOON),
    "imap": lambda pool: pool.imap(tasks.same, iter(range(10_000))).next(SOON),
    "imap_unordered": lambda pool: pool.imap_unordered(tasks.same, range(10_000)).next(SOON),
}


@pytest.mark.parametrize("way", list(_WAYS))
def test_every_way_of_waiting_hears_that_the_pool_is_broken(tmp_path: Path, way: str) -> None:
    with Pool(2, tasks.fail_to_initialize, (str(tmp_path / "starts"), "raise")) as pool:
        with pytest.raises(PoolBroken):
            _WAYS[way](pool)
        pool.close()
        pool.join()


def test_many_workers_that_cannot_start_are_bounded_as_well(tmp_path: Path) -> None:
    path = str(tmp_path / "starts")
    with Pool(8, tasks.fail_to_initialize, (path, "raise")) as pool, pytest.raises(PoolBroken):
        pool.map(tasks.same, range(1000))
    assert len(tasks.marks(path)) <= 8 + MOST_STARTS


def test_an_initializer_that_fails_now_and_then_breaks_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "starts")
    with Pool(1, tasks.fail_to_initialize_times, (path, 2)) as pool:
        assert pool.map(tasks.same, range(10)) == list(range(10))
    assert len(tasks.marks(path)) == 3


@pytest.mark.slow
def test_what_runs_on_a_good_worker_ends_well_though_the_pool_breaks(tmp_path: Path, wait_until: WaitUntil) -> None:
    begun = str(tmp_path / "begun")
    with Pool(2, tasks.fail_from_the_second_on, (str(tmp_path / "starts"),)) as pool:
        running = pool.apply_async(tasks.nap_and_mark, (begun, "good", 1.5))
        wait_until(lambda: tasks.marks(begun), SOON)
        with pytest.raises(PoolBroken):
            pool.apply_async(tasks.same, (1,)).get(SOON)
        assert running.get(SOON) == "good"


@pytest.mark.parametrize("context", ["fork", _slow("spawn")])
@pytest.mark.parametrize("how", ["raise", "_exit"])
def test_broken_starts_are_bounded_whatever_the_context(tmp_path: Path, context: str, how: str) -> None:
    path = str(tmp_path / "starts")
    chosen = multiprocessing.get_context(context)
    with Pool(1, tasks.fail_to_initialize, (path, how), context=chosen) as pool, pytest.raises(PoolBroken):
        pool.apply_async(tasks.same, (1,)).get(SOON)
    assert len(tasks.marks(path)) <= MOST_STARTS


@pytest.mark.parametrize("engine", ["threads", "serial"])
def test_broken_starts_are_bounded_on_every_engine(tmp_path: Path, engine: str) -> None:
    path = str(tmp_path / "starts")
    with Pool(1, tasks.fail_to_initialize, (path, "raise"), engine=engine) as pool, pytest.raises(PoolBroken):
        pool.apply_async(tasks.same, (1,)).get(SOON)
    assert len(tasks.marks(path)) <= MOST_STARTS


@pytest.mark.parametrize("end", ["terminate", "close"])
def test_a_pool_ends_while_its_workers_are_starting(end: str) -> None:
    pool = Pool(2, tasks.initialize_slowly, (0.6,))
    result = pool.apply_async(tasks.same, (1,))
    time.sleep(0.1)
    getattr(pool, end)()
    pool.join()
    if end == "close":
        assert result.get(0) == 1
    else:
        with pytest.raises(BaseException, match="terminated"):
            result.get(0)


def test_a_pool_is_terminated_whose_initializer_never_ends() -> None:
    pool = Pool(2, tasks.initialize_slowly, (60,))
    pool.apply_async(tasks.same, (1,))
    time.sleep(0.3)
    began = time.monotonic()
    pool.terminate()
    pool.join()
    assert time.monotonic() - began < 10


def test_too_few_descriptors_are_told_as_such(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        "import resource, time\n"
        "from allcores import Pool, PoolBroken\n"
        "if __name__ == '__main__':\n"
        "    with Pool(30) as pool:\n"
        "        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))\n"
        "        try:\n"
        "            results = [pool.apply_async(time.sleep, (0.3,)) for _ in range(30)]\n"
        "            [result.get(15) for result in results]\n"
        "        except PoolBroken as error:\n"
        "            print('initializer' in str(error), 'Too many open files' in str(error))\n"
        "        else:\n"
        "            print(False, True)\n"  # fewer workers have done it all: as good
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.split() == ["False", "True"], done.stderr


# Workers that are replaced


@pytest.mark.parametrize("way", ["apply_async", "chunks", _slow("map"), _slow("imap"), _slow("imap_unordered")])
@pytest.mark.parametrize("most", [_slow(1), 7])
def test_no_worker_does_more_tasks_than_it_may(way: str, most: int) -> None:
    count = 40 if most == 1 else 120
    with Pool(3, maxtasksperchild=most) as pool:
        if way == "apply_async":
            results = [pool.apply_async(tasks.pid) for _ in range(count)]
            pids = [result.get(SOON) for result in results]
        elif way == "chunks":
            pids = pool.map(tasks.pid, range(count), chunksize=50)
        else:
            pids = list(getattr(pool, way)(tasks.pid, range(count)))
    assert len(pids) == count
    assert max(Counter(pids).values()) <= most
    assert len(set(pids)) >= count / most


def test_a_worker_does_exactly_as_many_tasks_as_it_may(tmp_path: Path) -> None:
    with Pool(1, maxtasksperchild=3) as pool:
        assert list(Counter(pool.apply(tasks.pid) for _ in range(9)).values()) == [3, 3, 3]
        assert list(Counter(pool.map(tasks.pid, range(9))).values()) == [3, 3, 3]


def test_workers_that_are_replaced_lose_no_task(tmp_path: Path) -> None:
    path = str(tmp_path / "begun")
    with Pool(3, maxtasksperchild=5) as pool:
        items = [(path, x, (), "", "int") for x in range(200)]
        assert pool.starmap(tasks.work_or_die, items) == [3 * x for x in range(200)]
    assert Counter(map(int, tasks.marks(path))) == Counter(range(200))


def test_workers_that_are_replaced_and_die_lose_no_task(tmp_path: Path) -> None:
    path = str(tmp_path / "begun")
    victims = tuple(range(0, 100, 9))
    with Pool(2, maxtasksperchild=4) as pool:
        items = [(path, x, victims, "_exit", "int") for x in range(100)]
        outcomes = pool.starmap(tasks.work_or_die, items, return_exceptions=True)
    assert [x for x in range(100) if isinstance(outcomes[x], WorkerDied)] == list(victims)
    assert [outcomes[x] for x in range(100) if x not in victims] == [3 * x for x in range(100) if x not in victims]
    assert Counter(map(int, tasks.marks(path))) == Counter(range(100))


def test_a_worker_that_takes_its_time_to_end_is_replaced_at_once(tmp_path: Path) -> None:
    """Replaced first: the next worker does not wait for the last one's finalizer."""
    with Pool(1, maxtasksperchild=1, finalizer=lambda: time.sleep(2)) as pool:
        began = time.monotonic()
        assert len({pool.apply(tasks.pid) for _ in range(4)}) == 4
        assert time.monotonic() - began < 2


# Limits of memory


def test_memory_of_processes_that_a_task_starts_counts() -> None:
    with Pool(1, memory_limit="150MB") as pool:
        with pytest.raises(MemoryLimitExceeded) as caught:
            pool.apply_async(tasks.eat_in_child, (300 * 2**20,)).get(SOON)
        assert caught.value.task is not None
        assert "eat_in_child" in caught.value.task
        assert pool.apply(tasks.same, (1,)) == 1


@pytest.mark.parametrize("limit", ["1GB", *(_slow(limit) for limit in (10**9, "953 MiB"))])
def test_memory_below_the_limit_is_no_matter(limit: Any) -> None:
    with Pool(1, memory_limit=limit) as pool:
        worker = pool.apply(tasks.pid)
        assert pool.apply(tasks.eat, (100 * 2**20, 0.3)) == 100 * 2**20
        assert pool.apply(tasks.pid) == worker


def test_memory_over_the_limit_in_a_map_costs_that_item(tmp_path: Path) -> None:
    path = str(tmp_path / "begun")

    def work(x: int) -> int:
        tasks.mark(path, x)
        return tasks.eat(300 * 2**20) if x == 5 else x

    with Pool(2, memory_limit="150MB") as pool:
        outcomes = pool.map(work, range(12), chunksize=6, return_exceptions=True)
    assert isinstance(outcomes[5], MemoryLimitExceeded)
    assert outcomes[5].task == f"{work.__qualname__}(5)"
    assert [outcome for x, outcome in enumerate(outcomes) if x != 5] == [x for x in range(12) if x != 5]
    assert Counter(map(int, tasks.marks(path))) == Counter(range(12))


@pytest.mark.slow
def test_memory_that_a_worker_keeps_between_tasks_does_not_fail_for_ever() -> None:
    """A leak: the worker over the limit is replaced, and its successor starts small."""

    def leak(size: int) -> int:
        import reliability_tasks

        hoard = reliability_tasks.__dict__.setdefault("hoard", [])
        hoard.append(b"x" * size)
        time.sleep(0.1)
        return len(hoard)

    with Pool(1, memory_limit="150MB") as pool:
        outcomes = [_outcome(pool.apply_async(leak, (30 * 2**20,))) for _ in range(15)]
    fine = [outcome for outcome in outcomes if isinstance(outcome, int)]
    failed = [outcome for outcome in outcomes if not isinstance(outcome, int)]
    assert all(isinstance(outcome, MemoryLimitExceeded) for outcome in failed)
    assert failed
    assert fine.count(1) >= 2


def _outcome(result: Any) -> Any:
    try:
        return result.get(SOON)
    except Exception as error:
        return error


# Finalizers


def test_a_finalizer_runs_in_each_worker_that_ends_in_good_order(tmp_path: Path) -> None:
    path = str(tmp_path / "ends")

    def say_goodbye() -> None:
        tasks.mark(path, os.getpid())

    pool = Pool(2, finalizer=say_goodbye)
    pool.map(tasks.nap, [0.2, 0.2])
    workers = {entry.pid for entry in pool.stats().workers}
    pool.close()
    pool.join()
    assert {int(line) for line in tasks.marks(path)} == workers
    assert len(tasks.marks(path)) == len(workers) == 2


def test_a_finalizer_does_not_run_when_a_pool_is_terminated_or_a_worker_dies(tmp_path: Path) -> None:
    path = str(tmp_path / "ends")
    with Pool(2, finalizer=lambda: tasks.mark(path, "end")) as pool:
        with pytest.raises(WorkerDied):
            pool.apply(tasks.die, ("_exit",))
        pool.map(tasks.same, range(10))
    pool.join()
    assert tasks.marks(path) == []


def test_a_finalizer_runs_in_workers_that_are_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "ends")
    pool = Pool(1, maxtasksperchild=2, finalizer=lambda: tasks.mark(path, os.getpid()))
    pids = pool.map(tasks.pid, range(6))
    pool.close()
    pool.join()
    assert Counter(map(int, tasks.marks(path))) == Counter(set(pids))


@pytest.mark.parametrize("how", ["raise", "sys.exit", "_exit", "SIGKILL"])
def test_a_finalizer_that_fails_keeps_nobody(tmp_path: Path, how: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "ends")
    pool = Pool(2, finalizer=lambda: tasks.fail_to_initialize(path, how))
    assert pool.map(tasks.nap, [0.1, 0.1]) == [None, None]
    pool.close()
    joining = threading.Thread(target=pool.join)
    joining.start()
    joining.join(SOON)
    assert not joining.is_alive()
    assert len(tasks.marks(path)) == 2
    if how == "raise":
        assert "no model here" in capfd.readouterr().err


def test_a_finalizer_finds_what_the_initializer_has_left(tmp_path: Path) -> None:
    path = str(tmp_path / "ends")

    def begin() -> None:
        import reliability_tasks

        reliability_tasks.__dict__["model"] = "loaded"

    def end() -> None:
        import reliability_tasks

        tasks.mark(path, reliability_tasks.__dict__["model"])

    pool = Pool(1, begin, finalizer=end)
    assert pool.apply(tasks.same, (1,)) == 1
    pool.close()
    pool.join()
    assert tasks.marks(path) == ["loaded"]


# Arguments that make no sense


@pytest.mark.parametrize(
    ("keywords", "error", "name"),
    [
        ({"processes": 0}, ValueError, "processes"),
        ({"processes": -1}, ValueError, "processes"),
        ({"processes": 1.5}, TypeError, "processes"),
        ({"processes": "2"}, TypeError, "processes"),
        ({"processes": True}, TypeError, "processes"),
        ({"initializer": 3}, TypeError, "initializer"),
        ({"initializer": print, "initargs": 5}, TypeError, "initargs"),
        ({"finalizer": 3}, TypeError, "finalizer"),
        ({"maxtasksperchild": 0}, ValueError, "maxtasksperchild"),
        ({"maxtasksperchild": "x"}, (TypeError, ValueError), "maxtasksperchild"),
        ({"context": 5}, TypeError, "context"),
        ({"engine": "gpu"}, ValueError, "engine"),
        ({"engine": None}, (TypeError, ValueError), "engine"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": math.nan}, ValueError, "timeout"),
        ({"timeout": "1"}, TypeError, "timeout"),
        ({"timeout": True}, TypeError, "timeout"),
        ({"retries": -1}, ValueError, "retries"),
        ({"retries": "x"}, TypeError, "retries"),
        ({"retries": 1.5}, TypeError, "retries"),
        ({"retries": True}, TypeError, "retries"),
        ({"memory_limit": 0}, ValueError, "memory_limit"),
        ({"memory_limit": -5}, ValueError, "memory_limit"),
        ({"memory_limit": 1000}, ValueError, "memory_limit"),
        ({"memory_limit": "1KB"}, ValueError, "memory_limit"),
        ({"memory_limit": "much"}, ValueError, "memory_limit"),
        ({"memory_limit": "2 parsecs"}, ValueError, "memory_limit"),
        ({"memory_limit": "-2GB"}, ValueError, "memory_limit"),
        ({"memory_limit": "nanGB"}, ValueError, "memory_limit"),
        ({"memory_limit": "infGB"}, ValueError, "memory_limit"),
        ({"memory_limit": 1e9}, TypeError, "memory_limit"),
        ({"memory_limit": True}, TypeError, "memory_limit"),
        ({"seed": "x"}, TypeError, "seed"),
        ({"seed": 1.5}, TypeError, "seed"),
        ({"seed": True}, TypeError, "seed"),
        ({"preload": 5}, TypeError, "preload"),
        ({"preload": [5]}, TypeError, "preload"),
        ({"name": 5}, TypeError, "name"),
    ],
)
def test_a_pool_refuses_what_makes_no_sense(keywords: dict[str, Any], error: Any, name: str) -> None:
    with pytest.raises(error, match=name):
        Pool(**{"processes": 1, **keywords})


@pytest.mark.parametrize(
    ("keywords", "error", "name"),
    [
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": -0.5}, ValueError, "timeout"),
        ({"timeout": "x"}, TypeError, "timeout"),
        ({"retries": -1}, ValueError, "retries"),
        ({"retries": "x"}, TypeError, "retries"),
    ],
)
@pytest.mark.parametrize(
    "way", ["apply", "apply_async", "map", "map_async", "starmap", "starmap_async", "imap", "imap_unordered"]
)
def test_a_call_refuses_what_makes_no_sense(
    one: Pool, way: str, keywords: dict[str, Any], error: type[Exception], name: str
) -> None:
    arguments = (tasks.same, (1,)) if way.startswith("apply") else (tasks.same, [(1,)])
    with pytest.raises(error, match=name):
        getattr(one, way)(*arguments, **keywords)


@pytest.mark.parametrize(
    ("way", "keywords", "error", "name"),
    [
        ("map", {"chunksize": 0}, ValueError, "chunksize"),
        ("map", {"chunksize": "x"}, TypeError, "chunksize"),
        ("imap", {"chunksize": 0}, ValueError, "chunksize"),
        ("imap", {"buffersize": 0}, ValueError, "buffersize"),
        ("imap_unordered", {"buffersize": 1.5}, TypeError, "buffersize"),
    ],
)
def test_sizes_are_checked_at_the_call(
    one: Pool, way: str, keywords: dict[str, Any], error: type[Exception], name: str
) -> None:
    with pytest.raises(error, match=name):
        getattr(one, way)(tasks.same, [1], **keywords)


def test_a_single_name_to_preload_is_not_taken_for_its_letters() -> None:
    with pytest.raises(TypeError, match="preload"):
        Pool(1, preload="json")
