"""Locks and the like whose holders, waiters and parties are killed; the processes are multiprocessing's, forked."""

import multiprocessing
import os
import signal
import threading
import time
import warnings

from bench.failures.cases.base import Cases

# Long enough for a process to be asleep in what it waits for.
ASLEEP_S = 0.5

CASES = Cases()
case = CASES.add


def start(work, *arguments):
    """A process beside this one."""
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def kill(process):
    """Kill a process that is asleep in what it does."""
    time.sleep(ASLEEP_S)
    process.kill()
    process.join()


def die():
    """End this process with SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)


def acquire_and_die(lock):
    """Hold a lock to the end."""
    lock.acquire()
    die()


def enter_and_die(semaphore):
    """Hold a permit to the end."""
    with semaphore:
        die()


def sleep_in(condition, woken=None):
    """Wait for a notification; tell that it came."""
    with condition:
        condition.wait()
    if woken:
        woken.release()


@case(
    "holder",
    "a process is killed that holds a `Lock`, and another acquires it",
    "test_the_next_acquirer_gets_a_dead_holders_lock",
)
def holder(library, folder):
    """The next one gets it, and can see that it was recovered."""
    lock = library.locks().Lock()
    start(acquire_and_die, lock).join()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        is_got = lock.acquire()
    return is_got and getattr(lock, "recovered", False), f"acquired, {len(told)} warning"


@case(
    "permit",
    "a process is killed in a `with` block of a `Semaphore(1)`, and another acquires it",
    "test_a_block_gives_its_permit_back_when_the_process_dies_in_it",
)
def permit(library, folder):
    """The permit comes back."""
    semaphore = library.locks().Semaphore(1)
    start(enter_and_die, semaphore).join()
    return semaphore.acquire(), "acquired"


@case(
    "notify",
    "`Condition.notify_all()` after one of two waiters was killed",
    "test_notify_all_does_not_wait_for_the_dead",
)
def notify(library, folder):
    """It returns, and the other one is woken."""
    condition, woken = library.locks().Condition(), multiprocessing.Semaphore(0)
    victim = start(sleep_in, condition)
    start(sleep_in, condition, woken)
    kill(victim)
    with condition:
        condition.notify_all()
    return woken.acquire(), "the other is woken"


@case(
    "party",
    "one of the three parties of a `Barrier` is killed while it waits; the two others wait",
    "test_a_party_that_dies_while_it_waits_breaks_the_barrier",
)
def party(library, folder):
    """The others hear of it."""
    barrier = library.locks().Barrier(3)
    heard = []

    def wait():
        try:
            barrier.wait()
            heard.append("passed")
        except threading.BrokenBarrierError as error:
            heard.append(type(error).__name__)

    kill(start(barrier.wait))
    others = [threading.Thread(target=wait) for _ in range(2)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join()
    return heard == ["BrokenBarrierError"] * 2, " and ".join(heard)


@case(
    "setting",
    "`Event.set()` after a process was killed that waited for it",
    "test_setting_does_not_wait_for_the_dead_and_their_places_are_used_again",
)
def setting(library, folder):
    """It returns."""
    event = library.locks().Event()
    kill(start(event.wait))
    event.set()
    return event.is_set(), "set"


@case(
    "handler",
    "`Event.set()` by a signal handler during `wait()`",
    "test_a_signal_handler_may_set_an_event_whatever_its_thread_does_with_it",
)
def handler(library, folder):
    """The waiter goes on."""
    event = library.locks().Event()
    signal.signal(signal.SIGALRM, lambda *_: event.set())
    signal.setitimer(signal.ITIMER_REAL, ASLEEP_S)
    return event.wait(), "woken"
