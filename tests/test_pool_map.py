"""Many tasks, results together: `map`, `map_async`, `starmap`, `starmap_async`."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterable, Iterator
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest

import pool_tasks as tasks
from allcores import Pool

CHUNKSIZES = [None, 1, 7]


class FromInput(Exception):
    """Raised by the input, not by a task."""


def input_failing_at(position: int) -> Iterator[int]:
    yield from range(position)
    raise FromInput(position)


@pytest.mark.parametrize("chunksize", CHUNKSIZES)
def test_map_is_the_builtin_map_as_a_list(pool: Pool, chunksize: int | None) -> None:
    assert pool.map(tasks.square, range(50), chunksize) == [n * n for n in range(50)]


@pytest.mark.parametrize("chunksize", CHUNKSIZES)
def test_map_async_gives_the_list_later(pool: Pool, chunksize: int | None) -> None:
    assert pool.map_async(tasks.square, range(50), chunksize).get(20) == [n * n for n in range(50)]


@pytest.mark.parametrize("chunksize", CHUNKSIZES)
def test_starmap_unpacks_each_item(pool: Pool, chunksize: int | None) -> None:
    items = [(n, -n) for n in range(30)]
    assert pool.starmap(tasks.pair, items, chunksize) == items


@pytest.mark.parametrize("chunksize", CHUNKSIZES)
def test_starmap_async_gives_the_list_later(pool: Pool, chunksize: int | None) -> None:
    items = [(n, -n) for n in range(30)]
    assert pool.starmap_async(tasks.pair, items, chunksize).get(20) == items


def test_starmap_takes_items_of_different_lengths_and_kinds(pool: Pool) -> None:
    assert pool.starmap(tasks.pair, [(1,), [2, 3], "ab", iter((4, 5))]) == [
        (1, "default"),
        (2, 3),
        ("a", "b"),
        (4, 5),
    ]


@pytest.mark.parametrize(
    "items",
    [[1, 2, 3], (1, 2, 3), range(1, 4), {1: "a", 2: "b", 3: "c"}, iter([1, 2, 3]), (n for n in (1, 2, 3))],
    ids=["list", "tuple", "range", "dict", "iterator", "generator"],
)
def test_map_takes_any_iterable(items: Iterable[int]) -> None:
    with Pool(1, engine="serial") as pool:
        assert pool.map(tasks.square, items) == [1, 4, 9]


def test_map_takes_a_string_and_bytes_item_by_item(pool: Pool) -> None:
    assert pool.map(tasks.identity, "abc") == ["a", "b", "c"]
    assert pool.map(tasks.identity, b"abc") == [97, 98, 99]


@pytest.mark.parametrize("method", ["map", "starmap"])
def test_no_items_give_an_empty_list(pool: Pool, method: str) -> None:
    assert getattr(pool, method)(tasks.square, []) == []
    assert getattr(pool, method)(tasks.square, iter(())) == []
    result = getattr(pool, f"{method}_async")(tasks.square, ())
    assert result.get(5) == []
    assert result.ready()
    assert result.successful()


def test_callback_of_map_async_gets_the_list_before_get_returns(pool: Pool) -> None:
    seen: list[Any] = []
    assert pool.map_async(tasks.square, range(5), callback=seen.append).get() == [0, 1, 4, 9, 16]
    assert seen == [[0, 1, 4, 9, 16]]


def test_callback_of_an_empty_map_async_is_called_too(pool: Pool) -> None:
    seen: list[Any] = []
    assert pool.map_async(tasks.square, [], callback=seen.append).get(5) == []
    assert seen == [[]]


@pytest.mark.parametrize("method", ["map_async", "starmap_async"])
def test_error_callback_of_a_map_gets_the_error(pool: Pool, method: str) -> None:
    seen: list[BaseException] = []
    items: list[Any] = [1, 3, 5] if method == "map_async" else [(1,), (3,), (5,)]
    result = getattr(pool, method)(tasks.fail_on_three, items, error_callback=seen.append)
    with pytest.raises(ValueError, match="cannot take 3"):
        result.get()
    assert [type(error) for error in seen] == [ValueError]
    assert not result.successful()


def test_map_raises_the_error_of_the_first_item_that_failed(pool: Pool) -> None:
    with pytest.raises(KeyError) as caught:
        pool.map(tasks.fail_odd, [0, 2, 7, 5, 3])
    assert caught.value.args == (7,)


def test_map_runs_all_items_even_when_one_fails_early(pool: Pool, tmp_path: Any) -> None:
    def trace(n: int) -> int:
        (tmp_path / str(n)).touch()
        if n == 0:
            raise ValueError
        return n

    with pytest.raises(ValueError):
        pool.map(trace, range(20))
    assert len(list(tmp_path.iterdir())) == 20


def test_return_exceptions_puts_errors_in_their_places(pool: Pool) -> None:
    values = pool.map(tasks.fail_odd, range(6), return_exceptions=True)
    assert values[::2] == [0, 2, 4]
    assert [(type(error), error.args) for error in values[1::2]] == [
        (KeyError, (1,)),
        (KeyError, (3,)),
        (KeyError, (5,)),
    ]


def test_return_exceptions_of_starmap_and_of_the_async_forms(pool: Pool) -> None:
    stars = pool.starmap(tasks.fail_on_three, [(2,), (3,)], return_exceptions=True)
    later = pool.map_async(tasks.fail_on_three, [3, 4], return_exceptions=True)
    starred = pool.starmap_async(tasks.fail_on_three, [(3,), ()], return_exceptions=True)
    assert [type(value) for value in stars] == [int, ValueError]
    assert [type(value) for value in later.get(5)] == [ValueError, int]
    assert [type(value) for value in starred.get(5)] == [ValueError, TypeError]
    assert later.successful()


def test_an_item_that_starmap_cannot_unpack_fails_alone(pool: Pool) -> None:
    values = pool.starmap(tasks.identity, [(1,), 2, (3,)], return_exceptions=True)
    assert values[0] == 1
    assert values[2] == 3
    assert type(values[1]) is TypeError


@contextlib.contextmanager
def standard_pool() -> Iterator[ThreadPool]:
    """The standard library's pool, to compare with; of threads, which is quick."""
    with ThreadPool(2) as standard:
        yield standard
    standard.join()


