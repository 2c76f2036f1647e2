"""For any data: a pool's `map`, `imap` and `starmap` are the builtins."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pool_tasks as tasks
from allcores import Pool

#: Whole numbers around the ends of the 8 bytes that a column has for each, beside ordinary and huge ones.
integers = st.one_of(
    st.integers(-100, 100),
    st.integers(2**63 - 2, 2**63 + 2),
    st.integers(-(2**63) - 2, -(2**63) + 2),
    st.integers(-(2**200), 2**200),
)
floats = st.floats()
texts = st.text(st.characters(exclude_categories=()), max_size=20)  # with surrogates
plain = st.one_of(integers, floats, texts, st.binary(max_size=20), st.none(), st.booleans(), st.complex_numbers())
nested = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.integers(), texts), inner, max_size=3),
    ),
    max_leaves=8,
)
#: Runs of one kind, as columns are made for, broken by anything.
runs = st.lists(
    st.one_of(st.lists(integers, max_size=30), st.lists(floats, max_size=30), st.lists(nested, max_size=5)),
    max_size=4,
).map(lambda parts: list(itertools.chain(*parts)))
chunksizes = st.sampled_from([None, 1, 2, 5, 100])

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def shared() -> Iterator[Pool]:
    """One pool for all examples, so that what it has learned about a function meets other data."""
    with Pool(2) as pool:
        pool.map(tasks.pid_slowly, [0.05] * 4)  # its workers belong to no single test
        yield pool
    pool.join()


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal, of the same types throughout, and NaN equal to NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return repr(left) == repr(right)
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    return bool(left == right)


def test_same_tells_values_apart() -> None:
    assert same([float("nan"), 1], [float("nan"), 1])
    for left, right in ((1, True), (1, 1.0), (0.0, -0.0), ([1], (1,)), ({"a": 1}, {"a": 2}), ("a", b"a")):
        assert not same(left, right)


@quick
@given(items=runs, chunksize=chunksizes)
def test_map_is_the_builtin(shared: Pool, items: list[Any], chunksize: int | None) -> None:
    assert same(shared.map(tasks.identity, items, chunksize), items)


@quick
@given(items=runs, chunksize=chunksizes)
def test_imap_is_the_builtin(shared: Pool, items: list[Any], chunksize: int | None) -> None:
    assert same(list(shared.imap(tasks.identity, items, chunksize)), items)
    assert same(list(shared.imap(tasks.identity, iter(items), chunksize)), items)


@quick
@given(items=runs)
def test_imap_unordered_loses_and_invents_nothing(shared: Pool, items: list[Any]) -> None:
    values = list(shared.imap_unordered(tasks.pair, enumerate(items)))
    places = sorted(values, key=lambda value: value[0][0])
    assert same([place for (place, _), _ in places], list(range(len(items))))
    assert same([item for (_, item), _ in places], items)


@quick
@given(items=st.lists(st.tuples(nested, nested), max_size=20), chunksize=chunksizes)
def test_starmap_is_the_builtin(shared: Pool, items: list[tuple[Any, Any]], chunksize: int | None) -> None:
    assert same(shared.starmap(tasks.pair, items, chunksize), list(itertools.starmap(tasks.pair, items)))


@quick
@given(items=runs)
def test_apply_async_is_a_call(shared: Pool, items: list[Any]) -> None:
    results = [shared.apply_async(tasks.everything, (item,), {"again": item}) for item in items]
    assert same([result.get(20) for result in results], [((item,), {"again": item}) for item in items])


@quick
@given(items=st.lists(st.one_of(integers, floats), max_size=60))
def test_what_functions_of_numbers_return_or_raise_is_what_they_do_here(shared: Pool, items: list[Any]) -> None:
    def outcome(function: Any, item: Any) -> Any:
        try:
            return function(item)
        except Exception as error:
            return error

    for function in (operator.neg, math.sqrt, int, float):
        here = [outcome(function, item) for item in items]
        there = shared.map(function, items, return_exceptions=True)
        for left, right in zip(here, there, strict=True):
            if isinstance(left, Exception):
                assert type(right) is type(left)
                assert right.args == left.args
            else:
                assert same(left, right)


@settings(quick, max_examples=25)
@given(
    items=st.lists(st.integers(0, 20), max_size=30),
    method=st.sampled_from(["map", "imap", "imap_unordered"]),
    engine=st.sampled_from(["processes", "threads", "serial"]),
    chunksize=chunksizes,
)
def test_failures_are_where_the_builtin_has_them(
    engines: dict[str, Pool], items: list[int], method: str, engine: str, chunksize: int | None
) -> None:
    results = iter(getattr(engines[engine], method)(tasks.fail_odd, items, chunksize)) if method != "map" else None
    if results is None:
        values = engines[engine].map(tasks.fail_odd, items, chunksize, return_exceptions=True)
        outcomes = [value.args[0] if isinstance(value, KeyError) else value for value in values]
    else:
        outcomes = []
        while True:
            try:
                outcomes.append(next(results))
            except StopIteration:
                break
            except KeyError as error:
                outcomes.append(error.args[0])
    if method == "imap_unordered":
        assert sorted(outcomes) == sorted(items)
    else:
        assert outcomes == items


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Pool]]:
    """A pool of each engine."""
    pools = {engine: Pool(2, engine=engine) for engine in ("processes", "threads", "serial")}
    for pool in pools.values():
        pool.map(tasks.pid_slowly, [0.05] * 4)  # their workers belong to no single test
    yield pools
    for pool in pools.values():
        pool.terminate()
        pool.join()
