"""What a `Process` tells of its target: results, errors, awaiting."""

from __future__ import annotations

import asyncio
import io
import json
import multiprocessing
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.pool import MaybeEncodingError, RemoteTraceback
from pathlib import Path
from typing import Any

import pytest

from allcores import Lock, Process, RemoteError, WorkerDied
from process_tasks import SOON, each_method, end, result_of, run_program, started

pytestmark = pytest.mark.timeout(90)

WaitUntil = Callable[..., None]


class TwoArguments(Exception):
    """An exception whose own pickle does not load."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class Unloadable:
    """Can be pickled, and does not load."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


# Results


@each_method
def test_large_results(method: str) -> None:
    assert result_of(bytes, 30_000_000, method=method) == bytes(30_000_000)


@pytest.mark.parametrize("size", [0, 4000, *range(4070, 4100), 5000])  # there is a limit, of the pickle, at 4096
def test_results_of_any_size(size: int) -> None:
    assert result_of(bytes, size) == bytes(size)


def test_a_process_ends_although_nobody_takes_its_large_result() -> None:
    with started(bytes, 10**7) as process:
        process.join(SOON)
        assert process.exitcode == 0
        assert process.result(0) == bytes(10**7)


def test_the_result_is_there_while_the_process_still_has_something_to_do() -> None:
    def leave_a_thread() -> str:
        threading.Thread(target=time.sleep, args=(60,)).start()
        return "value"

    with started(leave_a_thread) as process:
        assert process.result(SOON) == "value"
        assert process.is_alive()


