"""Results as they come: `imap` and `imap_unordered`, over lists, iterators and what never ends."""

from __future__ import annotations

import contextlib
import gc
import itertools
import multiprocessing
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest

import pool_tasks as tasks
from allcores import Pool

METHODS = ["imap", "imap_unordered"]
CHUNKSIZES = [None, 1, 7]

WaitUntil = Callable[..., None]


class FromInput(Exception):
    """Raised by the input, not by a task."""


def input_failing_at(position: int) -> Iterator[int]:
    yield from range(position)
    raise FromInput(position)


class Drawn:
    """An endless input that tells how many items have been drawn."""

    def __init__(self) -> None:
        self.count = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.count += 1
        return self.count - 1


@pytest.mark.parametrize("chunksize", CHUNKSIZES)
@pytest.mark.parametrize("kind", [list, iter], ids=["list", "iterator"])
def test_imap_gives_results_in_order(pool: Pool, chunksize: int | None, kind: Callable[[Any], Any]) -> None:
    items = kind(list(range(60)))
    assert list(pool.imap(tasks.square, items, chunksize)) == [n * n for n in range(60)]


@pytest.mark.parametrize("chunksize", CHUNKSIZES)
@pytest.mark.parametrize("kind", [list, iter], ids=["list", "iterator"])
def test_imap_unordered_gives_every_result_once(pool: Pool, chunksize: int | None, kind: Callable[[Any], Any]) -> None:
    items = kind(list(range(60)))
    assert sorted(pool.imap_unordered(tasks.square, items, chunksize)) == [n * n for n in range(60)]


@pytest.mark.parametrize("method", METHODS)
def test_no_items_give_no_results(pool: Pool, method: str) -> None:
    assert list(getattr(pool, method)(tasks.square, [])) == []
    assert list(getattr(pool, method)(tasks.square, iter(()))) == []


@pytest.mark.parametrize("method", METHODS)
def test_what_is_returned_is_an_iterator_with_next_and_a_timeout(processes: Pool, method: str) -> None:
    results = getattr(processes, method)(tasks.sleep_and_return, [0.3])
    assert iter(results) is results
    with pytest.raises(multiprocessing.TimeoutError):
        results.next(timeout=0.05)
    assert results.next(timeout=5) is None
    for _ in range(2):
        with pytest.raises(StopIteration):
            results.next(timeout=5)


def test_imap_gives_a_result_before_the_input_has_ended(processes: Pool) -> None:
    """An input may wait for the outcome of what it gave before."""
    seen = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        assert seen.wait(10)
        yield 2

    results = processes.imap(tasks.square, items())
    assert results.next(timeout=5) == 1
    seen.set()
    assert results.next(timeout=5) == 4


def test_imap_unordered_gives_the_quick_before_the_slow(processes: Pool) -> None:
    results = processes.imap_unordered(tasks.sleep_and_return, [0.5, 0.01])
    began = time.monotonic()
    next(results)
    assert time.monotonic() - began < 0.45


def test_imap_waits_for_the_slow_before_the_quick(processes: Pool) -> None:
    def late_if_first(n: int) -> int:
        time.sleep(0.3 if n == 0 else 0)
        return n

    assert list(processes.imap(late_if_first, range(10))) == list(range(10))


@pytest.mark.parametrize("method", METHODS)
def test_an_error_of_a_task_is_raised_in_its_place_and_the_rest_comes(pool: Pool, method: str) -> None:
    results = getattr(pool, method)(tasks.fail_on_three, range(6))
    good, raised = [], 0
    while True:
        try:
            good.append(next(results))
        except StopIteration:
            break
        except ValueError:
            raised += 1
            assert method == "imap_unordered" or good == [0, 1, 2]
    assert sorted(good) == [0, 1, 2, 4, 5]
    assert raised == 1


# Errors of the input


@contextlib.contextmanager
def standard_pool() -> Iterator[ThreadPool]:
    """The standard library's pool, to compare with; of threads, which is quick."""
    with ThreadPool(2) as standard:
        yield standard
    standard.join()


def drain(results: Any) -> tuple[list[Any], list[BaseException]]:
    """What a result iterator gives until its end."""
    good: list[Any] = []
    bad: list[BaseException] = []
    while True:
        try:
            good.append(next(results))
        except StopIteration:
            return good, bad
        except FromInput as error:
            bad.append(error)


