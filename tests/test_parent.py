"""The life and death of the program that has a pool: whatever it does, nothing hangs and nothing is left behind."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import allcores
import reliability_tasks as tasks
from allcores import Pool, TaskTimeout, WorkerDied

pytestmark = pytest.mark.timeout(45)

WaitUntil = Callable[..., None]

#: Seconds after which a result that has not come never will.
SOON = 15.0

#: Seconds within which everything must be gone. One is promised; a loaded machine is given some more.
GONE = 3.0


def _slow(*values: Any) -> Any:
    """A parameter for the long suite only."""
    return pytest.param(*values, marks=pytest.mark.slow)


_PATHS = os.pathsep.join([str(Path(allcores.__file__).parents[1]), str(Path(__file__).parent)])


def is_alive(number: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Program:
    """A program that runs in a session of its own, as if somebody had typed it into a terminal.

    Args:
        folder: where its source is put.
        source: what it does; `Pool`, `tasks` and common modules are imported.
    """

    def __init__(self, folder: Path, source: str) -> None:
        script = folder / "program.py"
        script.write_text(
            "import multiprocessing, os, signal, subprocess, sys, threading, time\n"
            "import reliability_tasks as tasks\n"
            "from allcores import Pool\n" + source
        )
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": _PATHS},
            start_new_session=True,
        )
        self.family: set[int] = set()

    def look(self) -> set[int]:
        """Remember every process that descends from the program now."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            self.family.add(child.pid)
        return self.family

    def left(self) -> set[int]:
        """Those of them that are still there."""
        return {number for number in self.family if is_alive(number)}

    def finish(self, seconds: float = SOON) -> tuple[int, str, str]:
        """Wait for its end; exit code, output, errors. The pipes are read to their end: nobody holds them."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err

    def clean_up(self) -> None:
        for number in (self.process.pid, *self.left()):
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.communicate()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[[str], Program]]:
    """Starts programs: ``program(source)``."""
    started: list[Program] = []

    def start(source: str) -> Program:
        started.append(Program(tmp_path, source))
        return started[-1]

    yield start
    for one in started:
        one.clean_up()


# Killed


@pytest.mark.parametrize(
    "busy",
    [
        _slow("tasks.nap, (60,)"),
        "tasks.hold_the_interpreter, (60,)",
        _slow("tasks.compute"),
        _slow("tasks.ignore_sigterm_and_nap, (60,)"),
        _slow("tasks.start_processes, ('{path}', 'plain', 60)"),
        "tasks.start_processes, ('{path}', 'stubborn', 60)",
        "tasks.start_processes, ('{path}', 'daemon', 60)",
    ],
)
def test_a_killed_program_leaves_nothing_behind(
    program: Callable[[str], Program], tmp_path: Path, wait_until: WaitUntil, busy: str
) -> None:
    path = str(tmp_path / "marks")
    running = program(
        f"pool = Pool(2)\nprint(pool.apply(tasks.pid))\nresult = pool.apply_async({busy.format(path=path)})\n"
        "time.sleep(0.4); print('busy', flush=True)\nresult.get()\n"
    )
    assert running.process.stdout is not None
    while running.process.stdout.readline().strip() != "busy":
        pass
    if "start_processes" in busy:
        wait_until(lambda: tasks.marks(path), SOON)
        running.family.add(int(tasks.marks(path)[0]))
    assert len(running.look()) >= 2  # the template and a worker
    os.kill(running.process.pid, signal.SIGKILL)
    wait_until(lambda: not running.left(), GONE)
    running.finish(GONE)  # its pipes are at their end: nobody holds them


@pytest.mark.parametrize("context", ["fork", _slow("spawn")])
@pytest.mark.parametrize("busy", [_slow("tasks.nap, (60,)"), "tasks.hold_the_interpreter, (60,)"])
def test_a_killed_program_leaves_no_worker_behind_whatever_the_context(
    program: Callable[[str], Program], wait_until: WaitUntil, context: str, busy: str
) -> None:
    running = program(
        "if __name__ == '__main__':\n"
        f"    pool = Pool(2, context=multiprocessing.get_context({context!r}))\n"
        f"    print(pool.apply(tasks.pid)); result = pool.apply_async({busy})\n"
        "    time.sleep(0.4); print('busy', flush=True)\n    result.get()\n"
    )
    assert running.process.stdout is not None
    while running.process.stdout.readline().strip() != "busy":
        pass
    assert running.look()
    os.kill(running.process.pid, signal.SIGKILL)
    wait_until(lambda: not running.left(), GONE)


@pytest.mark.parametrize("number", [signal.SIGTERM, *map(_slow, (signal.SIGSEGV, signal.SIGHUP, signal.SIGQUIT))])
def test_a_program_that_a_signal_ends_leaves_nothing_behind(
    program: Callable[[str], Program], wait_until: WaitUntil, number: signal.Signals
) -> None:
    running = program(
        "pool = Pool(2)\nresults = [pool.apply_async(tasks.nap, (60,)) for _ in range(2)]\n"
        "pool2 = Pool(1); print(pool2.apply(tasks.pid), flush=True)\nresults[0].get()\n"
    )
    assert running.process.stdout is not None
    running.process.stdout.readline()
    assert len(running.look()) >= 4
    os.kill(running.process.pid, number)
    wait_until(lambda: not running.left(), GONE)
    assert running.finish()[0] == -number


def test_a_program_that_leaves_by_the_back_door_leaves_nothing_behind(
    program: Callable[[str], Program], wait_until: WaitUntil
) -> None:
    running = program(
        "pool = Pool(2)\nresult = pool.apply_async(tasks.nap, (60,))\n"
        "print(pool.apply(tasks.pid), flush=True); time.sleep(0.5); os._exit(3)\n"
    )
    assert running.process.stdout is not None
    running.process.stdout.readline()
    running.look()
    wait_until(lambda: not running.left(), GONE)
    assert running.finish()[0] == 3


# Ctrl-C

_WAITS = {
    "map": "pool.map(task, [60] * 4)",
    "starmap": "pool.starmap(task, [(60,)] * 4)",
    "imap": "list(pool.imap(task, iter([60] * 4)))",
    "imap_unordered": "list(pool.imap_unordered(task, [60] * 4))",
    "apply": "pool.apply(task, (60,))",
    "get": "pool.apply_async(task, (60,)).get()",
    "get with a timeout": "pool.apply_async(task, (60,)).get(100)",
    "wait": "pool.map_async(task, [60] * 4).wait()",
    "join": "pool.map_async(task, [60] * 4); pool.close(); pool.join()",
    "idle": "pool.map_async(task, [60] * 4); time.sleep(60)",
}

_QUICK_WAITS = ("map", "imap", "get", "join", "idle")


@pytest.mark.parametrize("with_block", [True, _slow(False)])
@pytest.mark.parametrize("way", [way if way in _QUICK_WAITS else _slow(way) for way in _WAITS])
def test_ctrl_c_stops_everything_with_one_traceback(
    program: Callable[[str], Program], wait_until: WaitUntil, way: str, with_block: bool
) -> None:
    opening = "with Pool(2) as pool:" if with_block else "pool = Pool(2)\nif True:"
    running = program(
        "def task(seconds):\n"
        "    signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "    time.sleep(seconds)\n"
        f"{opening}\n"
        "    pool.map(tasks.nap, [0.1, 0.1]); print('ready', flush=True)\n"
        f"    {_WAITS[way]}\n"
    )
    assert running.process.stdout is not None
    assert running.process.stdout.readline() == "ready\n"
    time.sleep(0.4)
    assert len(running.look()) >= 3
    began = time.monotonic()
    os.killpg(running.process.pid, signal.SIGINT)  # as the terminal does: the whole foreground group
    code, _, err = running.finish(10)
    assert time.monotonic() - began < GONE
    wait_until(lambda: not running.left(), GONE)
    assert code in (-signal.SIGINT, 130)
    assert err.count("Traceback (most recent call last)") == 1, err
    assert err.strip().endswith("KeyboardInterrupt")


def test_ctrl_c_that_the_program_catches_leaves_a_pool_that_works(
    program: Callable[[str], Program],
) -> None:
    running = program(
        "with Pool(2) as pool:\n"
        "    pool.map(tasks.nap, [0.1, 0.1]); print('ready', flush=True)\n"
        "    for wait in (lambda: pool.map(tasks.nap, [60] * 4), lambda: pool.apply(tasks.nap, (60,))):\n"
        "        try:\n"
        "            wait()\n"
        "        except KeyboardInterrupt:\n"
        "            print('caught', flush=True)\n"
        "    print(pool.apply_async(tasks.same, (7,)).get(10), pool.map(tasks.same, range(3)), flush=True)\n"
    )
    assert running.process.stdout is not None
    assert running.process.stdout.readline() == "ready\n"
    for _ in range(2):
        time.sleep(0.4)
        os.killpg(running.process.pid, signal.SIGINT)
        assert running.process.stdout.readline() == "caught\n"
    assert running.process.stdout.readline() == "7 [0, 1, 2]\n"
    assert running.finish()[0] == 0


# Ends of a program


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("pass", 0),
        _slow("sys.exit(5)", 5),
        ("raise RuntimeError('the reason')", 1),
        _slow("del pool", 0),
        ("iterator = pool.imap(tasks.same, iter(int, 1)); next(iterator)", 0),
        _slow("threading.Thread(target=lambda: result.wait(), daemon=True).start()", 0),
        _slow("pool.close()", 0),
    ],
)
def test_a_program_ends_with_tasks_running(
    program: Callable[[str], Program], wait_until: WaitUntil, end: str, code: int
) -> None:
    running = program(
        "pool = Pool(2)\nresult = pool.apply_async(tasks.nap, (60,))\npool.apply(tasks.same, (1,))\n"
        f"print('ready', flush=True); time.sleep(0.5)\n{end}\n"
    )
    assert running.process.stdout is not None
    assert running.process.stdout.readline() == "ready\n"
    running.look()
    status, _, err = running.finish(10)
    assert status == code
    assert err.count("Traceback") == (1 if code == 1 else 0), err
    wait_until(lambda: not running.left(), GONE)


@pytest.mark.parametrize(
    ("body", "code"),
    [("raise RuntimeError('the reason')", 1), _slow("sys.exit(4)", 4), _slow("os.kill(os.getpid(), 15)", -15)],
)
def test_leaving_a_with_block_in_whatever_way(
    program: Callable[[str], Program], wait_until: WaitUntil, body: str, code: int
) -> None:
    running = program(
        "with Pool(2) as pool:\n    result = pool.apply_async(tasks.nap, (60,)); pool.apply(tasks.same, (1,))\n"
        f"    print('ready', flush=True); time.sleep(0.5)\n    {body}\n"
    )
    assert running.process.stdout is not None
    assert running.process.stdout.readline() == "ready\n"
    running.look()
    status, _, err = running.finish(10)
    assert status == code
    assert err.count("the reason") <= 1 + (code == 1)
    wait_until(lambda: not running.left(), GONE)


def test_an_exception_inside_with_comes_through_as_it_is() -> None:
    class Mine(Exception):
        pass

    with pytest.raises(Mine), Pool(2) as pool:  # noqa: PT012
        result = pool.apply_async(tasks.nap, (60,))
        raise Mine
    with pytest.raises(CancelledError):
        result.get(SOON)


def _drop(namespace: dict[str, Any]) -> None:
    """Drop what is there, and whatever refers to it in a circle."""
    namespace.clear()
    gc.collect()


def test_a_dropped_pool_is_collected_with_a_warning(wait_until: WaitUntil) -> None:
    here: dict[str, Any] = {"pool": Pool(2)}
    workers = set(here["pool"].map(tasks.pid, range(20)))
    with pytest.warns(ResourceWarning, match="unclosed"):
        _drop(here)
    wait_until(lambda: not any(map(is_alive, workers)))


def test_a_pool_dropped_with_tasks_running_lets_them_end(wait_until: WaitUntil) -> None:
    """As long as somebody can still fetch a result, its pool is not gone; then it is."""

    def use() -> Any:
        result = Pool(1).apply_async(tasks.nap, (0.4, "kept"))
        gc.collect()
        value = result.get(SOON)
        del result
        wait_until(lambda: gc.collect() is not None and not _has_reactors())
        return value

    with pytest.warns(ResourceWarning, match="unclosed"):
        assert use() == "kept"


def _has_reactors() -> bool:
    return any(thread.name.endswith("-reactor") for thread in threading.enumerate())


def test_a_pool_in_a_cycle_is_collected(wait_until: WaitUntil) -> None:
    here: dict[str, Any] = {"pool": Pool(1)}
    here["list"] = [here["pool"]]
    here["list"].append(here["list"])
    worker = here["pool"].apply(tasks.pid)
    with pytest.warns(ResourceWarning, match="unclosed"):
        _drop(here)
    wait_until(lambda: not is_alive(worker))


def test_iterators_that_are_dropped_in_cycles_disturb_nobody(processes: Pool) -> None:
    """The collector may run anywhere, also where the pool holds its own lock."""

    class Holder:
        pass

    done = threading.Event()

    def stress() -> None:
        threshold = gc.get_threshold()
        gc.set_threshold(1)
        try:
            for _ in range(60):
                holder = Holder()
                holder.iterator = processes.imap(tasks.same, range(50))  # type: ignore[attr-defined]
                next(holder.iterator)  # type: ignore[attr-defined]
                holder.me = holder  # type: ignore[attr-defined]
                del holder
                for number in range(10):
                    processes.apply_async(tasks.same, (number,))
        finally:
            gc.set_threshold(*threshold)
        done.set()

    threading.Thread(target=stress, daemon=True).start()
    assert done.wait(30)
    assert processes.apply_async(tasks.same, (1,)).get(SOON) == 1


# Signal handlers of the program


@pytest.mark.parametrize(
    "call", ["pool.terminate()", _slow("results[-1].cancel()"), _slow("pool.stats()"), "pool.apply_async(abs, (1,))"]
)
def test_a_signal_handler_may_use_the_pool(program: Callable[[str], Program], call: str) -> None:
    """It runs in the middle of whatever the main thread does, which may be in the pool itself."""
    running = program(
        "import random\n"
        "def handle(*_):\n"
        f"    {call}\n"
        "signal.signal(signal.SIGALRM, handle)\n"
        f"rounds = {4 if 'terminate' in call else 1}\n"
        "for number in range(rounds):\n"
        "    pool = Pool(2); results = [pool.apply_async(abs, (1,))]; pool.map(abs, range(100))\n"
        "    for _ in range(1 if rounds > 1 else 25):\n"
        "        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.02))\n"
        "        try:\n"
        "            results = [pool.apply_async(abs, (1,)) for _ in range(2000)]\n"
        "            pool.map(abs, range(1000))\n"
        "        except ValueError as error:\n"
        "            assert 'not running' in str(error)\n"
        "        except BaseException as error:\n"
        "            assert type(error).__name__ == 'CancelledError', error\n"
        "        time.sleep(0.02)\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "    pool.terminate(); pool.join()\n"
        "print('done')\n"
    )
    code, out, err = running.finish(30)
    assert (code, out) == (0, "done\n"), err


# A fork of the program


@contextmanager
def a_forked_child(seconds: float = 12.0) -> Iterator[Callable[[], bool]]:
    """Fork: the block runs in both; what is yielded tells which one is the child. The child's status is checked."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, seconds)  # a hang ends with SIGALRM
            yield lambda: True
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    yield lambda: False
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"the child ended with {os.waitstatus_to_exitcode(status)}"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("context", ["forkserver", _slow("fork")])
def test_a_forked_child_is_told_that_the_pool_is_its_parents(context: str) -> None:
    with Pool(2, context=multiprocessing.get_context(context)) as pool:
        assert pool.apply(tasks.same, (1,)) == 1
        result = pool.apply_async(tasks.nap, (1.0, "the parent's"))
        iterator = pool.imap(tasks.nap, [1.0, 1.0])
        time.sleep(0.2)
        with a_forked_child() as is_child:
            if is_child():
                calls: list[Callable[[], Any]] = [
                    lambda: pool.apply(tasks.same, (1,)),
                    lambda: pool.apply_async(tasks.same, (1,)),
                    lambda: pool.map(tasks.same, [1]),
                    lambda: pool.imap(tasks.same, [1]),
                    result.get,
                    result.wait,
                    iterator.next,
                ]
                for call in calls:
                    with pytest.raises(RuntimeError, match="forked"):
                        call()
        assert result.get(SOON) == "the parent's"
        assert list(iterator) == [None, None]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("context", ["forkserver", "fork", _slow("spawn")])
