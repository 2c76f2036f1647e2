"""What goes wrong in a task, on its way there, and on its way back."""

from __future__ import annotations

import multiprocessing.pool
import pickle
import sys
import threading
import traceback
from typing import Any

import pytest

import allcores
import pool_tasks as tasks
from allcores import MaybeEncodingError, Pool, RemoteError, RemoteTraceback


def test_the_cause_of_an_error_is_the_workers_traceback_as_text(processes: Pool) -> None:
    with pytest.raises(LookupError, match="deep down") as caught:
        processes.apply(tasks.inner_frame)
    cause = caught.value.__cause__
    assert type(cause) is RemoteTraceback
    assert type(cause) is multiprocessing.pool.RemoteTraceback
    text = str(cause)
    assert 'raise LookupError("deep down")  # the line that tracebacks must show' in text
    assert "in inner_frame" in text
    assert "worker.py" not in text  # allcores' own frames are nobody's business


@pytest.mark.parametrize("method", ["map", "imap", "imap_unordered", "starmap"])
def test_errors_of_every_method_have_the_remote_traceback(processes: Pool, method: str) -> None:
    items: list[Any] = [(3,)] if method == "starmap" else [3]
    with pytest.raises(ValueError) as caught:
        list(getattr(processes, method)(tasks.fail_on_three, items))
    assert type(caught.value.__cause__) is RemoteTraceback
    assert "in fail_on_three" in str(caught.value.__cause__)


def test_a_printed_error_shows_both_tracebacks(processes: Pool) -> None:
    with pytest.raises(LookupError) as caught:
        processes.apply(tasks.inner_frame)
    printed = "".join(traceback.format_exception(caught.value))
    assert "in inner_frame" in printed
    assert "The above exception was the direct cause" in printed
    assert "test_a_printed_error_shows_both_tracebacks" in printed


def test_a_chain_of_errors_is_in_the_text(processes: Pool) -> None:
    with pytest.raises(ValueError, match="second") as caught:
        processes.apply(tasks.raise_chained)
    assert "KeyError: 'first'" in str(caught.value.__cause__)


def test_local_engines_raise_the_tasks_own_exception_object() -> None:
    error = ValueError("this very one")
    for engine in ("threads", "serial"):
        with Pool(1, engine=engine) as pool:
            with pytest.raises(ValueError) as caught:
                pool.apply(tasks.raise_it, (error,))
            assert caught.value is error
        pool.join()


@pytest.mark.parametrize(
    ("function", "cls", "attributes"),
    [
        (tasks.raise_two_arguments, tasks.TwoArguments, {"code": 404, "reason": "not found"}),
        (tasks.raise_keyword_only, tasks.KeywordOnly, {"path": "/nowhere"}),
    ],
)
def test_an_exception_whose_constructor_cannot_be_called_arrives_whole(
    processes: Pool, function: Any, cls: type[Exception], attributes: dict[str, Any]
) -> None:
    with pytest.raises(cls) as caught:
        processes.apply(function)
    assert vars(caught.value) == attributes
    assert str(caught.value) in ("404: not found", "/nowhere")
    assert processes.apply(tasks.square, (2,)) == 4


def test_an_exception_with_arguments_that_cannot_be_pickled_arrives_in_text(processes: Pool) -> None:
    with pytest.raises(Exception, match="locked") as caught:
        processes.apply(tasks.raise_holding_lock)
    assert isinstance(caught.value, (tasks.HoldsLock, RemoteError))
    assert "_thread.lock" in str(caught.value)
    assert "raise_holding_lock" in str(caught.value.__cause__)


def test_an_exception_that_cannot_be_printed_arrives_all_the_same(processes: Pool) -> None:
    with pytest.raises(tasks.RaisesInStr) as caught:
        processes.apply(tasks.raise_without_text)
    assert caught.value.args == ("ignored",)
    assert "raise_without_text" in str(caught.value.__cause__)


def test_an_exception_class_of_the_calling_function_is_the_same_class(processes: Pool) -> None:
    with pytest.raises(tasks.TwoArguments):
        processes.map(tasks.raise_two_arguments, range(3))


def test_an_exception_group_arrives_with_its_parts(processes: Pool) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("exception groups came with 3.11")
    group = ExceptionGroup("several", [ValueError(1), KeyError("k")])  # noqa: F821
    with pytest.raises(ExceptionGroup) as caught:  # noqa: F821
        processes.apply(tasks.raise_it, (group,))
    assert [repr(part) for part in caught.value.exceptions] == ["ValueError(1)", "KeyError('k')"]


