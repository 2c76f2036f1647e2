"""Pools that lose a worker, are given what they cannot carry, are interrupted, or flooded."""

import itertools
import os
import signal
import threading
import time

from bench.failures import tasks
from bench.failures.cases.base import ENDS, INTERRUPTED, KILLED, Cases

CASES = Cases()
case = CASES.add


def outcome(library, handle):
    """A value, or the exception."""
    try:
        return library.get(handle)
    except BaseException as error:
        return error


def count(outcomes):
    """In words: so many results, and so many errors of each kind."""
    kinds = {}
    for value in outcomes:
        kind = type(value).__name__ if isinstance(value, BaseException) else "results"
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))


def goes_on(library):
    """Whether the pool still works."""
    try:
        return library.get(library.submit(tasks.same, 1)) == 1
    except Exception:
        return False


def verdict(library, right, text):
    """An outcome, and whether there is still a pool after it."""
    alive = goes_on(library)
    return right and alive, text if alive else f"{text}; pool is dead"


def family():
    """Every process that descends from this one."""
    import psutil

    return psutil.Process().children(recursive=True)


def workers(library):
    """The process ids of the workers."""
    return {library.get(handle) for handle in [library.submit(tasks.pid) for _ in range(8)]}


@case("killed", "a worker is killed in a `map` of 20", "test_a_worker_is_killed_and_map_waits_for_ever")
def killed(library, folder):
    """A map has to return or raise."""
    library.open()
    try:
        return False, f"{len(library.map(tasks.die_on_3, range(20)))} results"
    except Exception as error:
        return True, type(error).__name__


@case("others", "a worker is killed: the other 19 tasks, and one more", "test_one_dead_worker_destroys_the_executor")
def others(library, folder):
    """It costs its own task only."""
    library.open()
    handles = [library.submit(tasks.die_on, x, 3) for x in range(20)]
    outcomes = [outcome(library, handle) for handle in handles]
    lost = sum(isinstance(value, BaseException) for value in outcomes)
    return verdict(library, lost == 1, count(outcomes))


@case(
    "idle",
    "each idle worker in turn is killed, then a `map` of 20",
    "test_an_idle_worker_that_is_killed_costs_nothing",
)
def idle(library, folder):
    """It costs nothing."""
    library.open()
    for worker in sorted(workers(library)):
        try:
            os.kill(worker, signal.SIGKILL)
        except ProcessLookupError:
            continue  # the pool has ended it by itself
        time.sleep(0.5)
        try:
            library.map(tasks.same, range(20))
        except Exception as error:
            return False, type(error).__name__
    return True, "20 results each time"


@case("stopped", "a worker is stopped by a signal", "test_a_stopped_worker_is_not_waited_for_for_ever")
def stopped(library, folder):
    """Nobody waits for ever."""
    library.open()
    outcomes = [outcome(library, handle) for handle in [library.submit(tasks.stop_on_3, x) for x in range(10)]]
    lost = sum(isinstance(value, BaseException) for value in outcomes)
    return lost == 1, count(outcomes)


@case("exception", "an exception that cannot be unpickled", "test_an_exception_that_cannot_be_unpickled")
def exception(library, folder):
    """The caller gets it, or a stand-in that names it."""
    library.open()
    error = outcome(library, library.submit(tasks.raise_two_arguments))
    return verdict(library, "TwoArguments" in f"{type(error)} {error}", type(error).__name__)


@case("argument", "an argument that cannot be pickled", "test_an_argument_or_a_result_that_cannot_be_pickled")
def argument(library, folder):
    """An error of that task."""
    library.open()
    try:
        error = outcome(library, library.submit(tasks.same, threading.Lock()))
    except Exception as raised:
        error = raised
    return verdict(library, isinstance(error, Exception), type(error).__name__)


@case("result", "a result that cannot be pickled", "test_an_argument_or_a_result_that_cannot_be_pickled")
def result(library, folder):
    """An error of that task."""
    library.open()
    error = outcome(library, library.submit(tasks.return_lock))
    return verdict(library, isinstance(error, Exception), type(error).__name__)


@case("exit", "`sys.exit()` in a task", "test_sys_exit_in_a_task")
def leave(library, folder):
    """The caller gets it."""
    library.open()
    error = outcome(library, library.submit(tasks.leave))
    return verdict(library, isinstance(error, SystemExit), type(error).__name__)


@case("callback", "a callback raises", "test_a_callback_raises_and_every_get_hangs")
def callback(library, folder):
    """Nothing else changes."""
    library.open()

    def fail(_):
        raise RuntimeError("from the callback")

    values = [library.get(library.submit(tasks.same, x, callback=fail if x == 0 else None)) for x in range(10)]
    return values == list(range(10)), "10 results"


@case("initializer", "an initializer that always raises", "test_an_initializer_that_raises_is_tried_for_ever")
def initializer(library, folder):
    """A few tries, then the reason."""
    path = os.path.join(folder, "starts")
    try:
        library.open(tasks.count_start, (path,))
        error = outcome(library, library.submit(tasks.same, 1))
    except Exception as raised:
        error = raised
    return isinstance(error, Exception), f"{type(error).__name__} after {os.path.getsize(path)} starts"


@case(
    "threads",
    "workers are made while a thread holds a lock that a task needs",
    "test_fork_in_a_program_with_threads_inherits_locked_locks",
)
def threads(library, folder):
    """The task finds it free."""
    with tasks.lock:
        library.open()
        return library.get(library.submit(tasks.take_lock)), "result"