@pytest.mark.parametrize("end", ["terminate", "cancel", *(_slow(end) for end in ("close", "with", "drop"))])
def test_a_forked_child_that_ends_the_pool_harms_nobody(context: str, end: str) -> None:
    pool = Pool(2, context=multiprocessing.get_context(context))
    assert pool.apply(tasks.same, (1,)) == 1
    result = pool.apply_async(tasks.nap, (0.8, "the parent's"))
    time.sleep(0.2)
    with a_forked_child() as is_child:
        if is_child():
            if end == "terminate":
                pool.terminate()
                pool.join()
            elif end == "close":
                pool.close()
                pool.join()
            elif end == "with":
                pool.__exit__(None, None, None)
            elif end == "cancel":
                try:
                    result.cancel()
                except RuntimeError:
                    pass
            else:
                del pool, result
                gc.collect()
    assert result.get(SOON) == "the parent's"
    assert pool.map(tasks.same, range(20)) == list(range(20))
    pool.terminate()
    pool.join()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_can_have_a_pool_of_its_own(processes: Pool) -> None:
    running = processes.apply_async(tasks.nap, (0.8, "the parent's"))
    with a_forked_child() as is_child:
        if is_child():
            with Pool(2) as pool:
                assert pool.map(tasks.same, range(50)) == list(range(50))
            pool.join()
    assert running.get(SOON) == "the parent's"
    assert processes.apply(tasks.same, (1,)) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_children_forked_while_the_pool_is_busy_come_to_an_end(processes: Pool) -> None:
    """A fork copies whatever is locked at that moment."""
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            processes.map(tasks.same, range(200))
            processes.apply(tasks.same, (1,))

    threads = [threading.Thread(target=keep_busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(15):
            with a_forked_child() as is_child:
                if is_child():
                    with pytest.raises(RuntimeError):
                        processes.apply(tasks.same, (1,))
                    processes.terminate()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert processes.apply(tasks.same, (1,)) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])  # the third leaves a server of the standard library running