def test_notes_and_attributes_of_an_exception_arrive(processes: Pool) -> None:
    error = OSError(2, "no such thing", "some/file")
    error.extra = "more"  # type: ignore[attr-defined]
    with pytest.raises(FileNotFoundError) as caught:
        processes.apply(tasks.raise_it, (error,))
    assert (caught.value.errno, caught.value.filename, caught.value.extra) == (2, "some/file", "more")  # type: ignore[attr-defined]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("code", [0, 3])
def test_system_exit_of_a_task_is_raised_by_get_and_the_worker_goes_on(one: Pool, code: int) -> None:
    pid = one.apply(tasks.pid)
    with pytest.raises(SystemExit) as caught:
        one.apply_async(tasks.raise_system_exit, (code,)).get(10)
    assert caught.value.code == code
    assert one.apply(tasks.pid) == pid


@pytest.mark.timeout(20)
def test_keyboard_interrupt_of_a_task_is_raised_by_get_and_the_worker_goes_on(one: Pool) -> None:
    pid = one.apply(tasks.pid)
    with pytest.raises(KeyboardInterrupt):
        one.apply_async(tasks.raise_keyboard_interrupt).get(10)
    assert one.apply(tasks.pid) == pid


@pytest.mark.timeout(20)
def test_such_exits_amid_a_map_are_their_items_alone(processes: Pool) -> None:
    def some(n: int) -> int:
        if n == 5:
            raise SystemExit(n)
        if n == 7:
            raise KeyboardInterrupt
        return n

    for _ in range(2):  # the second time in a batch of many
        values = processes.map(some, range(300), return_exceptions=True)
        assert [type(values[n]) for n in (4, 5, 6, 7, 8)] == [int, SystemExit, int, KeyboardInterrupt, int]
        assert [value for value in values if type(value) is int] == [n for n in range(300) if n not in (5, 7)]


def test_stop_iteration_of_a_task_does_not_end_a_map_early(pool: Pool) -> None:
    values = pool.map(tasks.raise_stop_iteration, range(5), return_exceptions=True)
    assert [type(value) for value in values] == [StopIteration] * 5
    with pytest.raises(StopIteration, match="from the task"):
        pool.apply(tasks.raise_stop_iteration)


@pytest.mark.timeout(20)
def test_stop_iteration_of_a_task_does_not_end_an_imap_in_silence(pool: Pool) -> None:
    results = pool.imap(tasks.raise_stop_iteration, range(3))
    raised = []
    for _ in range(3):
        try:
            next(results)
        except Exception as error:
            raised.append(type(error))
    assert StopIteration not in raised
    assert len(raised) == 3


# Results that cannot travel


def test_a_result_that_cannot_be_pickled_raises_maybe_encoding_error(processes: Pool) -> None:
    with pytest.raises(MaybeEncodingError) as caught:
        processes.apply(tasks.unpicklable_result)
    assert type(caught.value) is multiprocessing.pool.MaybeEncodingError
    assert "result['lock'] is a _thread.lock" in str(caught.value)
    assert "'fine': 1" in str(caught.value.value)


def test_such_a_result_fails_alone_in_a_map(processes: Pool) -> None:
    def some(n: int) -> Any:
        return threading.Lock() if n == 3 else n

    for _ in range(2):
        values = processes.map(some, range(200), return_exceptions=True)
        assert type(values.pop(3)) is MaybeEncodingError
        assert values == [n for n in range(200) if n != 3]


def test_a_result_that_cannot_be_unpickled_raises_the_reason_and_harms_no_other(processes: Pool) -> None:
    with pytest.raises(RuntimeError, match="refuses to be unpickled"):
        processes.apply(tasks.result_that_refuses_to_load)

    def some(n: int) -> Any:
        return tasks.RefusesToLoad() if n == 3 else n

    values = processes.map(some, range(100), return_exceptions=True)
    assert type(values.pop(3)) is RuntimeError
    assert values == [n for n in range(100) if n != 3]


def test_a_local_engine_returns_what_cannot_be_pickled() -> None:
    with Pool(1, engine="threads") as pool:
        assert type(pool.apply(tasks.unpicklable_result)["lock"]) is type(threading.Lock())
    pool.join()


# Arguments and functions that cannot travel


def test_an_argument_that_cannot_be_pickled_is_named(processes: Pool) -> None:
    with pytest.raises(TypeError, match=r"argument 1\['inner'\]\[0\] is a _thread.lock"):
        processes.apply(tasks.pair, (1, {"inner": [threading.Lock()]}))
    with pytest.raises(TypeError, match=r"argument b is a _thread\.lock"):
        processes.apply(tasks.pair, (1,), {"b": threading.Lock()})


