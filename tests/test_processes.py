"""`Process` as a `multiprocessing.Process`: what that is known for, on each start method."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

import pytest

import allcores
from allcores import Pool, Process
from process_tasks import (
    METHODS,
    PATHS,
    SOON,
    each_method,
    end,
    result_of,
    run_program,
    start_another,
    started,
    who_am_i,
)

pytestmark = pytest.mark.timeout(90)

WaitUntil = Callable[..., None]


class ForkedProcess(Process):
    """One of ours with its start method chosen as the standard library's contexts do."""

    _start_method = "fork"


both_classes = pytest.mark.parametrize("cls", [multiprocessing.get_context("fork").Process, ForkedProcess])


# The interface


def test_it_has_all_that_the_standard_class_has() -> None:
    assert issubclass(Process, multiprocessing.Process)
    assert allcores.Process is Process
    ours = inspect.signature(Process.__init__).parameters
    standard = inspect.signature(multiprocessing.Process.__init__).parameters
    assert list(ours)[: len(standard)] == list(standard)
    assert {name for name in dir(multiprocessing.Process) if not name.startswith("_")} <= set(dir(Process))


@both_classes
def test_before_it_starts(cls: Any) -> None:
    process = cls(target=print, name="its name", args=[1], kwargs={"end": ""}, daemon=True)
    assert (process.name, process.daemon, process.pid, process.ident, process.exitcode) == (
        "its name", True, None, None, None,
    )  # fmt: skip
    assert process.is_alive() is False
    assert process.authkey == multiprocessing.current_process().authkey
    assert repr(process) == f"<{cls.__name__} name='its name' parent={os.getpid()} initial daemon>"
    with pytest.raises(ValueError, match="process not started"):
        process.sentinel  # noqa: B018
    with pytest.raises(AssertionError, match="can only join a started process"):
        process.join()
    with pytest.raises(AssertionError, match="name must be a string"):
        process.name = 3
    with pytest.raises(AssertionError, match="group argument must be None"):
        cls("group")
    process.close()
    assert process.name == "its name"


@both_classes
def test_while_it_runs_and_afterwards(cls: Any) -> None:
    gate = multiprocessing.get_context("fork").Event()
    process = cls(target=gate.wait)
    process.start()
    assert process.is_alive()
    assert process.exitcode is None
    assert process.pid == process.ident
    assert process in multiprocessing.active_children()
    assert f"pid={process.pid} parent={os.getpid()} started" in repr(process)
    assert not wait_for([process.sentinel], 0)
    for wrong, words in [
        (process.start, "cannot start a process twice"),
        (lambda: setattr(process, "daemon", True), "process has already started"),
    ]:
        with pytest.raises(AssertionError, match=words):
            wrong()
    with pytest.raises(ValueError, match="Cannot close a process while it is still running"):
        process.close()
    assert process.join(0.01) is None
    gate.set()
    assert wait_for([process.sentinel], SOON) == [process.sentinel]
    process.join()
    assert (process.is_alive(), process.exitcode) == (False, 0)
    assert process not in multiprocessing.active_children()
    assert "stopped exitcode=0" in repr(process)
    process.terminate()  # neither does any harm now
    process.kill()
    process.close()
    process.close()
    assert "closed" in repr(process)
    for ask in (
        process.join,
        process.is_alive,
        process.terminate,
        process.kill,
        process.start,
        lambda: process.exitcode,
        lambda: process.pid,
        lambda: process.sentinel,
    ):
        with pytest.raises(ValueError, match="process object is closed"):
            ask()


def test_after_close_there_is_no_outcome_any_more() -> None:
    with started(end, "return") as process:
        process.join()
    process.close()
    for ask in (process.result, process.exception):
        with pytest.raises(ValueError, match="process object is closed"):
            ask()


def test_a_start_method_that_there_is_not_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot find context for 'thread'"):
        Process(target=print, context="thread")
    with pytest.raises(TypeError, match="context must be the name of a start method"):
        Process(target=print, context=3)


