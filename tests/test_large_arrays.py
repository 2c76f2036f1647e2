"""Arrays travel beside the pickle, in shared memory that is used again; and nothing shows of that."""

from __future__ import annotations

import gc
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import array_tasks as tasks
from allcores import Pool, WorkerDied
from allcores.engine import segments as making
from allcores.engine.parcels import LEAST, Parcel, dump, same_content
from allcores.engine.segments import Segments
from allcores.lanes import large
from array_tasks import MANY, numbers

pytestmark = pytest.mark.timeout(60)


def shared_files() -> int:
    """How many pieces of anonymous shared memory this process has open or mapped."""
    opened = [os.readlink(path) for path in _links("/proc/self/fd")]
    mapped = Path("/proc/self/maps").read_text().count("/memfd:allcores")
    return sum("memfd:allcores" in target for target in opened) + mapped


def _links(folder: str) -> Iterator[str]:
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        if os.path.lexists(path):
            yield path


@pytest.mark.parametrize(
    "array",
    [
        numbers(0),
        numbers(0).astype("f4"),
        numbers(0, 2 * MANY).reshape(-1, 2),
        np.asfortranarray(numbers(0, 4 * MANY).reshape(4, -1)),
        numbers(0, 4 * MANY)[::2],  # no single piece of memory
        numbers(0, 4 * MANY).reshape(-1, 2)[:, 0],
        np.zeros((0, 5)),
        np.zeros(MANY, dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["text", None, 5] * MANY, dtype=object),
        np.ma.masked_array(numbers(0), mask=numbers(0) % 2 == 0),
    ],
    ids=["i8", "f4", "rows", "fortran", "strided", "column", "empty", "records", "objects", "masked"],
)
def test_any_array_arrives_and_comes_back(processes: Pool, array: Any) -> None:
    for _ in range(2):  # the second time through memory that was used before
        came = processes.apply(tasks.same, (array,))
        assert came.dtype == array.dtype
        assert came.shape == array.shape
        assert (came == array).all()


def test_arrays_arrive_through_every_method(processes: Pool) -> None:
    arrays = [numbers(n) for n in range(6)]
    wanted = [int(array.sum()) for array in arrays]
    assert [int(came.sum()) for came in processes.map(tasks.same, arrays)] == wanted
    assert [int(came.sum()) for came in processes.starmap(tasks.same, [(array,) for array in arrays])] == wanted
    assert [int(came.sum()) for came in processes.imap(tasks.same, iter(arrays))] == wanted
    assert sorted(int(came.sum()) for came in processes.imap_unordered(tasks.same, arrays)) == wanted
    results = [processes.apply_async(tasks.same, (array,)) for array in arrays]
    assert [int(result.get(30).sum()) for result in results] == wanted
    nested = processes.apply(tasks.same, ({"deep": [arrays[0], (arrays[1],)]},))
    assert int(nested["deep"][1][0].sum()) == wanted[1]


def test_both_sides_may_write_to_what_they_got(one: Pool) -> None:
    def negate(array: Any) -> Any:
        np.negative(array, out=array)
        return array

    given = numbers(1)
    came = one.apply(negate, (given,))
    assert came[0] == -1
    assert given[0] == 1
    came[:] = 7
    assert (came == 7).all()


def test_an_array_that_may_not_be_written_arrives_as_such(one: Pool) -> None:
    array = numbers(0)
    array.flags.writeable = False
    assert not one.apply(tasks.same, (array,)).flags.writeable


def test_results_that_are_kept_are_never_overwritten(one: Pool) -> None:
    kept = [one.apply(numbers, (n,)) for n in range(20)]
    slices = [one.apply(numbers, (n,))[10:20] for n in range(20)]
    gc.collect()
    for n in range(20):
        one.apply(numbers, (1000,))
        assert (kept[n] == numbers(n)).all()
        assert (slices[n] == numbers(n)[10:20]).all()


def test_arguments_that_a_worker_keeps_are_never_overwritten(one: Pool) -> None:
    for n in range(10):
        one.apply(tasks.keep, (numbers(n),))
    assert one.apply(tasks.kept_firsts) == list(range(10))