@case("ctrl-c", "Ctrl-C in a `map` of long tasks", "test_ctrl_c_is_a_wall_of_tracebacks_then_a_hang", INTERRUPTED)
def ctrl_c(library, folder):
    """Interrupt this program's process group, as a terminal does."""
    library.open()
    library.map(tasks.nap, [0.1] * 4)
    note_family(folder)
    threading.Timer(0.5, os.killpg, (0, signal.SIGINT)).start()
    library.map(tasks.nap, [60] * 4)


@case("parent", "the program is killed while workers compute", "test_the_parent_is_killed_and_workers_live_on", KILLED)
def parent(library, folder):
    """Kill this program."""
    library.open()
    for _ in range(2):
        library.submit(tasks.nap, 60)
    time.sleep(1.0)
    note_family(folder)
    os.kill(os.getpid(), signal.SIGKILL)


@case(
    "end",
    "the program ends with a task running and the pool not closed",
    "test_a_pool_is_dropped_without_close_or_alive_at_the_end",
    ENDS,
)
def end(library, folder):
    """Return from the main module."""
    library.open()
    library.submit(tasks.nap, 60)
    time.sleep(0.5)
    note_family(folder)


def note_family(folder):
    """Write down which processes must be gone later."""
    with open(os.path.join(folder, "family"), "w") as file:
        file.write(" ".join(str(process.pid) for process in family()))


@case("recycling", "200 tasks, each worker replaced after one", "test_recycling_workers_after_n_tasks_deadlocks")
def recycling(library, folder):
    """All results."""
    library.open(lifetime=1)
    return library.map(tasks.same, range(200)) == list(range(200)), "200 results"


@case(
    "waiters",
    "the pool is ended while a thread waits for a result",
    "test_a_shutdown_that_cancels_leaves_nobody_waiting",
)
def waiters(library, folder):
    """The thread hears of it."""
    library.open()
    handles = [library.submit(tasks.nap, 2) for _ in range(8)]
    heard = []
    waiting = [threading.Thread(target=lambda h=h: heard.append(outcome(library, h)), daemon=True) for h in handles]
    for thread in waiting:
        thread.start()
    time.sleep(0.5)
    library.stop()
    for thread in waiting:
        thread.join()
    return len(heard) == 8, count(heard)


@case("many", "20,000 tasks are submitted behind a busy worker", "test_submitting_very_many_tasks_fills_a_pipe")
def many(library, folder):
    """All results."""
    library.open()
    for _ in range(2):
        library.submit(tasks.nap, 1)
    handles = [library.submit(tasks.same, x) for x in range(20_000)]
    return [library.get(handle) for handle in handles] == list(range(20_000)), "20,000 results"


@case("join", "join with large items queued both ways", "test_a_queued_item_over_64_kb_and_a_parent_in_join")
def join(library, folder):
    """It returns, and the results are there."""
    library.open()
    handles = [library.submit(tasks.same, bytes(1 << 20)) for _ in range(20)]
    library.end()
    values = [outcome(library, handle) for handle in handles]
    return all(value == bytes(1 << 20) for value in values), count(values)


@case("input", "the first of an endless input: items drawn after 2 s", "test_the_whole_input_is_swallowed")
def endless(library, folder):
    """A bounded number."""
    library.open()
    drawn = itertools.count()
    last = [0]

    def items():
        for number in drawn:
            last[0] = number
            yield number

    found = []

    def fetch():
        found.append(next(iter(library.stream(tasks.same, items()))))

    threading.Thread(target=fetch, daemon=True).start()
    time.sleep(2.0)
    number = last[0] + 1
    text = f"{number:,} drawn" + ("" if found else ", no result")
    return bool(found) and number < 2000, text


@case(
    "slow",
    "a consumer that fetches one result of 1 MB of 2,000: tasks run after 3 s",
    "test_results_pile_up_when_the_consumer_is_slow",
)
def slow(library, folder):
    """A bounded number."""
    library.open()
    path = os.path.join(folder, "runs")
    iterator = iter(library.stream(tasks.megabyte, iter([path] * 2000)))
    next(iterator)
    time.sleep(3.0)
    runs = os.path.getsize(path)
    return runs < 200, f"{runs:,} run"


@case(
    "shm",
    "a worker is killed amid large tasks: names left in /dev/shm and /tmp",
    "test_dev_shm_is_full_and_files_are_left_after_a_kill",
)
def names_left(library, folder):
    """None."""
    before = {*os.listdir("/dev/shm"), *os.listdir("/tmp")}
    library.open()
    for _ in range(4):
        library.submit(tasks.same, bytes(3_000_000))
    library.submit(tasks.nap, 60)
    time.sleep(1.0)
    for process in family():
        try:
            process.kill()
        except Exception:
            continue
    time.sleep(0.5)
    left = {*os.listdir("/dev/shm"), *os.listdir("/tmp")} - before
    left = {name for name in left if name.startswith(("pym", "psm", "loky", "sem", "allcores", "mpire"))}
    return not left, f"{len(left)} left"


@case("timeout", "a task over its time limit of 1 s, others behind it", "test_a_map_hands_back_timeouts_in_place")
def timeout(library, folder):
    """That task is ended, and no other."""
    library.open()
    handles = [library.submit(tasks.nap, 60 if x == 3 else 0, timeout=1) for x in range(10)]
    outcomes = [outcome(library, handle) for handle in handles]
    lost = sum(isinstance(value, BaseException) for value in outcomes)
    return lost == 1, count(outcomes)


@case("retries", "a task that works the third time", "test_a_task_is_tried_until_it_works")
def retries(library, folder):
    """It is tried again."""
    library.open()
    return library.get(library.submit(tasks.fail_twice, os.path.join(folder, "calls"), retries=2)), "result"