def test_the_start_method_is_the_one_that_was_set(tmp_path: Path) -> None:
    done = run_program(
        """
import allcores as multiprocessing
def method(): return multiprocessing.get_start_method(), __name__
for name in ("spawn", "forkserver", "fork"):
    multiprocessing.set_start_method(name, force=True)
    process = multiprocessing.Process(target=method)
    process.start()
    print(*process.result())
    process.join()
process = multiprocessing.Process(target=method, context=multiprocessing.get_context("spawn"))
process.start()
print(*process.result())
process.join()
print(multiprocessing.process.current_process().name, multiprocessing.process.BaseProcess.__name__)
import allcores.process
print(multiprocessing.process.current_process().name, multiprocessing.process.active_children())
""",
        tmp_path,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "spawn __main__", "forkserver __main__", "fork __main__", "spawn __main__",
        "MainProcess BaseProcess", "MainProcess []",
    ]  # fmt: skip


# In the process


@each_method
@pytest.mark.parametrize("daemon", [False, True])
def test_what_it_knows_of_itself(method: str, daemon: bool) -> None:
    process = Process(target=who_am_i, name="its name", daemon=daemon, context=method)
    process.authkey = b"a key of its own"
    process.start()
    knows = process.result(SOON)
    process.join()
    assert knows == {
        "pid": (process.pid, process.pid, process.pid),
        "parent": (os.getpid(), multiprocessing.current_process().name, True),
        "name": "its name",
        "daemon": daemon,
        "authkey": b"a key of its own",
        "alive": True,
        "children": [],
        "method": method,
        "type": "Process",
    }


@each_method
def test_targets_are_whatever_can_be_called(method: str) -> None:
    captured = [1, 2]

    def closure(*more: int, last: int) -> list[int]:
        return [*captured, *more, last]

    process = Process(target=closure, args=(3,), kwargs={"last": 4}, context=method)
    process.start()
    assert process.result(SOON) == [1, 2, 3, 4]
    process.join()
    assert result_of(lambda: lambda: "made there", method=method)() == "made there"


def test_without_a_target_nothing_is_done() -> None:
    process = Process(context="fork")
    process.start()
    assert process.result(SOON) is None
    process.join()
    assert process.exitcode == 0


@each_method
def test_an_argument_that_cannot_be_sent_is_named_and_nothing_was_started(method: str) -> None:
    process = Process(target=type, args=(1, [threading.Lock()]), name="P", context=method)
    if method == "fork":  # which sends nothing
        process.start()
        assert isinstance(process.exception(SOON), TypeError)
        process.join()
        return
    with pytest.raises(Exception, match=r"cannot send P to a process: .*\(args\[1\]\[0\] is a _thread.lock\)"):
        process.start()
    assert process.pid is None


@each_method
@pytest.mark.parametrize("inner", METHODS)
def test_a_process_may_start_processes(method: str, inner: str) -> None:
    with started(os.getpid, method="forkserver") as first:  # so that there is a server which is not the child's own
        first.result(SOON)
        with started(start_another, inner, method=method, name="outer") as process:
            parent, name, code = process.result(SOON)
            process.join()
            assert (name.rpartition(":")[0][:8], code, process.exitcode) == ("Process-", 0, 0)
            assert parent == process.pid or inner == "forkserver"


@both_classes
def test_a_daemon_may_not_start_processes(cls: Any) -> None:
    def try_it() -> None:
        cls(target=print).start()

    error = None
    with started(try_it, daemon=True) as process:
        error = process.exception(SOON)
    assert isinstance(error, AssertionError)
    assert str(error) == "daemonic processes are not allowed to have children"


def test_a_pool_in_a_daemon() -> None:
    def with_pool() -> list[int]:
        with Pool(1) as pool:
            return pool.map(abs, [-1, -2])

    assert result_of(with_pool, daemon=True) == [1, 2]


@each_method
def test_a_process_in_a_task_of_a_pool(one: Pool, method: str) -> None:
    def task() -> Any:
        return result_of(who_am_i, method=method), os.getpid()

    knows, worker = one.apply(task)
    assert knows["parent"][0] == worker
    assert knows["pid"][0] != worker


