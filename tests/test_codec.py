"""How tasks and outcomes are packed: functions, arguments, items, streams of outcomes, frames."""

from __future__ import annotations

import contextlib
import pickle
import socket
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pool_tasks as tasks
from allcores.engine import channel
from allcores.engine.codec import Codec
from allcores.engine.explain import unpicklable_part
from allcores.engine.frames import FrameReader, frame
from allcores.engine.functions import FunctionTable, describe
from allcores.engine.outcome import PLAIN, Failure, pack, pack_failure, unpack_stream


@pytest.fixture
def codec() -> Codec:
    """One for workers that have a main module of their own."""
    return Codec(shares_main=False)


# Functions


def test_a_function_that_can_be_imported_goes_by_reference_and_for_good(codec: Codec) -> None:
    blob, may_change = codec.function(tasks.square)
    assert pickle.loads(blob) is tasks.square
    assert not may_change
    assert len(blob) < 60


@pytest.mark.parametrize("function", [len, int, tasks.Counter, dict.get])
def test_builtins_and_classes_go_by_reference(codec: Codec, function: Any) -> None:
    assert pickle.loads(codec.function(function)[0]) is function


def test_a_lambda_goes_by_value_and_may_change(codec: Codec) -> None:
    blob, may_change = codec.function(lambda n: n + 41)
    assert pickle.loads(blob)(1) == 42
    assert may_change


def test_a_bound_method_carries_its_object_which_may_change(codec: Codec) -> None:
    blob, may_change = codec.function(tasks.Counter(5).add)
    assert pickle.loads(blob)(1) == 6
    assert may_change


def test_a_function_that_cannot_be_pickled_raises(codec: Codec) -> None:
    lock = threading.Lock()
    with pytest.raises(TypeError, match="lock"):
        codec.function(lambda: lock)


@pytest.mark.parametrize("name", ["__main__", "__mp_main__"])
def test_what_belongs_to_main_goes_by_value_unless_the_worker_shares_it(
    codec: Codec, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType(name)
    module.__file__ = "script.py"
    exec("def f(n): return n + 1", module.__dict__)
    monkeypatch.setitem(sys.modules, name, module)
    blob, may_change = codec.function(module.f)
    assert may_change
    assert len(blob) > 200
    shared, _ = Codec(shares_main=True).function(module.f)
    assert len(shared) < 60


# Arguments


@given(
    args=st.lists(st.one_of(st.integers(), st.text(), st.none()), max_size=3),
    kwds=st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False), max_size=3),
)
def test_arguments_of_a_call_come_out_as_they_went_in(args: list[Any], kwds: dict[str, Any]) -> None:
    assert pickle.loads(Codec(False).call(tuple(args), kwds)) == (tuple(args), kwds)


def test_arguments_that_the_standard_pickler_refuses_go_by_value(codec: Codec) -> None:
    (function,), kwds = pickle.loads(codec.call((lambda n: n + 1,), {}))
    assert function(1) == 2
    assert kwds == {}


def test_the_error_of_a_call_names_the_part(codec: Codec) -> None:
    with pytest.raises(TypeError, match=r"\(argument config\['a'\]\[1\] is a _thread.lock\)") as caught:
        codec.call((1,), {"config": {"a": [0, threading.Lock()]}})
    assert isinstance(caught.value.__cause__, TypeError)


def test_items_that_cannot_go_together_go_singly_and_the_bad_one_raises_in_its_place(codec: Codec) -> None:
    items = [1, threading.Lock(), 3]
    assert codec.items(items) is None
    first, second, third = codec.items_singly(items, star=False)
    assert pickle.loads(first) == ((1,), {})
    assert pickle.loads(third) == ((3,), {})
    with pytest.raises(TypeError, match="lock"):
        pickle.loads(second)