@pytest.mark.parametrize("method", ["map", "starmap", "map_async", "starmap_async"])
def test_an_error_of_the_input_is_raised_by_the_call_itself_as_the_standard_pool_does(pool: Pool, method: str) -> None:
    with standard_pool() as standard:
        for candidate in (standard, pool):
            for position in (0, 4):
                with pytest.raises(FromInput) as caught:
                    getattr(candidate, method)(tasks.square, input_failing_at(position))
                assert caught.value.__cause__ is None
            with pytest.raises(TypeError):
                getattr(candidate, method)(tasks.square, 5)


def test_an_iterable_that_has_a_length_and_fails_is_raised_by_map(pool: Pool) -> None:
    class Sized:
        def __len__(self) -> int:
            return 3

        def __iter__(self) -> Iterator[int]:
            return input_failing_at(1)

    with pytest.raises(FromInput):
        pool.map(tasks.square, Sized())


def test_the_input_of_map_is_drawn_in_the_calling_thread(pool: Pool) -> None:
    drawn_in: list[str] = []

    def items() -> Iterator[int]:
        for n in range(3):
            drawn_in.append(threading.current_thread().name)
            yield n

    pool.map(tasks.square, items())
    assert drawn_in == [threading.current_thread().name] * 3


def test_get_of_a_map_that_is_not_done_times_out(processes: Pool) -> None:
    result = processes.map_async(tasks.sleep_and_return, [0.3, 0.3])
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(0.05)
    assert result.get(5) == [None, None]


def test_map_uses_all_workers(processes: Pool) -> None:
    assert len(set(processes.map(tasks.pid_slowly, [0.05] * 8))) == 2


def test_an_explicit_chunksize_keeps_items_together() -> None:
    with Pool(2) as pool:
        pool.map(tasks.pid_slowly, [0.02] * 4)  # both workers are there
        pids = pool.map(tasks.pid_slowly, [0.01] * 20, chunksize=5)
        chunks = [pids[start : start + 5] for start in range(0, 20, 5)]
        assert [len(set(chunk)) for chunk in chunks] == [1, 1, 1, 1]


@pytest.mark.timeout(20)
def test_one_slow_item_holds_nothing_hostage() -> None:
    """Short items that were put behind a long one run elsewhere meanwhile."""
    with Pool(2) as pool:
        pool.map(tasks.sleep_and_return, [0.0001] * 200)  # now batches are large
        began = time.monotonic()
        pool.map(tasks.sleep_and_return, [1.0] + [0.0001] * 400 + [0.2] * 4)
        # one after the other in the same worker it would be 1.8 s
        assert time.monotonic() - began < 1.7