@both_classes
def test_standard_processes_and_ours_live_side_by_side(cls: Any) -> None:
    queue = multiprocessing.get_context("fork").SimpleQueue()
    process = cls(target=queue.put, args=(5,))
    with started(time.sleep, 60) as other:
        process.start()
        assert queue.get() == 5
        assert set(multiprocessing.active_children()) >= {other}
        process.join()
        assert (process.exitcode, other.is_alive()) == (0, True)
    queue.close()


# Subclasses, and functions of the main module

_SUBCLASS = """
import multiprocessing, os, sys, allcores

FACTOR = 3

class Base(allcores.Process):
    pass

class Scaled(Base):
    def __init__(self, values, **options):
        super().__init__(name="scaled", **options)
        self.values = values
        self.note = {"a": lambda x: x * FACTOR}

    def run(self):
        assert multiprocessing.current_process() is self and isinstance(self, Scaled)
        return [self.note["a"](value) for value in self.values], self.name, helper()

class Old(allcores.Process):
    def run(self):
        super().run()
        sys.exit(4)

def helper():
    return __name__

for method in ("fork", "forkserver", "spawn"):
    process = Scaled([1, 2], context=method, daemon=True)
    process.start()
    print(process.result(20))
    process.join()
    old = Old(target=print, args=("printed by", "old"), kwargs={"sep": "-"}, context=method)
    old.start()
    old.join()
    print(type(process).__name__, process.exitcode, process.values, old.exitcode)
    function = allcores.Process(target=helper, context=method)
    function.start()
    print(function.result(20), flush=True)
    function.join()
"""


@pytest.mark.parametrize("way", ["file", "-c", "-m", "stdin"])
def test_subclasses_and_functions_of_an_unguarded_main_module(tmp_path: Path, way: str) -> None:
    (tmp_path / "script.py").write_text(_SUBCLASS)
    given = {"file": ["script.py"], "-c": ["-c", _SUBCLASS], "-m": ["-m", "script"], "stdin": ["-"]}[way]
    done = subprocess.run(
        [sys.executable, *given],
        input=_SUBCLASS if way == "stdin" else "",
        env={**os.environ, "PYTHONPATH": PATHS},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=2 * SOON,
        check=False,
    )
    assert done.stderr == ""
    once = ["([3, 6], 'scaled', '__main__')", "printed by-old", "Scaled 0 [1, 2] 4", "__main__"]
    assert done.stdout.splitlines() == once * 3


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_functions_of_a_main_module_in_a_package_import_relatively(tmp_path: Path, method: str) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "other.py").write_text("VALUE = 5\n")
    (package / "program.py").write_text(
        f"""
import allcores
def value():
    from .other import VALUE
    return VALUE, __package__
process = allcores.Process(target=value, context="{method}")
process.start()
print(process.result(20))
process.join()
with allcores.Pool(1) as pool:
    print(pool.apply(value))
"""
    )
    done = subprocess.run(
        [sys.executable, "-m", "package.program"],
        env={**os.environ, "PYTHONPATH": PATHS},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=2 * SOON,
        check=False,
    )
    assert (done.stderr, done.stdout) == ("", "(5, 'package')\n" * 2)


def test_nothing_is_left_of_processes_that_nobody_asks() -> None:
    """Descriptors and processes are looked at after every test; here there are results that nobody takes."""
    processes = [Process(target=bytes, args=(size,), context="fork", daemon=True) for size in (1, 10_000, 10**6) * 3]
    for process in processes:
        process.start()
    while multiprocessing.active_children():
        time.sleep(0.01)
    assert [process.exitcode for process in processes] == [0] * 9


def test_a_program_without_warnings_and_without_a_word(tmp_path: Path) -> None:
    done = run_program(
        """
import allcores, asyncio
async def main(method):
    process = allcores.Process(target=lambda: b"x" * 10**6, context=method, daemon=True)
    process.start()
    assert len(await process) == 10**6
    process.join()
    lambda_ = allcores.Process(target=lambda: 1, context=method)
    lambda_.start()
for method in ("fork", "forkserver", "spawn"):
    asyncio.run(main(method), debug=False)  # which would tell that starting takes its time
""",
        tmp_path,
        "-X",
        "dev",
        "-W",
        "error",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