_steps = st.lists(
    st.tuples(
        st.sampled_from(["argument", "result", "both", "drop"]),
        st.integers(0, 1000),
        st.sampled_from([10, LEAST // 8 - 1, LEAST // 8, MANY, 3 * MANY]),
    ),
    max_size=25,
)


def test_whatever_is_kept_and_dropped_everything_says_what_it_said(processes: Pool) -> None:
    @settings(max_examples=15, deadline=None)
    @given(_steps)
    def walk(steps: list[Any]) -> None:
        held: list[tuple[Any, int]] = []
        for kind, first, count in steps:
            if kind == "argument":
                assert processes.apply(tasks.total, (numbers(first, count),)) == numbers(first, count).sum()
            elif kind == "result":
                held.append((processes.apply(numbers, (first, count)), first))
            elif kind == "both":
                held.append((processes.apply_async(tasks.same, (numbers(first, count),)).get(30), first))
            elif held:
                del held[first % len(held)]
            for array, begin in held:
                assert (array == numbers(begin, len(array))).all()

    walk()


def test_an_argument_is_what_it_was_when_the_call_was_made(one: Pool) -> None:
    buffer = numbers(0)
    results = []
    for n in range(8):
        buffer[:] = n
        results.append(one.apply_async(tasks.total, (buffer,)))
    buffer[:] = -1
    assert [result.get(30) for result in results] == [n * MANY for n in range(8)]


def test_a_flood_of_large_arguments_does_not_fill_the_memory(one: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "AHEAD", 8 * LEAST)
    array = np.zeros(LEAST, "u1")
    results = [one.apply_async(tasks.nap, (0.002, array)) for _ in range(200)]
    most = one._scheduler.lanes.large.segments().lent
    assert 4 * LEAST < most <= 12 * LEAST
    assert all(len(result.get(30)) == LEAST for result in results)


def test_another_attempt_finds_the_arguments_unharmed(one: Pool) -> None:
    def spoil(array: Any, path: str) -> int:
        first = int(array[0])
        array[:] = 99
        if not os.path.exists(path):
            Path(path).touch()
            raise RuntimeError("the first time")
        return first

    path = f"/tmp/allcores-test-{os.getpid()}-{time.monotonic_ns()}"
    try:
        assert one.apply(spoil, (numbers(5), path), retries=1) == 5
    finally:
        os.unlink(path)


def test_results_outlive_the_worker_that_made_them(one: Pool) -> None:
    came = [one.apply(numbers, (n,)) for n in range(3)]
    worker = one.apply(os.getpid)
    late = one.imap(tasks.number_or_die, [0, 1, 2, -1])
    assert [int(next(late)[0]) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(WorkerDied):
        next(late)
    assert one.apply(os.getpid) != worker
    for n in range(3):
        assert (came[n] == numbers(n)).all()
        came[n][:] = 1


def test_nothing_is_left_after_workers_and_pool_have_been_killed(processes: Pool) -> None:
    before = shared_files()
    for n in range(5):
        with pytest.raises(WorkerDied):
            processes.apply(tasks.die_with, (numbers(n),))
        assert processes.apply(tasks.total, (numbers(n),)) == numbers(n).sum()
    processes.terminate()
    processes.join()
    gc.collect()
    assert shared_files() <= before


def test_memory_that_is_not_used_is_given_back(one: Pool, monkeypatch: pytest.MonkeyPatch, wait_until: Any) -> None:
    monkeypatch.setattr(large, "UNUSED", 0.2)
    one.apply(os.getpid)
    before = shared_files(), one.apply(shared_files)
    for n in range(3):
        one.apply(tasks.same, (numbers(n, 5 * MANY),))
    assert (shared_files(), one.apply(shared_files)) > before
    wait_until(lambda: (shared_files(), one.apply(shared_files)) == before)
    assert one.apply(tasks.total, (numbers(1),)) == numbers(1).sum()


def test_segments_are_used_again(one: Pool) -> None:
    one.apply(tasks.same, (numbers(0),))
    counts = []
    for n in range(30):
        assert one.apply(tasks.same, (numbers(n),))[0] == n
        counts.append(shared_files())
    assert max(counts) <= counts[0] + 4


def test_thousands_of_large_results_may_be_held(one: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than there may be descriptors, in this process and in the worker."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    one.apply(resource.setrlimit, (resource.RLIMIT_NOFILE, (128, hard)))
    arrays = one.map(numbers, range(400))
    assert [int(array[0]) for array in arrays] == list(range(400))
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


def test_a_process_forked_meanwhile_keeps_what_it_has(one: Pool) -> None:
    """The segment must not be written again while a child of this process may be reading it."""
    came = one.apply(numbers, (5,))
    read, write = os.pipe()
    go_read, go_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(go_read, 1)
        os.write(write, b"y" if (came == numbers(5)).all() else b"n")
        os._exit(0)
    try:
        del came
        for n in range(10):
            one.apply(numbers, (100 + n,))
        os.write(go_write, b"!")
        assert os.read(read, 1) == b"y"
    finally:
        os.waitpid(child, 0)
        for fd in (read, write, go_read, go_write):
            os.close(fd)


def test_a_flood_of_large_arguments_takes_few_descriptors(one: Pool) -> None:
    one.apply(os.getpid)
    before = len(os.listdir("/proc/self/fd"))
    results = [one.apply_async(tasks.nap, (0.001, numbers(n))) for n in range(300)]
    assert len(os.listdir("/proc/self/fd")) < before + 100
    assert [int(result.get(30)[0]) for result in results] == list(range(300))


def test_a_worker_that_keeps_its_arguments_takes_few_descriptors(one: Pool) -> None:
    one.apply(os.getpid)
    before = len(os.listdir("/proc/self/fd"))
    for n in range(200):
        one.apply(tasks.keep, (numbers(n),))
    assert len(os.listdir("/proc/self/fd")) < before + 100
    assert one.apply(tasks.kept_firsts) == list(range(200))


def test_an_iterator_may_use_a_large_buffer_again_however_much_waits(
    one: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large, "AHEAD", 0)

    def readings() -> Iterator[Any]:
        buffer = numbers(0)
        for n in range(30):
            buffer[:] = n
            yield buffer

    waiting = one.apply_async(tasks.nap, (0.2, numbers(0)))
    assert list(one.imap(tasks.total, readings(), buffersize=20)) == [n * MANY for n in range(30)]
    waiting.get(30)


def test_a_task_that_forks_costs_the_tasks_behind_it_nothing(one: Pool) -> None:
    """What the child may go on reading is not written again, but can be sent again."""
    assert one.apply(tasks.total, (numbers(1),)) == numbers(1).sum()
    results = [one.apply_async(tasks.fork_and_total, (numbers(n),)) for n in range(6)]
    assert [result.get(30) for result in results] == [numbers(n).sum() for n in range(6)]


def test_memory_of_results_is_given_back_without_another_task(
    one: Pool, monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    monkeypatch.setattr(large, "UNUSED", 0.2)
    worker = one.apply(os.getpid)
    before = shared_files(), _shared_files_of(worker)
    kept = [one.apply(numbers, (n, 5 * MANY)) for n in range(3)]
    del kept
    wait_until(lambda: (shared_files(), _shared_files_of(worker)) == before, 10)


def _shared_files_of(pid: int) -> int:
    return Path(f"/proc/{pid}/maps").read_text().count("/memfd:allcores")


FALLBACK = """
import os, resource, sys
import numpy as np
import allcores

def prepare(limit):
    if limit == "memfd":
        del os.memfd_create
        os.environ["TMPDIR"] = "/nonexistent"
    elif limit == "descriptors":
        from allcores.engine import mappings, out_of_band
        def refuse(*_): raise OSError("no descriptor goes through")
        out_of_band.hand_over = refuse

def same(array):
    return array + 1

limit = sys.argv[1]
if limit == "size":  # no file, a memfd neither, may be larger than the control block
    resource.setrlimit(resource.RLIMIT_FSIZE, (600 << 10, resource.RLIM_INFINITY))
else:
    prepare(limit)
array = np.arange(1_000_000)
with allcores.Pool(2, prepare, (limit,)) as pool:
    handle = pool.share(array)
    for _ in range(3):
        came = pool.apply(same, (array,))
        assert (came == array + 1).all() and came.flags.writeable
    assert all((came == array + n + 1).all() for n, came in enumerate(pool.map(same, [array + n for n in range(5)])))
    assert pool.apply(len, (b"x" * 5_000_000,)) == 5_000_000
    assert pool.map(lambda i: int(handle_sum(i)), range(3)) == [0, 1, 2]
    assert pool.starmap(lambda shared, i: int(shared[i]), [(handle, i) for i in range(5)]) == list(range(5))
    assert pool.map(lambda i: int(array[i]), range(5)) == list(range(5))
print("right")
"""


@pytest.mark.parametrize("limit", ["size", "descriptors"])
def test_without_shared_memory_the_channel_serves(tmp_path: Path, limit: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(FALLBACK.replace("handle_sum(i)", "i"))
    done = subprocess.run([sys.executable, str(script), limit], capture_output=True, text=True, timeout=50, check=False)
    assert (done.stdout, done.returncode) == ("right\n", 0), done.stderr


def test_memory_of_another_kind_serves_where_there_is_no_memfd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with Pool(1) as pool:
        for n in range(3):
            assert (pool.apply(tasks.same, (numbers(n),)) == numbers(n)).all()
    pool.join()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_ways_of_starting_workers(method: str) -> None:
    import multiprocessing

    with Pool(1, context=multiprocessing.get_context(method)) as pool:
        assert (pool.apply(tasks.same, (numbers(3),)) == numbers(3)).all()
        assert pool.apply(tasks.total, (pool.share(numbers(3)),)) == numbers(3).sum()
    pool.join()


def test_frames_and_tables_travel(processes: Pool) -> None:
    frame = pandas.DataFrame({"number": numbers(0), "text": ["some", "text"] * (MANY // 2)})
    assert processes.apply(tasks.same, (frame,)).equals(frame)
    assert all(came.equals(frame) for came in processes.map(tasks.same, [frame] * 4))
    changed = processes.apply(tasks.same, (frame,))
    changed.loc[0, "number"] = 5
    assert changed["number"][0] == 5
    table = pyarrow.table({"number": numbers(0), "text": ["some", "text"] * (MANY // 2)})
    assert processes.apply(tasks.same, (table,)).equals(table)


class Chunk:
    """Supports protocol 5 in its own way."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        import pickle

        return Chunk, (pickle.PickleBuffer(self.data),)


def test_anything_that_supports_protocol_5_travels(one: Pool) -> None:
    came = one.apply(tasks.same, (Chunk(bytearray(b"ab" * LEAST)),))
    assert bytes(came.data) == b"ab" * LEAST


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_bytes_travel(one: Pool, kind: Callable[[Any], Any]) -> None:
    data = kind(os.urandom(3 * LEAST))
    for value in (data, [data, data], {"key": data}):
        assert one.apply(tasks.same, (value,)) == value
    assert one.map(tasks.same, [data] * 3) == [data] * 3


def test_a_stopped_worker_does_not_hold_up_the_caller_with_large_arguments(processes: Pool) -> None:
    worker = processes.apply(os.getpid)
    os.kill(worker, signal.SIGSTOP)
    try:
        began = time.monotonic()
        results = [processes.apply_async(tasks.total, (numbers(n, 20 * MANY),)) for n in range(6)]
        assert time.monotonic() - began < 4  # it is given five seconds
    finally:
        os.kill(worker, signal.SIGCONT)
    assert [result.get(30) for result in results] == [numbers(n, 20 * MANY).sum() for n in range(6)]


# Segments themselves


@given(sizes=st.lists(st.integers(1, 100_000), min_size=1, max_size=12), order=st.randoms())
@settings(max_examples=40, deadline=None)
def test_a_segment_holds_what_was_put_into_it_while_it_is_leased(sizes: list[int], order: Any) -> None:
    segments = Segments()
    leases = []
    for size in sizes:
        data = os.urandom(size)
        leases.append((segments.place([data, [data[:5], data[5:]]]), data))
        if order.random() < 0.4:
            del leases[order.randrange(len(leases))]
        for lease, content in leases:
            assert [bytes(copy) for copy in lease.read()] == [content, content]
    del leases[:]
    lease = None
    gc.collect()
    assert segments.lent == 0
    segments.close()
    assert not segments.open


def test_no_more_is_kept_idle_than_there_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "IDLE_BYTES", 100_000)
    segments = Segments()
    leases = [segments.place([bytes(40_000)]) for _ in range(10)]
    del leases
    lease = segments.place([bytes(1000)])
    assert len(segments.open) <= 4
    del lease
    segments.close()


@given(st.integers(LEAST, 3 * LEAST), st.integers(0, LEAST - 1))
@settings(max_examples=20, deadline=None)
def test_a_parcel_is_told_from_one_that_differs_in_a_byte(size: int, place: int) -> None:
    data = os.urandom(size)

    def parcel(content: bytearray) -> Parcel:
        buffers: list[Any] = []
        return Parcel([dump(np.frombuffer(content, "u1"), buffers)], buffers, [])

    segments = Segments(kept=False)
    known = parcel(bytearray(data))
    known.settle(segments.place)
    changed = bytearray(data)
    changed[place] ^= 1
    assert same_content(known, parcel(bytearray(data)))
    assert not same_content(known, parcel(changed))
    segments.close()
