"""Workers that die: it costs the task that ran, tells why, and nothing else changes."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import reliability_tasks as tasks
from allcores import MemoryLimitExceeded, Pool, WorkerDied
from allcores.lanes import process_lane as process_lanes

pytestmark = pytest.mark.timeout(45)

WaitUntil = Callable[..., None]

#: Seconds after which a result that has not come never will.
SOON = 15.0


def outcome_of(result: Any) -> Any:
    """What a result holds: a value, or the exception."""
    try:
        return result.get(SOON)
    except Exception as error:
        return error


def outcomes_of(iterator: Any) -> list[Any]:
    """The same of each result of an iterator."""
    outcomes = []
    while True:
        try:
            outcomes.append(iterator.next(SOON))
        except StopIteration:
            return outcomes
        except Exception as error:
            outcomes.append(error)


def run(pool: Pool, way: str, items: list[tuple[Any, ...]]) -> list[Any]:
    """Run `work_or_die` over items in one of the pool's ways; the outcomes, in order but for imap_unordered."""
    if way == "map":
        return pool.map(tasks.work_or_die_packed, items, return_exceptions=True)
    if way == "starmap":
        return pool.starmap(tasks.work_or_die, items, return_exceptions=True)
    if way == "imap":
        return outcomes_of(pool.imap(tasks.work_or_die_packed, items))
    if way == "imap_unordered":
        return outcomes_of(pool.imap_unordered(tasks.work_or_die_packed, items))
    return [outcome_of(result) for result in [pool.apply_async(tasks.work_or_die, item) for item in items]]