def test_an_argument_that_cannot_be_pickled_is_told_to_the_error_callback_too(processes: Pool) -> None:
    seen: list[BaseException] = []
    result = processes.apply_async(tasks.square, (threading.Lock(),), error_callback=seen.append)
    with pytest.raises(TypeError, match=r"_thread\.lock"):
        result.get(5)
    assert len(seen) == 1


@pytest.mark.parametrize("method", ["map", "starmap"])
def test_an_item_that_cannot_be_pickled_fails_alone(processes: Pool, method: str) -> None:
    items: list[Any] = [1, threading.Lock(), 3]
    if method == "starmap":
        items = [(item,) for item in items]
    values = getattr(processes, method)(tasks.identity, items, return_exceptions=True)
    assert values[0] == 1
    assert values[2] == 3
    assert isinstance(values[1], TypeError)
    assert "_thread.lock" in str(values[1])


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_an_item_of_a_stream_that_cannot_be_pickled_fails_alone(processes: Pool, method: str) -> None:
    results = getattr(processes, method)(tasks.identity, [1, threading.Lock(), 3])
    good, bad = [], []
    for _ in range(3):
        try:
            good.append(next(results))
        except TypeError as error:
            bad.append(str(error))
    assert sorted(good) == [1, 3]
    assert "_thread.lock" in bad[0]
    with pytest.raises(StopIteration):
        next(results)


def test_an_argument_that_cannot_be_unpickled_in_the_worker_fails_alone(processes: Pool) -> None:
    with pytest.raises(RuntimeError, match="refuses to be unpickled"):
        processes.apply(tasks.identity, (tasks.RefusesToLoad(),))
    values = processes.map(tasks.identity, [1, tasks.RefusesToLoad(), 3], return_exceptions=True)
    assert values[0] == 1
    assert type(values[1]) is RuntimeError
    assert values[2] == 3


def test_the_type_of_an_error_in_pickling_is_kept(processes: Pool) -> None:
    """CPython's test_map_unplicklable."""

    class Refuses:
        def __reduce__(self) -> Any:
            raise RuntimeError("cannot be pickled")

    with pytest.raises(RuntimeError, match="cannot be pickled"):
        processes.apply(tasks.identity, (Refuses(),))
    with pytest.raises(RuntimeError, match="cannot be pickled"):
        processes.map(tasks.identity, [Refuses()] * 3)


def test_a_function_that_cannot_be_pickled_raises_the_reason(processes: Pool) -> None:
    lock = threading.Lock()

    def locked(n: int) -> Any:
        return lock, n

    with pytest.raises(TypeError, match="lock"):
        processes.apply(locked, (1,))
    with pytest.raises(TypeError, match="lock"):
        processes.map(locked, [1])
    with pytest.raises(TypeError, match="lock"):
        next(processes.imap(locked, [1]))
    assert processes.apply(tasks.square, (2,)) == 4


@pytest.mark.parametrize("not_a_function", [None, 5, "abs"])
def test_what_is_not_callable_is_refused_by_name(pool: Pool, not_a_function: Any) -> None:
    with pytest.raises(TypeError, match="not callable"):
        pool.apply(not_a_function)
    with pytest.raises(TypeError, match="not callable"):
        pool.map(not_a_function, [1])


def test_a_recursive_argument_arrives_as_such(processes: Pool) -> None:
    loop: list[Any] = []
    loop.append(loop)
    result = processes.apply(tasks.identity, (loop,))
    assert result[0] is result


@pytest.mark.timeout(30)
def test_an_argument_too_deep_to_be_pickled_raises_and_the_pool_goes_on(processes: Pool) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises((RecursionError, pickle.PicklingError)):
        processes.apply(tasks.identity, (deep,))
    assert processes.apply(tasks.square, (2,)) == 4
    while deep:  # taken apart by hand: some interpreters recurse when they free it
        deep = deep[0]


def test_errors_of_allcores_can_be_pickled() -> None:
    for error in (
        allcores.WorkerDied("gone", pid=1, exitcode=-9, task="f(1)", deaths=2),
        allcores.MemoryLimitExceeded("too much", peak_memory=5),
        allcores.TaskTimeout("late", task="f(1)", timeout=0.5),
        allcores.RemoteError("some.Error", "text"),
        allcores.PoolBroken("no"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
    assert allcores.WorkerDied("gone", exitcode=-9).signal == 9
    assert allcores.WorkerDied("gone", exitcode=1).signal is None