def test_a_process_of_multiprocessing_beside_a_pool(processes: Pool, method: str) -> None:
    assert processes.apply(tasks.same, (1,)) == 1
    child = multiprocessing.get_context(method).Process(target=tasks.nap, args=(0.05,))  # type: ignore[attr-defined]
    child.start()
    child.join(SOON)
    assert child.exitcode == 0
    child.close()
    assert processes.apply(tasks.same, (1,)) == 1


# Threads


def test_a_pool_used_from_many_threads(processes: Pool) -> None:
    problems: list[Any] = []

    def use(number: int) -> None:
        try:
            for turn in range(12):
                base = 1000 * number + turn
                assert processes.apply(tasks.same, (base,)) == base
                assert processes.map(tasks.same, range(base, base + 50)) == list(range(base, base + 50))
                assert list(processes.imap(tasks.same, range(base, base + 20))) == list(range(base, base + 20))
                results = [processes.apply_async(tasks.same, (base + x,)) for x in range(20)]
                assert [result.get(SOON) for result in results] == list(range(base, base + 20))
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not problems
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("context", ["forkserver", "fork", _slow("spawn")])
def test_a_pool_started_from_a_thread_that_ends(context: str) -> None:
    """The kernel ends children with the *thread* that made them, if one asks for it carelessly."""
    made: list[Any] = []

    def make() -> None:
        pool = Pool(2, context=multiprocessing.get_context(context))
        made.append(pool)
        made.append(pool.apply_async(tasks.nap, (0.8, "alive")))
        made.append(pool.apply(tasks.pid))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    pool, result, worker = made
    time.sleep(0.3)
    assert is_alive(worker)
    assert result.get(SOON) == "alive"
    assert pool.map(tasks.same, range(10)) == list(range(10))
    pool.terminate()
    pool.join()