WAYS = ("map", "starmap", "imap", "imap_unordered", "apply_async")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "kind", ["int", "object", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("float", "str", "large"))]
)
def test_a_death_in_a_batch_costs_one_task_and_no_task_starts_twice(
    processes: Pool, tmp_path: Path, way: str, kind: str
) -> None:
    path = str(tmp_path / "begun")
    count = 150 if kind == "large" else 1200
    run(processes, way, [(path, x, (), "", kind) for x in range(600)])  # now it travels in batches
    os.unlink(path)
    victims = (count // 3, count // 2, count - 1)
    outcomes = run(processes, way, [(path, x, victims, "SIGKILL", kind) for x in range(count)])

    deaths = [outcome for outcome in outcomes if isinstance(outcome, WorkerDied)]
    results = [outcome for outcome in outcomes if not isinstance(outcome, WorkerDied)]
    expected = [tasks.result_of(kind, x) for x in range(count) if x not in victims]
    assert len(outcomes) == count
    assert len(deaths) == len(victims)
    if way == "imap_unordered":
        results.sort(key=expected.index) if kind == "object" else results.sort(key=_number(kind))
    else:
        assert [isinstance(outcome, WorkerDied) for outcome in outcomes] == [x in victims for x in range(count)]
    assert results == expected
    # Each one began once: none was lost with the batch, none ran again.
    assert Counter(map(int, tasks.marks(path))) == Counter(range(count))


def _number(kind: str) -> Callable[[Any], Any]:
    """Sorts results of a kind in the order of their tasks."""
    if kind == "str":
        return lambda result: int(result.split()[1])
    if kind == "large":
        return lambda result: int.from_bytes(result[:8], "little")
    return lambda result: result


def test_batches_do_form_in_these_tests(processes: Pool, tmp_path: Path) -> None:
    """Otherwise the test above would show nothing about tasks that travel together."""
    path = str(tmp_path / "begun")
    run(processes, "map", [(path, x, (), "", "int") for x in range(600)])
    sizes: list[int] = []
    scheduler = processes._scheduler
    give = scheduler._give

    def watch(lane: Any, batch: Any) -> None:
        sizes.append(batch.count)
        give(lane, batch)

    scheduler._give = watch  # type: ignore[method-assign]
    run(processes, "map", [(path, x, (), "", "int") for x in range(1200)])
    assert max(sizes) > 10


@pytest.mark.parametrize("how", list(tasks.DEATHS))
def test_a_death_tells_pid_signal_or_exit_code_task_and_memory(one: Pool, tmp_path: Path, how: str) -> None:
    path = str(tmp_path / "pid")
    assert one.apply(tasks.mark_pid_and_nap, (path, 0)) == int(tasks.marks(path)[0])
    with pytest.raises(WorkerDied) as caught:
        one.apply(tasks.work_or_die, (path, 3, (3,), how, "int"))
    error = caught.value
    code = tasks.DEATHS[how]
    assert error.pid == int(tasks.marks(path)[0])
    assert error.exitcode == code
    assert error.signal == (-code if code < 0 else None)
    assert error.task is not None
    assert error.task.startswith("work_or_die(")
    assert ", 3, (3,), " in error.task
    assert error.peak_memory is not None
    assert error.peak_memory > 2**20
    assert error.deaths == 1
    for told in (f"pid {error.pid}", error.task, how if code < 0 else f"code {code}"):
        assert told in str(error)


def test_a_death_tells_the_task_in_brief(one: Pool) -> None:
    with pytest.raises(WorkerDied) as caught:
        one.apply(tasks.work_or_die, ("/dev/null", 1, (1,), "_exit", "x" * 100_000))
    assert caught.value.task is not None
    assert len(caught.value.task) < 500


def test_a_death_with_an_argument_whose_repr_raises(one: Pool) -> None:
    results = one.map(
        tasks.work_or_die_packed, [("/dev/null", 1, (1,), "_exit", tasks.RaisesOnRepr())], return_exceptions=True
    )
    assert isinstance(results[0], WorkerDied)
    result = one.apply_async(tasks.work_or_die, ("/dev/null", 1, (1,), "_exit", tasks.RaisesOnRepr()))
    assert isinstance(outcome_of(result), WorkerDied)
    assert one.apply(tasks.same, (1,)) == 1


def test_a_death_tells_the_largest_memory_that_the_worker_had(one: Pool) -> None:
    with pytest.raises(WorkerDied) as caught:
        one.apply(tasks.eat_and_die, (80 * 2**20,))
    assert caught.value.peak_memory is not None
    assert 80 * 2**20 < caught.value.peak_memory < 300 * 2**20


def test_a_death_tells_the_last_lines_of_standard_error(one: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WorkerDied) as caught:
        one.apply(tasks.talk_and_die, (500, "SIGKILL"))
    lines = caught.value.stderr.splitlines()
    assert lines[-1] == "line 499"
    assert 5 <= len(lines) <= 100
    assert "line 499" in str(caught.value)
    assert "line 250" not in str(caught.value)


@pytest.mark.parametrize(("how", "name"), [("SIGSEGV", "Segmentation fault"), ("SIGABRT", "Aborted")])
def test_a_crash_tells_where_python_was(one: Pool, how: str, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WorkerDied) as caught:
        one.apply(tasks.die, (how,))
    assert f"Fatal Python error: {name}" in caught.value.stderr
    assert "in die" in caught.value.stderr


def test_a_sigkill_that_nobody_has_sent_hints_at_the_kernel(one: Pool) -> None:
    with pytest.raises(WorkerDied, match="memory"):
        one.apply(tasks.die, ("SIGKILL",))
    with pytest.raises(WorkerDied) as caught:
        one.apply(tasks.die, ("SIGTERM",))
    assert "kernel" not in str(caught.value)


def test_worker_died_survives_pickling(one: Pool) -> None:
    with pytest.raises(WorkerDied) as caught:
        one.apply(tasks.die, ("SIGKILL",))
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is WorkerDied
    assert str(again) == str(caught.value)
    assert (again.pid, again.exitcode, again.signal, again.task) == (
        caught.value.pid,
        -9,
        9,
        caught.value.task,
    )


def test_tasks_queued_behind_a_death_run_elsewhere(one: Pool, tmp_path: Path) -> None:
    path = str(tmp_path / "begun")
    results = [one.apply_async(tasks.work_or_die, (path, x, (0, 5), "_exit", "int")) for x in range(10)]
    outcomes = [outcome_of(result) for result in results]
    assert [x for x in range(10) if isinstance(outcomes[x], WorkerDied)] == [0, 5]
    assert [outcomes[x] for x in range(10) if x not in (0, 5)] == [3 * x for x in range(10) if x not in (0, 5)]
    assert Counter(tasks.marks(path)) == Counter(map(str, range(10)))


def test_an_explicit_chunk_survives_the_death_of_one_of_its_items(one: Pool, tmp_path: Path) -> None:
    path = str(tmp_path / "begun")
    items = [(path, x, (4,), "SIGKILL", "object") for x in range(20)]
    outcomes = one.map(tasks.work_or_die_packed, items, chunksize=20, return_exceptions=True)
    assert isinstance(outcomes.pop(4), WorkerDied)
    assert outcomes == [tasks.result_of("object", x) for x in range(20) if x != 4]
    assert Counter(tasks.marks(path)) == Counter(map(str, range(20)))


def test_a_death_while_arguments_are_loaded_is_the_first_tasks(one: Pool) -> None:
    class DiesWhenLoaded:
        def __reduce__(self) -> tuple[Any, ...]:
            return os._exit, (9,)

    outcomes = one.map(tasks.same, [DiesWhenLoaded(), 2, 3], return_exceptions=True)
    assert isinstance(outcomes[0], WorkerDied)
    assert outcomes[0].exitcode == 9
    # In whichever way the items travelled, those behind it are not lost for good.
    assert all(outcome in (2, 3) or isinstance(outcome, WorkerDied) for outcome in outcomes[1:])
    assert one.map(tasks.same, [1, 2]) == [1, 2]


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_an_idle_worker_that_is_killed_costs_nothing(one: Pool, how: str, pause: float) -> None:
    for number in range(4):
        victim = one.apply(tasks.pid)
        os.kill(victim, getattr(signal, how))
        time.sleep(pause)
        assert one.apply_async(tasks.same, (number,)).get(SOON) == number
        os.kill(one.apply(tasks.pid), signal.SIGKILL)
        assert one.apply(tasks.same, (number,)) == number
        if pause:
            return


def test_all_workers_killed_at_once(tmp_path: Path, wait_until: WaitUntil) -> None:
    path = str(tmp_path / "pids")
    with Pool(4) as pool:
        running = [pool.apply_async(tasks.mark_pid_and_nap, (path, 30)) for _ in range(4)]
        wait_until(lambda: len(tasks.marks(path)) == 4, SOON)
        waiting = [pool.apply_async(tasks.same, (x,)) for x in range(20)]
        for worker in tasks.marks(path):
            os.kill(int(worker), signal.SIGKILL)
        assert all(isinstance(outcome_of(result), WorkerDied) for result in running)
        assert [result.get(SOON) for result in waiting] == list(range(20))
        assert pool.map(tasks.same, range(100)) == list(range(100))


def test_workers_that_keep_being_killed_while_tasks_flow(tmp_path: Path) -> None:
    path = str(tmp_path / "begun")
    stop = threading.Event()
    with Pool(3) as pool:

        def hunt() -> None:
            while not stop.wait(0.05):
                for entry in pool.stats().workers:
                    if entry.alive and entry.pid:
                        try:
                            os.kill(entry.pid, signal.SIGKILL)
                        except ProcessLookupError:
                            continue
                        break

        hunter = threading.Thread(target=hunt)
        hunter.start()
        try:
            items = [(path, x, (), "", "int") for x in range(20_000)]
            outcomes = pool.map(tasks.work_or_die_packed, items, return_exceptions=True)
        finally:
            stop.set()
            hunter.join()
        deaths = [x for x, outcome in enumerate(outcomes) if isinstance(outcome, WorkerDied)]
        assert deaths, "nobody was killed: the test shows nothing"
        assert [outcome for outcome in outcomes if not isinstance(outcome, WorkerDied)] == [
            3 * x for x in range(20_000) if x not in set(deaths)
        ]
        begun = Counter(map(int, tasks.marks(path)))
        assert max(begun.values()) == 1
        # One that has died may have done so before its first line; any other has run.
        assert set(range(20_000)) - set(begun) <= set(deaths)


def kill_template() -> None:
    """Kill the template process that works for this one, and wait until it is dead."""
    give_up = time.monotonic() + SOON
    while not (found := [child for child in psutil.Process().children() if _is_template(child)]):
        assert time.monotonic() < give_up, "there is no template"
        time.sleep(0.01)
    for template in found:
        template.kill()
        while is_alive(template.pid):
            time.sleep(0.005)


def _is_template(process: psutil.Process) -> bool:
    try:
        return "template_main" in " ".join(process.cmdline()) and is_alive(process.pid)
    except psutil.NoSuchProcess:
        return False


def test_the_template_process_is_killed_and_the_pool_goes_on(
    processes: Pool, tmp_path: Path, wait_until: WaitUntil
) -> None:
    path = str(tmp_path / "pids")
    running = [processes.apply_async(tasks.mark_pid_and_nap, (path, 30)) for _ in range(2)]
    wait_until(lambda: len(tasks.marks(path)) == 2, SOON)
    waiting = [processes.apply_async(tasks.same, (x,)) for x in range(10)]
    kill_template()
    assert all(isinstance(outcome_of(result), WorkerDied) for result in running)
    assert [result.get(SOON) for result in waiting] == list(range(10))
    assert processes.map(tasks.same, range(50)) == list(range(50))


def test_the_template_process_is_killed_while_the_pool_is_idle(processes: Pool) -> None:
    assert processes.map(tasks.same, range(10)) == list(range(10))
    kill_template()
    assert processes.map(tasks.same, range(10)) == list(range(10))
    kill_template()
    time.sleep(0.3)
    assert processes.apply(tasks.same, (1,)) == 1


def test_the_template_process_is_killed_while_the_pool_looks_elsewhere(
    processes: Pool, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """A worker is asked for before anybody has noticed; those that died with the template must not be forgotten."""
    path = str(tmp_path / "pids")
    running = processes.apply_async(tasks.mark_pid_and_nap, (path, 30))
    wait_until(lambda: tasks.marks(path), SOON)
    in_callback = threading.Event()

    def block(_: Any) -> None:
        in_callback.set()
        time.sleep(1.0)

    blocking = processes.apply_async(tasks.die, ("SIGKILL",), error_callback=block)
    assert in_callback.wait(SOON)
    kill_template()
    late = processes.apply_async(tasks.same, (1,))
    assert late.get(SOON) == 1
    assert isinstance(outcome_of(running), WorkerDied)
    assert isinstance(outcome_of(blocking), WorkerDied)


def test_what_tasks_have_started_goes_when_the_template_is_killed(
    one: Pool, tmp_path: Path, wait_until: WaitUntil
) -> None:
    path = str(tmp_path / "pids")
    result = one.apply_async(tasks.start_processes, (path, "plain", 30))
    wait_until(lambda: tasks.marks(path), SOON)
    child = int(tasks.marks(path)[0])
    kill_template()
    try:
        assert isinstance(outcome_of(result), WorkerDied)
        wait_until(lambda: not is_alive(child))
    finally:
        if is_alive(child):
            os.kill(child, signal.SIGKILL)


def is_alive(number: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("how", ["SIGKILL", pytest.param("_exit", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["plain", "stubborn", "daemon"])
def test_what_a_task_has_started_goes_with_its_worker(
    one: Pool, tmp_path: Path, wait_until: WaitUntil, kind: str, how: str
) -> None:
    path = str(tmp_path / "pids")

    def start_and_die() -> None:
        tasks.start_processes(path, kind, 0)
        tasks.die(how)

    with pytest.raises(WorkerDied):
        one.apply(start_and_die)
    child = int(tasks.marks(path)[0])
    try:
        wait_until(lambda: not is_alive(child))
    finally:
        if is_alive(child):
            os.kill(child, signal.SIGKILL)


# Stopped by a signal


@pytest.mark.parametrize("context", ["forkserver", "fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_stopped_worker_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch, context: str) -> None:
    import multiprocessing

    monkeypatch.setattr(process_lanes, "STOPPED_FOR", 0.3)
    with Pool(1, context=multiprocessing.get_context(context)) as pool:
        result = pool.apply_async(tasks.stop_myself)
        waiting = pool.apply_async(tasks.same, (2,))
        error = outcome_of(result)
        assert isinstance(error, WorkerDied)
        assert "stopped" in str(error)
        assert waiting.get(SOON) == 2


@pytest.mark.slow
def test_a_stopped_worker_that_somebody_continues_goes_on(
    one: Pool, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(process_lanes, "STOPPED_FOR", 1.0)
    worker = one.apply(tasks.pid)
    result = one.apply_async(tasks.stop_myself, (1.2,))
    wait_until(lambda: psutil.Process(worker).status() == psutil.STATUS_STOPPED)
    os.kill(worker, signal.SIGCONT)
    assert result.get(SOON) == "continued"


def test_an_idle_worker_that_is_stopped_costs_no_task(
    one: Pool, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(process_lanes, "STOPPED_FOR", 0.5)
    worker = one.apply(tasks.pid)
    os.kill(worker, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(worker).status() == psutil.STATUS_STOPPED)
    assert one.apply_async(tasks.same, (1,)).get(SOON) == 1
    assert one.apply(tasks.pid) != worker


def test_a_stopped_worker_past_its_deadline_is_past_it_like_any_other(one: Pool) -> None:
    from allcores import TaskTimeout

    with pytest.raises(TaskTimeout):
        one.apply(tasks.stop_myself, timeout=0.4)
    assert one.apply(tasks.same, (1,)) == 1


# What tasks do to their own worker


def test_a_task_that_forks_and_whose_child_comes_back_counts_once(one: Pool) -> None:
    assert [one.apply(tasks.fork_a_child_that_comes_back, (x,)) for x in range(3)] == [0, 1, 2]
    assert one.map(tasks.fork_a_child_that_comes_back, range(5), chunksize=5) == list(range(5))
    assert one.map(tasks.same, range(5)) == list(range(5))


def test_a_task_that_closes_every_descriptor_costs_its_worker_only(
    one: Pool, capfd: pytest.CaptureFixture[str]
) -> None:
    def close_all() -> None:
        os.closerange(3, 256)

    outcome = outcome_of(one.apply_async(close_all))
    assert outcome is None or isinstance(outcome, WorkerDied)  # what it returned may have been handed over before
    assert one.apply_async(tasks.same, (1,)).get(SOON) == 1


def test_a_task_that_leaves_a_thread_behind_does_not_keep_the_pool(one: Pool) -> None:
    def start_thread() -> str:
        threading.Thread(target=time.sleep, args=(0.3,)).start()
        return "done"

    assert one.apply(start_thread) == "done"
    one.close()
    one.join()


def test_a_recursion_without_end_is_an_error_of_its_task(one: Pool) -> None:
    def recurse(n: int) -> int:
        return recurse(n + 1)

    with pytest.raises(RecursionError):
        one.apply(recurse, (0,))
    assert one.apply(tasks.same, (1,)) == 1


# For want of memory, for real


def test_an_allocation_that_the_kernel_refuses_is_an_error_of_its_task() -> None:
    with Pool(1, tasks.limit_address_space, (1 << 30,)) as pool:
        with pytest.raises(MemoryError):
            pool.apply(tasks.eat, (2 << 30, 0))
        worker = pool.apply(tasks.pid)
        assert pool.apply(tasks.eat, (1 << 20, 0)) == 1 << 20
        assert pool.apply(tasks.pid) == worker


def test_a_result_for_which_there_is_no_memory_is_an_error_of_its_task() -> None:
    def make(size: int) -> str:
        return "x" * size  # its pickle is as long again

    with Pool(1, tasks.limit_address_space, (700 << 20,)) as pool:
        outcome = outcome_of(pool.apply_async(make, (400 << 20,)))
        assert isinstance(outcome, Exception)
        assert pool.apply(tasks.same, (1,)) == 1


def test_a_task_over_the_memory_limit_gets_its_own_error() -> None:
    with Pool(2, memory_limit="150MB") as pool:
        good = pool.apply_async(tasks.nap, (1.0, "good"))
        with pytest.raises(MemoryLimitExceeded) as caught:
            pool.apply(tasks.eat, (250 * 2**20,))
        error = caught.value
        assert isinstance(error, WorkerDied)
        assert error.task == "eat(262144000)"
        assert error.peak_memory is not None
        assert error.peak_memory > 150_000_000
        assert "150,000,000" in str(error)
        assert good.get(SOON) == "good"
        assert pool.map(tasks.same, range(10)) == list(range(10))


def test_sends_of_large_arguments_to_a_worker_that_dies_do_not_block(one: Pool) -> None:
    results = [one.apply_async(tasks.work_or_die, ("/dev/null", 1, (1,), "_exit", "int"))]
    results += [one.apply_async(len, (bytes(3_000_000),)) for _ in range(10)]
    outcomes = [outcome_of(result) for result in results]
    assert isinstance(outcomes[0], WorkerDied)
    assert outcomes[1:] == [3_000_000] * 10


def test_a_worker_killed_in_the_middle_of_a_large_result(processes: Pool, tmp_path: Path) -> None:
    """Part of a frame is no result, and what follows it on another worker is."""

    def make(size: int) -> bytes:
        # Nobody can tell when the kernel has taken half of it: a thread ends the process at about that time.
        threading.Timer(0.05, os._exit, (3,)).start()
        time.sleep(0.045)
        return bytes(size)

    for _ in range(5):
        outcome = outcome_of(processes.apply_async(make, (30_000_000,)))
        assert isinstance(outcome, WorkerDied) or outcome == bytes(30_000_000)
    assert processes.map(tasks.same, range(50)) == list(range(50))


def test_a_worker_that_breaks_off_at_the_limit_and_dies_does_not_claim_what_others_run(tmp_path: Path) -> None:
    """A worker claims a task, sees that it was taken back, and dies before it has said so."""
    path, armed = str(tmp_path / "begun"), str(tmp_path / "armed")

    def arm_output() -> None:
        class DiesAtFlush:
            def write(self, text: str) -> int:
                return len(text)

            def flush(self) -> None:
                if os.path.exists(armed):
                    os.unlink(armed)
                    os._exit(5)

        sys.stdout = DiesAtFlush()  # type: ignore[assignment]

    def work(x: int) -> int:
        tasks.mark(path, x)
        if x == 2:
            time.sleep(0.8)
            tasks.mark(armed, "")
        return x

    with Pool(2, arm_output) as pool:
        pool.map(tasks.nap, [0.1, 0.1])  # both workers have started
        outcomes = pool.map(work, range(12), chunksize=6, return_exceptions=True)
    assert outcomes == list(range(12))
    assert Counter(map(int, tasks.marks(path))) == Counter(range(12))
    assert not os.path.exists(armed), "nobody has died: the test shows nothing"


def test_a_death_leaves_no_file_and_no_shared_memory(one: Pool) -> None:
    before = set(os.listdir("/dev/shm")), set(os.listdir("/tmp"))
    for _ in range(3):
        with pytest.raises(WorkerDied):
            one.apply(tasks.die, ("SIGKILL",))
    left = set(os.listdir("/dev/shm")) - before[0], set(os.listdir("/tmp")) - before[1]
    ours = {name for names in left for name in names if "allcores" in name or "pymp" in name}
    assert not ours


def test_a_death_in_a_program_that_reaps_every_child(tmp_path: Path) -> None:
    """`signal(SIGCHLD, SIG_IGN)` takes every exit code away; nobody waits for ever for one."""
    script = tmp_path / "program.py"
    script.write_text(
        "import multiprocessing, os, signal, sys\n"
        "from allcores import Pool, WorkerDied\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "for method in ('forkserver', 'fork', 'spawn'):\n"
        "    with Pool(1, context=multiprocessing.get_context(method)) as pool:\n"
        "        try:\n"
        "            pool.apply_async(os._exit, (3,)).get(10)\n"
        "        except WorkerDied:\n"
        "            print(method, pool.apply_async(abs, (-1,)).get(10))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.split() == ["forkserver", "1", "fork", "1", "spawn", "1"], done.stderr