@pytest.mark.parametrize("chunksize", [None, 1, 4])
@pytest.mark.parametrize("position", [0, 7])
def test_an_error_of_the_input_comes_where_the_standard_pool_delivers_it(
    pool: Pool, position: int, chunksize: int | None
) -> None:
    with standard_pool() as standard:
        expected, expected_error = drain(standard.imap(tasks.square, input_failing_at(position), chunksize or 1))
    good, bad = drain(pool.imap(tasks.square, input_failing_at(position), chunksize))
    assert good == expected
    assert [repr(error) for error in bad] == [repr(error) for error in expected_error]
    assert bad[0].__cause__ is None


@pytest.mark.parametrize("position", [0, 3, 7])
def test_an_error_of_the_input_reaches_imap_unordered_after_what_was_drawn(pool: Pool, position: int) -> None:
    good, bad = drain(pool.imap_unordered(tasks.square, input_failing_at(position)))
    assert sorted(good) == [n * n for n in range(position)]
    assert [error.args for error in bad] == [(position,)]


@pytest.mark.parametrize("method", METHODS)
def test_what_is_no_iterable_raises_where_the_standard_pool_raises(pool: Pool, method: str) -> None:
    outcomes = []
    with standard_pool() as standard:
        for candidate in (standard, pool):
            try:
                results = getattr(candidate, method)(tasks.square, 5)
            except TypeError:
                outcomes.append("at the call")
                continue
            with pytest.raises(TypeError):
                results.next(timeout=5)
            outcomes.append("at the first result")
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("method", METHODS)
def test_the_pool_is_usable_after_an_error_of_the_input(pool: Pool, method: str) -> None:
    drain(getattr(pool, method)(tasks.square, input_failing_at(2)))
    assert list(pool.imap(tasks.square, range(4))) == [0, 1, 4, 9]


# Drawn as needed


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("engine", ["processes", "threads"])
def test_an_endless_input_is_drawn_a_small_constant_ahead(engine: str, method: str) -> None:
    drawn = Drawn()
    with Pool(2, engine=engine) as pool:
        results = getattr(pool, method)(tasks.identity, drawn)
        got = list(itertools.islice(results, 1000))
        time.sleep(0.1)  # whatever runs ahead has had the time for it
        assert drawn.count <= 1000 + 256 + 1
        if method == "imap":
            assert got == list(range(1000))
        ahead = drawn.count
        time.sleep(0.1)
        assert drawn.count == ahead  # nobody fetches, so nothing is drawn
        del results
    pool.join()


def test_serial_imap_over_an_endless_input_gives_results() -> None:
    drawn = Drawn()
    with Pool(2, engine="serial") as pool:
        results = pool.imap(tasks.identity, drawn)
        assert list(itertools.islice(results, 1000)) == list(range(1000))
        assert drawn.count <= 1000 + 256 + 1
        del results
    pool.join()


def test_slow_tasks_draw_few_items_ahead() -> None:
    drawn = Drawn()

    def slow(n: int) -> int:
        time.sleep(0.02)
        return n

    with Pool(2) as pool:
        results = pool.imap(slow, drawn)
        assert list(itertools.islice(results, 20)) == list(range(20))
        time.sleep(0.1)
        assert drawn.count <= 20 + 2 * 2 + 2 + 1
        del results
    pool.join()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("buffersize", [1, 2, 5])
def test_buffersize_bounds_how_far_the_input_is_drawn_ahead(processes: Pool, method: str, buffersize: int) -> None:
    drawn = Drawn()
    results = getattr(processes, method)(tasks.identity, drawn, buffersize=buffersize)
    time.sleep(0.15)
    assert drawn.count <= buffersize
    for fetched in range(1, 40):
        next(results)
        assert drawn.count <= fetched + buffersize


def test_buffersize_is_used_to_the_full(processes: Pool, wait_until: WaitUntil) -> None:
    drawn = Drawn()
    results = processes.imap(tasks.identity, drawn, buffersize=50)
    wait_until(lambda: drawn.count == 50)
    assert next(results) == 0


def test_buffersize_holds_for_lists_too(processes: Pool) -> None:
    """Of a list, too, no more than so many items are at work or finished and not fetched."""
    results = processes.imap(tasks.sleep_and_return, [0] * 200, buffersize=3)
    next(results)
    time.sleep(0.2)
    assert processes.stats().tasks <= 1 + 3
    assert len(list(results)) == 199


