"""Large arguments and results: neither side ever waits for the other to read."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import pool_tasks as tasks
from allcores import Pool

pytestmark = pytest.mark.timeout(30)

TEN_MB = 10_000_000


@pytest.fixture(scope="module")
def large() -> bytes:
    return bytes(range(250)) * (TEN_MB // 250)


def test_a_large_argument_arrives(processes: Pool, large: bytes) -> None:
    assert processes.apply(len, (large,)) == TEN_MB


def test_a_large_result_arrives(processes: Pool) -> None:
    assert processes.apply(tasks.make_bytes, (TEN_MB,)) == b"x" * TEN_MB


def test_large_both_ways_through_every_method(processes: Pool, large: bytes) -> None:
    back = large[::-1]
    assert processes.apply(tasks.same_size, (large,)) == back
    assert processes.apply_async(tasks.same_size, (large,)).get(20) == back
    assert processes.map(tasks.same_size, [large]) == [back]
    assert processes.starmap(tasks.same_size, [(large,)]) == [back]
    assert next(processes.imap(tasks.same_size, iter([large]))) == back


def test_many_large_arguments_and_results_at_once_do_not_deadlock(processes: Pool, large: bytes) -> None:
    """A worker sends its large result while the parent sends it the next large batch."""
    part = large[:2_000_000]
    results = [processes.apply_async(tasks.same_size, (part,)) for _ in range(16)]
    back = part[::-1]
    assert all(result.get(25) == back for result in results)


def test_a_map_over_large_items_does_not_deadlock(processes: Pool, large: bytes) -> None:
    part = large[:1_000_000]
    assert processes.map(tasks.same_size, [part] * 20) == [part[::-1]] * 20
    assert processes.map(tasks.same_size, [part] * 20, chunksize=10) == [part[::-1]] * 20


def test_large_results_amid_small_ones_keep_their_places(processes: Pool) -> None:
    sizes = [0, 1, 70_000, 2, 300_000, 3, 65_536, 65_537, 262_144, 4, 1_000_000, 5] * 3
    for _ in range(2):  # the second time in larger batches
        assert [len(value) for value in processes.map(tasks.make_bytes, sizes)] == sizes


def test_more_small_results_than_a_batch_has_room_for_arrive(processes: Pool) -> None:
    processes.map(tasks.make_bytes, [10] * 1000)  # known to be quick: batches are large
    sizes = [5000] * 600
    assert [len(value) for value in processes.map(tasks.make_bytes, sizes, chunksize=300)] == sizes


def test_a_large_argument_from_one_thread_does_not_hold_up_another(processes: Pool, large: bytes) -> None:
    done = threading.Event()

    def send() -> None:
        for _ in range(5):
            processes.apply(len, (large,))
        done.set()

    thread = threading.Thread(target=send)
    thread.start()
    count = 0
    while not done.is_set():
        assert processes.apply(tasks.square, (3,)) == 9
        count += 1
    thread.join()
    assert count > 5


def test_a_large_captured_value_travels_once_per_worker(one: Pool, large: bytes) -> None:
    def length(n: int) -> int:
        return len(large) + n

    assert one.map(length, range(50)) == [TEN_MB + n for n in range(50)]
    assert one.apply(length, (0,)) == TEN_MB
    sent = one.stats().workers[0].bytes_in
    assert TEN_MB < sent < 1.1 * TEN_MB


def test_an_endless_stream_of_large_items_both_ways(processes: Pool) -> None:
    def items() -> Iterator[bytes]:
        while True:
            yield b"y" * 500_000

    results = processes.imap(tasks.same_size, items())
    for _ in range(30):
        assert len(next(results)) == 500_000


def test_an_error_with_a_large_argument_arrives(processes: Pool, large: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        processes.apply(tasks.raise_it, (ValueError(large),))
    assert caught.value.args == (large,)


def test_a_large_initargs_reaches_every_worker(large: bytes) -> None:
    with Pool(2, tasks.remember_positional, (large,)) as pool:
        assert pool.map(lambda n: len(tasks.state["values"][0]), range(8)) == [TEN_MB] * 8
    pool.join()