def test_a_hundred_thousand_small_items_arrive_in_order(processes: Pool) -> None:
    count = 100_000
    assert processes.map(tasks.identity, range(count)) == list(range(count))


def test_results_of_changing_kinds_arrive_unharmed(processes: Pool) -> None:
    """Ints and floats travel in columns once a function has been seen to return them; then something else comes."""
    odd: list[Any] = [1.5, 2**63, -(2**63) - 1, "text", None, True, b"", 2**63 - 1, -(2**63), float("inf"), (), 7]
    for head in ([0] * 500, [0.5] * 500, ["x"] * 500):
        items = head + odd + head + odd[::-1] + head
        for _ in range(2):  # the second call knows what the first has seen
            values = processes.map(tasks.identity, items)
            assert values == items
            assert [type(value) for value in values] == [type(item) for item in items]


def test_a_failure_amid_numbers_is_that_items_alone(processes: Pool) -> None:
    processes.map(tasks.fail_on_three, [5] * 2000)  # a column of ints from here on
    values = processes.map(tasks.fail_on_three, [1, 3, 2] * 500, return_exceptions=True)
    assert [value if type(value) is int else type(value) for value in values] == [1, ValueError, 2] * 500


def test_two_maps_at_once_from_two_threads_do_not_mix(processes: Pool) -> None:
    results: dict[int, list[int]] = {}

    def run(factor: int) -> None:
        results[factor] = processes.map(tasks.square, range(factor, 3000 + factor))

    threads = [threading.Thread(target=run, args=(factor,)) for factor in (1, 10_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {factor: [n * n for n in range(factor, 3000 + factor)] for factor in (1, 10_000)}


# Progress


def run_with_progress(body: str) -> str:
    """Run a script; its standard error, which is where bars are shown."""
    script = "import allcores, sys\nwith allcores.Pool(2) as pool:\n" + textwrap.indent(textwrap.dedent(body), "    ")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "call",
    [
        "pool.map(abs, range(40), progress=True)",
        "pool.starmap(pow, [(n, 2) for n in range(40)], progress=True)",
        "pool.map_async(abs, range(40), progress=True).get()",
        "list(pool.imap(abs, range(40), progress=True))",
        "list(pool.imap_unordered(abs, range(40), progress=True))",
    ],
)
def test_progress_shows_a_bar_that_counts_completed_tasks(call: str) -> None:
    shown = run_with_progress(call)
    last = shown.rstrip().splitlines()[-1].split("\r")[-1]
    assert re.search(r"100%.* 40/40 ", last), shown


def test_progress_of_an_iterator_counts_without_a_total() -> None:
    shown = run_with_progress("list(pool.imap(abs, iter(range(40)), progress=True))")
    assert re.search(r"\b40task ", shown.rstrip().split("\r")[-1]), shown


def test_progress_counts_failed_tasks_too() -> None:
    shown = run_with_progress("pool.map(ord, ['ab', 'c'], progress=True, return_exceptions=True)")
    assert " 2/2 " in shown


def test_there_is_no_bar_unless_asked() -> None:
    assert run_with_progress("pool.map(abs, range(40))") == ""


def test_progress_takes_options_for_tqdm() -> None:
    class Text:
        def __init__(self) -> None:
            self.parts: list[str] = []

        def write(self, text: str) -> int:
            self.parts.append(text)
            return len(text)

        def flush(self) -> None:
            pass

    file = Text()
    with Pool(2, progress={"file": file, "desc": "squares", "mininterval": 0}) as pool:
        assert pool.map(tasks.square, range(5)) == [0, 1, 4, 9, 16]
        shown = "".join(file.parts)
        assert "squares: 100%" in shown
        assert "5/5" in shown
        file.parts.clear()
        pool.map(tasks.square, range(5), progress=False)
        assert file.parts == []


def test_map_in_a_worker_of_another_pool_works() -> None:
    """Pools can be nested."""

    def inner(n: int) -> list[int]:
        with Pool(1) as pool:
            return pool.map(tasks.square, range(n))

    with Pool(1) as pool:
        assert pool.apply(inner, (4,)) == [0, 1, 4, 9]


def test_workers_have_the_programs_folder_path_and_environment(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def surroundings(_: Any) -> tuple[str, bool, str | None]:
        return os.getcwd(), "/somewhere" in sys.path, os.environ.get("ALLCORES_TEST")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALLCORES_TEST", "set after the template has started")
    monkeypatch.syspath_prepend("/somewhere")
    with Pool(1) as pool:
        assert pool.map(surroundings, [0]) == [(str(tmp_path), True, "set after the template has started")]