def test_a_result_can_be_asked_for_again_and_by_many() -> None:
    results: list[Any] = []
    with started(lambda: (time.sleep(0.05), [])[1]) as process:
        threads = [threading.Thread(target=lambda: results.append(process.result(SOON))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON)
    assert results == [[]] * 8
    assert all(result is process.result() for result in results)


@each_method
def test_the_end_of_a_pipe_arrives(method: str) -> None:
    def make() -> Any:
        ours, theirs = multiprocessing.Pipe()
        theirs.send("from the process")
        return ours

    with result_of(make, method=method) as connection:
        assert connection.recv() == "from the process"
        assert not os.get_inheritable(connection.fileno())


@each_method
def test_what_refers_to_descriptors_arrives_with_them(method: str) -> None:
    def make() -> Any:
        left, right = socket.socketpair()
        right.send(b"from the socket")
        right.close()
        lock = Lock()
        lock.acquire()
        lock.release()
        return left, lock

    left, lock = result_of(make, method=method)
    with left:
        assert left.recv(100) == b"from the socket"
        assert not os.get_inheritable(left.fileno())
    assert lock.acquire(timeout=1)
    lock.release()


@each_method
def test_a_result_that_cannot_be_pickled_is_an_error_that_names_it(method: str) -> None:
    with started(lambda: {"a": [threading.Lock()]}, method=method) as process:
        with pytest.raises(MaybeEncodingError, match=r"\(result\['a'\]\[0\] is a _thread.lock\)"):
            process.result(SOON)
        process.join()
        assert process.exitcode == 0


def test_a_result_that_cannot_be_unpickled_is_that_error() -> None:
    with started(Unloadable) as process:
        assert isinstance(process.exception(SOON), ValueError)
        with pytest.raises(ValueError, match="no number"):
            process.result()


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_an_argument_that_cannot_be_unpickled_is_that_error(method: str, capfd: pytest.CaptureFixture[str]) -> None:
    with started(print, Unloadable(), method=method) as process:
        with pytest.raises(ValueError, match="no number") as caught:
            process.result(SOON)
        assert "_open_letter" in str(caught.value.__cause__)
        process.join()
        assert process.exitcode == 1


def test_an_outcome_survives_what_pickle_does_not() -> None:
    """Deep structures; and objects that only some picklers know."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with started(lambda: deep) as process:
        assert isinstance(process.exception(SOON), MaybeEncodingError)
    with started(lambda: io.StringIO("text")) as process:
        assert process.result(SOON).read() == "text"


# Errors


@each_method
def test_an_error_comes_with_the_traceback_of_the_process(method: str) -> None:
    def fail() -> None:
        try:
            json.loads("{")
        except ValueError as error:
            raise KeyError("the second") from error

    with started(fail, method=method) as process:
        seen = []
        for _ in range(2):
            with pytest.raises(KeyError, match="the second") as caught:
                process.result(SOON)
            assert isinstance(caught.value.__cause__, RemoteTraceback)
            seen.append("".join(traceback.format_exception(caught.type, caught.value, caught.tb)))
        assert process.exception() is caught.value
    for text in seen:
        assert text.index("JSONDecodeError") < text.index('raise KeyError("the second") from error')
        assert text.count("face.py") == 1  # where it is raised again, not where it came from
    assert len(seen[0]) == len(seen[1])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TwoArguments("one", "two"), TwoArguments),
        (SystemExit(3), SystemExit),
        (KeyboardInterrupt("pressed"), KeyboardInterrupt),
        (asyncio.CancelledError(), asyncio.CancelledError),
        (type("Local", (Exception,), {"__reduce__": lambda self: (eval, ("1/0",))})("text"), Exception),
    ],
)
def test_whatever_is_raised_arrives(error: BaseException, expected: type, capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise error

    with started(fail) as process:
        with pytest.raises(expected) as caught:
            process.result(SOON)
        assert type(caught.value).__name__ in (type(error).__name__, RemoteError.__name__)
        assert str(error) in str(caught.value)


def test_none_is_no_exception() -> None:
    with started(end, "return") as process:
        assert process.exception(SOON) is None
        assert process.result(SOON) == "value"


@each_method
def test_not_in_time_and_later(method: str) -> None:
    reading, writing = multiprocessing.Pipe(duplex=False)
    with reading, writing, started(reading.recv, method=method) as process:
        for timeout in (0, 0.01, -1):
            for ask in (process.result, process.exception):
                with pytest.raises(TimeoutError, match="has not come to its end in") as caught:
                    ask(timeout)
                assert isinstance(caught.value, multiprocessing.TimeoutError)
        assert process.is_alive()
        writing.send("now")
        assert process.result(SOON) == "now"


def test_a_result_is_asked_for_by_the_parent_of_a_process_that_was_started() -> None:
    process = Process(target=print)
    for ask in (process.result, process.exception):
        with pytest.raises(AssertionError, match="can only fetch the result of a started process"):
            ask()

    with started(time.sleep, 60) as other:
        assert isinstance(_error_in_a_fork(other), AssertionError)


def _error_in_a_fork(other: Process) -> BaseException | None:
    with started(other.result) as process:
        return process.exception(SOON)


@pytest.mark.parametrize("way", ["closes", "becomes another program"])
def test_a_process_that_has_let_go_of_everything_costs_no_busy_waiting(way: str) -> None:
    def let_go() -> None:
        if way == "closes":
            os.closerange(3, 1000)
            time.sleep(0.5)
            os._exit(0)
        os.execvp("sleep", ["sleep", "0.5"])

    with started(let_go) as process:
        before = time.thread_time()
        with pytest.raises(WorkerDied, match=r"exited with code 0 before .*let_go had come to its end"):
            process.result(SOON)
        assert time.thread_time() - before < 0.2


def test_a_copy_that_the_target_forks_reports_nothing() -> None:
    def fork() -> str:
        other = os.fork()
        if other == 0:
            return "the copy"
        os.waitpid(other, 0)
        return "the process"

    assert result_of(fork) == "the process"


def test_a_signal_handler_may_ask_as_well() -> None:
    seen: list[Any] = []

    def look(*_: object) -> None:
        try:
            seen.append((process.result(0), process.is_alive()))
        except TimeoutError:
            seen.append(None)

    old = signal.signal(signal.SIGALRM, look)
    try:
        with started(lambda: (time.sleep(0.2), 5)[1]) as process:
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            assert process.result(SOON) == 5
            process.join()
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert None in seen
    assert {one for one in seen if one} <= {(5, True), (5, False)}


def test_no_descriptor_is_free_for_a_large_result() -> None:
    """It is an error that says so, and no wrong result."""
    import resource

    with started(bytes, 10**6) as process:
        process.join(SOON)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            error = process.exception(0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert isinstance(error, OSError)
        assert "no descriptor free for it" in str(error)


def test_what_was_printed_comes_before_the_result(tmp_path: Path) -> None:
    done = run_program(
        """
import allcores, os, threading, time
def speak():
    print("from the process")
    threading.Thread(target=time.sleep, args=(0.2,)).start()  # which keeps it from its end
    return 1
for method in ("fork", "forkserver", "spawn"):
    process = allcores.Process(target=speak, context=method)
    process.start()
    process.result()
    os.write(1, b"from the program\\n")
    process.join()
""",
        tmp_path,
    )
    assert done.stderr == ""
    assert done.stdout == "from the process\nfrom the program\n" * 3


# Awaiting


@each_method
def test_awaiting(method: str) -> None:
    async def main() -> None:
        with started(lambda: (time.sleep(0.1), "value")[1], method=method) as process:
            assert await asyncio.gather(_wait(process), _wait(process), asyncio.sleep(0, "tick")) == [
                "value", "value", "tick",
            ]  # fmt: skip
            assert await process == "value"
        with started(lambda: 1 / 0, method=method) as process, pytest.raises(ZeroDivisionError):
            await process
        with started(end, "SIGKILL", method=method) as process, pytest.raises(WorkerDied):
            await process

    asyncio.run(main())


async def _wait(process: Process) -> Any:
    return await process


def test_to_stop_awaiting_leaves_the_process_alone() -> None:
    async def main() -> None:
        with started(lambda gate: gate.recv(), (pipe := multiprocessing.Pipe())[0]) as process:
            waiting = asyncio.ensure_future(_wait(process))
            await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(_wait(process), 0.01)
            assert process.is_alive()
            pipe[1].send("went on")
            assert await process == "went on"
            for connection in pipe:
                connection.close()

    asyncio.run(main())