def test_a_pool_ended_by_another_thread_while_it_is_used() -> None:
    pool = Pool(2)
    outcomes: list[Any] = []

    def use() -> None:
        try:
            while True:
                pool.map(tasks.same, range(300))
        except BaseException as error:
            outcomes.append(error)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    pool.terminate()
    for thread in threads:
        thread.join(SOON)
    assert [type(outcome) in (CancelledError, ValueError) for outcome in outcomes] == [True] * 3


@pytest.mark.parametrize("end", ["terminate", "close"])
def test_a_pool_may_be_ended_by_several_threads_at_once(end: str) -> None:
    pool = Pool(2)
    result = pool.map_async(tasks.nap, [0.2] * 4)

    def finish() -> None:
        getattr(pool, end)()
        pool.join()

    threads = [threading.Thread(target=finish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert not any(thread.is_alive() for thread in threads)
    if end == "close":
        assert result.get(0) == [None] * 4
    else:
        with pytest.raises(CancelledError):
            result.get(0)


# Nested pools


def test_a_pool_in_a_task(processes: Pool, tmp_path: Path) -> None:
    path = str(tmp_path / "pids")
    assert processes.map_async(_nest_twice, [path, path]).get(SOON * 2) == [[0, 1, 2, 3]] * 2


def _nest_twice(path: str) -> list[int]:
    return tasks.nest(path, "")


@pytest.mark.parametrize("how", ["killed", "timeout", _slow("terminate"), _slow("cancel")])
def test_a_pool_in_a_task_ends_with_its_task(tmp_path: Path, wait_until: WaitUntil, how: str) -> None:
    path = str(tmp_path / "pids")
    with Pool(1) as pool:
        worker = pool.apply(tasks.pid)
        result = pool.apply_async(tasks.nest, (path, "hang"), timeout=2 if how == "timeout" else None)
        wait_until(lambda: tasks.marks(path), SOON)
        inner = {child.pid for child in psutil.Process(worker).children(recursive=True)}
        assert len(inner) >= 2
        if how == "killed":
            os.kill(worker, signal.SIGKILL)
        elif how == "terminate":
            pool.terminate()
        elif how == "cancel":
            result.cancel()
        with pytest.raises({"killed": WorkerDied, "timeout": TaskTimeout}.get(how, CancelledError)):
            result.get(SOON)
        wait_until(lambda: not any(map(is_alive, inner)))


def test_a_process_of_multiprocessing_in_a_task(processes: Pool) -> None:
    """Elsewhere "daemonic processes are not allowed to have children"."""

    def start() -> int | None:
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(0.01,))
        child.start()
        child.join()
        return child.exitcode

    assert processes.apply(start) == 0


# Callbacks


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("way", ["apply_async", "map_async"])
def test_a_callback_that_raises_changes_nothing(
    processes: Pool, caplog: pytest.LogCaptureFixture, error: type[BaseException], way: str
) -> None:
    def fail(_: Any) -> None:
        raise error("from the callback")

    if way == "apply_async":
        assert processes.apply_async(tasks.same, (1,), callback=fail).get(SOON) == 1
        with pytest.raises(ValueError):
            processes.apply_async(tasks.fail_on, (1, 1), error_callback=fail).get(SOON)
    else:
        assert processes.map_async(tasks.same, [1, 2], callback=fail).get(SOON) == [1, 2]
    assert processes.apply_async(tasks.same, (2,)).get(SOON) == 2
    assert "from the callback" in caplog.text


@pytest.mark.slow
def test_a_callback_that_takes_its_time_delays_but_loses_nothing(processes: Pool) -> None:
    seen: list[int] = []

    def slow(value: int) -> None:
        time.sleep(0.02)
        seen.append(value)

    results = [processes.apply_async(tasks.same, (x,), callback=slow) for x in range(40)]
    assert [result.get(SOON) for result in results] == list(range(40))
    assert sorted(seen) == list(range(40))


def test_a_callback_may_submit_cancel_and_close(wait_until: WaitUntil) -> None:
    pool = Pool(2)
    later: list[Any] = []
    seen: list[int] = []
    long = pool.apply_async(tasks.nap, (60,))

    def again(value: int) -> None:
        seen.append(value)
        if value < 20:
            later.append(pool.apply_async(tasks.same, (value + 1,), callback=again))
        else:
            later.append(long.cancel())
            pool.close()

    pool.apply_async(tasks.same, (0,), callback=again)
    wait_until(lambda: len(seen) == 21, SOON)
    with pytest.raises(CancelledError):
        long.get(SOON)
    pool.join()
    assert seen == list(range(21))


def test_a_callback_may_terminate_the_pool(wait_until: WaitUntil) -> None:
    pool = Pool(2)
    long = pool.apply_async(tasks.nap, (60,))
    pool.apply_async(tasks.same, (0,), callback=lambda _: pool.terminate())
    with pytest.raises(CancelledError):
        long.get(SOON)
    pool.join()


def test_a_callback_that_waits_for_the_pool_is_told_so(processes: Pool, wait_until: WaitUntil) -> None:
    heard: list[Any] = []
    waits: list[Callable[[], Any]] = [
        lambda: processes.apply(tasks.nap, (0.3,)),
        lambda: processes.map(tasks.nap, [0.3]),
        lambda: processes.apply_async(tasks.nap, (0.3,)).get(),
        lambda: processes.imap(tasks.nap, [0.3]).next(),
    ]

    def wait(_: Any) -> None:
        for call in waits:
            try:
                heard.append(call())
            except RuntimeError as error:
                heard.append(error)

    processes.apply_async(tasks.same, (1,), callback=wait)
    wait_until(lambda: len(heard) == len(waits), SOON)
    assert all(isinstance(error, RuntimeError) and "callback" in str(error) for error in heard)
    assert processes.apply_async(tasks.same, (2,)).get(SOON) == 2


def test_a_program_that_leaves_sigpipe_to_the_system_survives_its_workers(tmp_path: Path) -> None:
    """As command lines do, so that `| head` ends them."""
    script = tmp_path / "program.py"
    script.write_text(
        "import os, signal\n"
        "from allcores import Pool, WorkerDied\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "with Pool(1) as pool:\n"
        "    for _ in range(12):\n"
        "        try:\n"
        "            os.kill(pool.apply(os.getpid), signal.SIGKILL)\n"
        "            pool.apply(len, (bytes(300_000),))\n"
        "        except WorkerDied:\n"
        "            pass\n"
        "    template = pool.apply(os.getppid)\n"
        "    os.kill(template, signal.SIGKILL)\n"
        "    print(pool.apply(abs, (-1,), retries=2))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=50, check=False)
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