def test_items_of_starmap_go_singly_as_their_arguments(codec: Codec) -> None:
    assert [pickle.loads(blob) for blob in codec.items_singly([(1, 2), "ab"], star=True)] == [
        ((1, 2), {}),
        (("a", "b"), {}),
    ]


# Naming what cannot be pickled


class Holder:
    def __init__(self, inner: Any) -> None:
        self.inner = inner


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda lock: lock, "x is a _thread.lock"),
        (lambda lock: [1, [lock]], "x[1][0] is a _thread.lock"),
        (lambda lock: {"k": (lock,)}, "x['k'][0] is a _thread.lock"),
        (lambda lock: Holder({"a": lock}), "x.inner['a'] is a _thread.lock"),
        (lambda lock: {1, lock}, "x{…} is a _thread.lock"),
    ],
)
def test_the_smallest_part_that_cannot_be_pickled_is_named(make: Any, expected: str) -> None:
    assert unpicklable_part(make(threading.Lock()), "x") == expected


def test_a_captured_variable_that_cannot_be_pickled_is_named() -> None:
    lock = threading.Lock()
    named = unpicklable_part(lambda: lock, "x")
    assert named is not None
    assert "'lock'" in named
    assert named.endswith("is a _thread.lock")


def test_nothing_is_named_where_all_can_be_pickled() -> None:
    assert unpicklable_part([1, lambda: 2], "x") is None


# Outcomes


def apart(parcel: object) -> Any:
    raise AssertionError("nothing here is large")


def stream_of(values: list[Any]) -> bytes:
    return b"".join(pickle.dumps(value, 3)[2:-1] if type(value) in PLAIN else pack(value, apart) for value in values)


outcomes = st.recursive(
    st.one_of(
        st.integers(),
        st.floats(allow_nan=False),
        st.booleans(),
        st.none(),
        st.binary(),
        st.complex_numbers(allow_nan=False),
        st.text(st.characters(exclude_categories=())),
    ),
    lambda inner: st.one_of(st.lists(inner), st.tuples(inner), st.tuples(inner, inner)),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.lists(outcomes, max_size=30))
def test_a_stream_of_outcomes_comes_out_as_it_went_in(values: list[Any]) -> None:
    again, failures = unpack_stream(stream_of(values), True)
    assert again == values
    assert [type(value) for value in again] == [type(value) for value in values]
    assert not failures


def test_a_result_that_is_the_same_object_twice_stays_so_within_itself() -> None:
    inner = [1]
    values, _ = unpack_stream(stream_of([[inner, inner]]), True)
    assert values[0][0] is values[0][1]


def test_an_outcome_that_cannot_be_loaded_harms_no_neighbour() -> None:
    values, failures = unpack_stream(stream_of([1, tasks.RefusesToLoad(), "three"]), True)
    assert failures
    assert values[0] == 1
    assert values[2] == "three"
    assert type(values[1]) is Failure
    assert "refuses to be unpickled" in str(values[1].error)


def test_a_failure_in_a_stream_is_the_error_with_its_traceback_in_text() -> None:
    try:
        tasks.raise_two_arguments()
    except tasks.TwoArguments as error:
        stream = stream_of([1]) + pack_failure(error, error.__traceback__)
    values, failures = unpack_stream(stream, True)
    assert failures
    error = values[1].error
    assert type(error) is tasks.TwoArguments
    assert (error.code, error.reason) == (404, "not found")
    assert "raise_two_arguments" in str(error.__cause__)


def test_an_error_class_that_cannot_be_found_here_is_replaced_by_remote_error() -> None:
    module = types.ModuleType("vanishing_module")
    sys.modules["vanishing_module"] = module
    try:
        exec("class Gone(Exception):\n    pass", module.__dict__)
        packed = pack_failure(module.Gone("some text"), None)
    finally:
        del sys.modules["vanishing_module"]
    values, _ = unpack_stream(packed, True)
    error = values[0].error
    assert str(error) == "vanishing_module.Gone: some text"
    assert error.type_name == "vanishing_module.Gone"
    assert "some text" in str(error.__cause__)