def test_a_chunksize_larger_than_the_buffer_does_not_wait_for_ever(processes: Pool) -> None:
    results = processes.imap(tasks.square, itertools.count(), chunksize=50, buffersize=4)
    assert [results.next(timeout=5) for _ in range(20)] == [n * n for n in range(20)]


def test_a_slow_consumer_holds_the_workers_back(processes: Pool) -> None:
    """Results that nobody fetches do not pile up, however large they are."""
    results = processes.imap(tasks.make_bytes, itertools.repeat(1 << 20))
    assert len(next(results)) == 1 << 20
    time.sleep(0.4)
    done = processes.stats().tasks
    assert done <= 64 + 2
    time.sleep(0.2)
    assert processes.stats().tasks == done
    assert len(next(results)) == 1 << 20


def test_a_slow_input_does_not_keep_results_back(processes: Pool) -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for n in range(8):
            time.sleep(0.1)
            drawn.append(n)
            yield n

    results = processes.imap(tasks.identity, items())
    assert next(results) == 0
    assert len(drawn) < 8
    assert list(results) == list(range(1, 8))


@pytest.mark.parametrize("method", METHODS)
def test_ten_thousand_results_of_an_iterator_are_complete(processes: Pool, method: str) -> None:
    results = list(getattr(processes, method)(tasks.identity, iter(range(10_000))))
    assert sorted(results) == list(range(10_000))
    if method == "imap":
        assert results == list(range(10_000))


# Ends


@pytest.mark.timeout(20)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("engine", ["processes", "threads"])
def test_close_and_join_return_after_part_of_an_endless_input(engine: str, method: str) -> None:
    pool = Pool(2, engine=engine)
    results = getattr(pool, method)(tasks.identity, itertools.count())
    assert sorted(itertools.islice(results, 10)) is not None
    pool.close()
    pool.join()


@pytest.mark.timeout(20)
def test_close_and_join_return_when_no_result_of_an_endless_input_was_fetched() -> None:
    pool = Pool(2)
    results = pool.imap(tasks.identity, itertools.count())
    pool.close()
    pool.join()
    assert results is not None


@pytest.mark.timeout(20)
def test_results_not_fetched_before_an_early_join_end_in_an_error_that_says_so() -> None:
    pool = Pool(2)
    results = pool.imap(tasks.identity, itertools.count())
    first = list(itertools.islice(results, 10))
    pool.close()
    pool.join()
    with pytest.raises(RuntimeError, match="joined before the input of imap was drawn to its end"):
        first += results
    assert first == list(range(len(first)))  # what was drawn before came first
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("method", METHODS)
def test_a_list_joined_before_it_is_fetched_gives_all_results(pool: Pool, method: str) -> None:
    results = getattr(pool, method)(tasks.square, list(range(5000)))
    pool.close()
    pool.join()
    assert sorted(results) == [n * n for n in range(5000)]


@pytest.mark.timeout(20)
def test_a_generator_can_be_fetched_to_its_end_after_close(pool: Pool) -> None:
    results = pool.imap(tasks.square, (n for n in range(3000)))
    pool.close()
    assert list(results) == [n * n for n in range(3000)]
    pool.join()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("method", METHODS)
def test_terminate_ends_an_iterator_with_an_error_instead_of_hanging(method: str) -> None:
    pool = Pool(2)
    results = getattr(pool, method)(tasks.sleep_and_return, itertools.repeat(30))
    pool.terminate()
    pool.join()
    with pytest.raises(BaseException) as caught:
        results.next(timeout=10)
    assert not isinstance(caught.value, (StopIteration, multiprocessing.TimeoutError))


@pytest.mark.timeout(20)
def test_leaving_the_loop_and_the_pool_early_returns() -> None:
    with Pool(2) as pool:
        for value in pool.imap(tasks.identity, itertools.count()):
            if value == 100:
                break
    pool.join()


@pytest.mark.timeout(20)
def test_a_dropped_iterator_stops_drawing(processes: Pool, wait_until: WaitUntil) -> None:
    drawn = Drawn()
    results = processes.imap(tasks.identity, drawn)
    next(results)
    del results
    gc.collect()
    time.sleep(0.1)
    count = drawn.count
    time.sleep(0.1)
    assert drawn.count == count
    wait_until(lambda: all(thread.name != "allcores-feeder" for thread in threading.enumerate()))