# Frames


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, FrameReader]]:
    """Where to write frames, and what reads them."""
    writing, reading = socket.socketpair()
    reading.settimeout(0.05)
    with writing, reading:
        yield writing, FrameReader(reading)


def read_all(writing: socket.socket, reader: FrameReader, data: bytes, step: int) -> list[tuple[Any, ...]]:
    """Send data in steps; the frames that come out."""
    frames = []

    def take() -> None:
        while (complete := reader.next()) is not None:
            frames.append((*complete[:4], bytes(complete[4])))

    for start in range(0, len(data), step):
        writing.sendall(data[start : start + step])
        assert reader.fill()
        take()
    with contextlib.suppress(TimeoutError):
        while True:
            assert reader.fill()
            take()
    return frames


@pytest.mark.parametrize("step", [1, 7, 1000, 100_000])
def test_frames_come_out_whole_however_the_bytes_arrive(pair: tuple[socket.socket, FrameReader], step: int) -> None:
    sizes = [0, 1, 1000, 50] if step == 1 else [0, 1, 40_000, 65_536 - channel.HEADER.size, 65_536, 5, 200_000, 0]
    sent = [(kind, 2**60 + kind, kind * 3, kind % 2, bytes([kind]) * size) for kind, size in enumerate(sizes)]
    data = b"".join(frame(*fields) for fields in sent)
    assert read_all(*pair, data, step) == sent


def test_the_end_of_the_stream_is_told(pair: tuple[socket.socket, FrameReader]) -> None:
    writing, reader = pair
    writing.sendall(frame(1, body=b"x")[:5])
    writing.close()
    assert reader.fill()
    assert reader.next() is None
    assert not reader.fill()


# The functions that are known


def add(table: FunctionTable, function: Any) -> Any:
    return table.add(function, *Codec(False).function(function))


def test_a_function_that_was_used_before_is_found_by_itself() -> None:
    table = FunctionTable()
    assert table.find(tasks.square) is None
    known = add(table, tasks.square)
    assert table.find(tasks.square) is known
    assert table.find(tasks.identity) is None
    assert known.name == "square"


def test_a_function_whose_captured_value_has_changed_is_not_found() -> None:
    table = FunctionTable()
    value = 1

    def read() -> int:
        return value

    first = add(table, read)
    assert table.find(read) is first
    value = 2
    assert table.find(read) is None
    second = add(table, read)
    assert second.id != first.id
    assert table.find(read) is second


def test_a_function_that_captures_something_changeable_is_pickled_each_time() -> None:
    table = FunctionTable()
    items = [1]
    read = lambda: items
    add(table, read)
    assert table.find(read) is None


def test_equal_pickles_are_one_function() -> None:
    table = FunctionTable()
    counter = tasks.Counter(1)
    first = add(table, counter.add)
    assert table.find(counter.add) is None  # another object
    assert table.known(*Codec(False).function(counter.add)) is first
    assert table.known(*Codec(False).function(tasks.Counter(2).add)) is None


def test_what_is_forgotten_is_told_so_that_workers_can_forget_it() -> None:
    table = FunctionTable()
    numbers = [add(table, lambda n, k=k: n + k).id for k in range(600)]
    forgotten = table.take_forgotten()
    assert len(set(numbers)) == 600
    assert 300 < len(forgotten) < 600
    assert set(forgotten) < set(numbers)
    assert numbers[-1] not in forgotten
    assert table.take_forgotten() == []


@pytest.mark.parametrize(
    ("function", "name"),
    [(tasks.square, "square"), (tasks.Counter(1).add, "Counter.add"), (len, "len"), (tasks.Counter(2), "Counter")],
)
def test_functions_have_names_for_messages(function: Any, name: str) -> None:
    assert describe(function) == name