def test_an_iterator_that_is_never_fetched_runs_its_tasks_all_the_same(tmp_path: Any) -> None:
    """`pool.imap_unordered(f, items)` for the effect alone, then close and join: a common idiom."""
    path = str(tmp_path / "lines")
    for items in ([str(n) for n in range(2000)], (str(n) for n in range(2000, 4000))):
        pool = Pool(1)
        pool.imap_unordered(lambda line: tasks.append_line(path, line), items)
        pool.close()
        pool.join()
    with open(path) as file:
        assert sorted(map(int, file)) == list(range(4000))


@pytest.mark.timeout(20)
def test_an_input_that_uses_the_same_pool_does_not_hang(processes: Pool) -> None:
    inner = processes.imap(tasks.square, range(50))
    outer = processes.imap(tasks.square, inner)
    assert list(outer) == [n**4 for n in range(50)]


@pytest.mark.timeout(20)
def test_two_iterators_can_be_fetched_in_turn(processes: Pool) -> None:
    pairs = zip(
        processes.imap(tasks.identity, range(500)),
        processes.imap(tasks.square, itertools.count()),
        strict=False,
    )
    assert list(pairs) == [(n, n * n) for n in range(500)]


@pytest.mark.timeout(20)
def test_several_threads_may_fetch_from_one_iterator(processes: Pool) -> None:
    results = processes.imap_unordered(tasks.identity, iter(range(3000)))
    got: list[int] = []

    def fetch() -> None:
        for value in results:
            got.append(value)  # list.append is atomic

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(3000))


# References


class Item:
    """Something that can be referred to weakly."""


def nothing(_: Any) -> None:
    pass


@pytest.mark.parametrize("engine", ["processes", "threads"])
def test_items_and_results_are_let_go_while_the_iteration_runs(engine: str, wait_until: WaitUntil) -> None:
    alive: list[weakref.ref[Item]] = []

    def items() -> Iterator[Item]:
        for _ in range(300):
            item = Item()
            alive.append(weakref.ref(item))
            yield item
            del item

    with Pool(1, engine=engine) as pool:
        results = pool.imap(nothing, items(), buffersize=4)
        for _ in range(200):
            next(results)
        wait_until(lambda: sum(ref() is not None for ref in alive) <= 4 + 8)
        for _ in results:
            pass
        wait_until(lambda: not any(ref() is not None for ref in alive))
    pool.join()


def test_a_result_that_was_fetched_is_not_kept(processes: Pool) -> None:
    results = processes.imap(tasks.identity, [Item(), Item()])
    ref = weakref.ref(next(results))
    gc.collect()
    assert ref() is None
    next(results)


def test_arguments_and_results_of_apply_async_are_let_go(pool: Pool, wait_until: WaitUntil) -> None:
    """CPython's test_release_task_refs, and the result."""
    items = [Item() for _ in range(10)]
    refs = [weakref.ref(item) for item in items]
    results = [pool.apply_async(nothing, (item,)) for item in items]
    for result in results:
        result.wait()
    del items
    try:
        del item  # type: ignore[name-defined]
    except NameError:
        pass  # the loop variable of a comprehension
    wait_until(lambda: not any(ref() is not None for ref in refs))
    made = pool.apply_async(Item)
    ref = weakref.ref(made.get())
    assert ref() is not None  # the result object holds it
    del made
    wait_until(lambda: ref() is None)


def test_items_of_a_map_are_let_go(pool: Pool, wait_until: WaitUntil) -> None:
    items = [Item() for _ in range(10)]
    refs = [weakref.ref(item) for item in items]
    result = pool.map_async(nothing, items)
    assert result.get(5) == [None] * 10
    items.clear()
    wait_until(lambda: not any(ref() is not None for ref in refs))


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_an_iterator_may_use_its_buffer_again(processes: Pool, method: str) -> None:
    """As readers do that hand out one array, list or record again and again."""

    def readings() -> Iterator[list[int]]:
        buffer = [0, 0]
        for number in range(200):
            buffer[0] = number
            yield buffer

    results = getattr(processes, method)(tasks.sleep_first, readings(), buffersize=50)
    assert sorted(results) == list(range(200))
