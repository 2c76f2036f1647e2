"""`Semaphore` and `BoundedSemaphore`: the standard's semantics, and what becomes of the permits of the dead."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from typing import Any

import pytest

import allcores
from allcores import BoundedSemaphore, Semaphore
from conftest import wait_until
from sync_agents import SOON, Struck, agents, in_thread, signal_at, strike
from test_locks import outcome

pytestmark = [pytest.mark.timeout(40), pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")]

BOTH = pytest.mark.parametrize("make", [Semaphore, BoundedSemaphore])


@pytest.mark.parametrize("name", ["Semaphore", "BoundedSemaphore"])
def test_one_process_sees_what_the_standard_librarys_semaphore_shows_it(name: str) -> None:
    def history(semaphore: Any) -> list[Any]:
        return [
            semaphore.get_value(),
            repr(semaphore),
            semaphore.acquire(),
            semaphore.acquire(False),
            semaphore.acquire(True, 0),
            semaphore.acquire(timeout=0.01),
            semaphore.get_value(),
            semaphore.release(),
            in_thread(semaphore.release),
            outcome(semaphore.release),
            semaphore.get_value(),
            semaphore.__enter__(),
            semaphore.get_value(),
            semaphore.__exit__(None, None, None),
            semaphore.get_value(),
            repr(semaphore),
        ]

    assert history(getattr(allcores, name)(2)) == history(getattr(multiprocessing, name)(2))


def test_the_default_is_one_permit_and_none_is_allowed() -> None:
    assert Semaphore().get_value() == BoundedSemaphore().get_value() == 1
    empty = Semaphore(0)
    assert not empty.acquire(False)
    empty.release()
    assert empty.acquire(False)
    with pytest.raises(ValueError, match="released too many times"):
        BoundedSemaphore(0).release()


@BOTH
@pytest.mark.parametrize(
    ("wrong", "error"), [(-1, ValueError), (1 << 40, ValueError), ("1", TypeError), (1.0, TypeError)]
)
def test_a_wrong_number_of_permits_is_an_error_that_names_it(make: Any, wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="value"):
        make(wrong)


@BOTH
def test_permits_are_taken_and_given_by_any_process(make: Any) -> None:
    semaphore = make(2)
    with agents(3, semaphore=semaphore) as (one, two, three):
        assert one.ask("semaphore.acquire")
        assert two.ask("semaphore.acquire")
        assert not three.ask("semaphore.acquire", False)
        three.tell("semaphore.acquire")
        semaphore.release()
        assert three.answer() is True
        assert two.ask("semaphore.get_value") == 0


def test_each_release_wakes_one_that_waits() -> None:
    semaphore = Semaphore(0)
    with agents(4, semaphore=semaphore) as waiting:
        for agent in waiting:
            agent.tell("semaphore.acquire")
        time.sleep(0.05)
        for number in range(1, 5):
            semaphore.release()
            give_up = time.monotonic() + SOON
            while sum(agent.has_answered() for agent in waiting) < number:
                assert time.monotonic() < give_up
                time.sleep(0.001)
        assert semaphore.get_value() == 0


def test_many_releases_at_once_wake_as_many() -> None:
    semaphore = Semaphore(0)
    with agents(4, semaphore=semaphore) as waiting:
        for agent in waiting:
            agent.tell("semaphore.acquire")
        time.sleep(0.05)
        for _ in range(4):
            semaphore.release()
        assert [agent.answer() for agent in waiting] == [True] * 4


def test_a_signal_handler_may_release_what_its_thread_waits_for() -> None:
    semaphore = Semaphore(0)
    before = signal.signal(signal.SIGALRM, lambda *_: semaphore.release())
    try:
        for _ in range(5):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            assert semaphore.acquire(timeout=SOON)
    finally:
        signal.signal(signal.SIGALRM, before)


@BOTH
def test_an_interrupt_at_the_end_of_entering_gives_the_permit_back(make: Any) -> None:
    semaphore = make(2)
    with semaphore:
        pass
    with signal_at("c_return", "append", strike), pytest.raises(Struck), semaphore:
        pass
    assert semaphore.get_value() == 2


@BOTH
def test_an_interrupt_while_a_waiter_is_woken_leaves_no_permit_uncertain(make: Any) -> None:
    semaphore = make(1)
    with agents(1, semaphore=semaphore) as (other,):
        keeper = semaphore._core.keeper
        semaphore.__enter__()
        other.tell("semaphore.__enter__")
        wait_until(lambda: keeper.slab.words[keeper.flags])  # it waits
        with signal_at("call", "see_to_flags", strike), pytest.raises(Struck):
            semaphore.__exit__(None, None, None)
        assert other.answer() is True
        assert keeper.slab.claims(keeper.trying) == []
        assert len(keeper.slab.claims(keeper.permit)) == 1


# The dead


@BOTH
@pytest.mark.parametrize("also_mixed", [False, True])
def test_a_block_gives_its_permit_back_when_the_process_dies_in_it(make: Any, also_mixed: bool) -> None:
    semaphore = make(2)
    with agents(3, semaphore=semaphore) as (one, two, other):
        if also_mixed:
            assert other.ask("semaphore.acquire")
            other.ask("semaphore.release")
        one.ask("semaphore.__enter__")
        two.ask("semaphore.__enter__")
        assert semaphore.get_value() == 0
        one.kill()
        two.kill(reap=False)
        time.sleep(0.01)
        assert semaphore.get_value() == 2
        with semaphore, semaphore:
            assert not other.ask("semaphore.acquire", False)
        assert semaphore.get_value() == 2


@BOTH
def test_who_waits_already_gets_the_permit_of_the_dead(make: Any) -> None:
    semaphore = make(1)
    with agents(2, semaphore=semaphore) as (holder, waiting):
        holder.ask("semaphore.__enter__")
        waiting.tell("semaphore.__enter__")
        time.sleep(0.05)
        holder.kill()
        assert waiting.answer() is True


@BOTH
def test_a_permit_that_was_acquired_stays_taken_as_a_semaphore_has_no_owner(make: Any) -> None:
    semaphore = make(2)
    with agents(2, semaphore=semaphore) as (one, two):
        one.ask("semaphore.acquire")
        two.ask("semaphore.__enter__")
        one.kill()
        two.kill()
        time.sleep(0.01)
        assert semaphore.get_value() == 1
        semaphore.release()
        assert semaphore.get_value() == 2


def test_several_permits_of_one_process_are_given_back_each_once() -> None:
    semaphore = Semaphore(5)
    with agents(2, semaphore=semaphore) as (one, two):
        for _ in range(3):
            one.ask("semaphore.__enter__")
        two.ask("semaphore.__enter__")
        one.ask("semaphore.__exit__", None, None, None)
        one.kill()
        time.sleep(0.01)
        assert semaphore.get_value() == 4
        assert semaphore.get_value() == 4
        two.ask("semaphore.__exit__", None, None, None)
        assert semaphore.get_value() == 5


def test_a_waiter_that_dies_takes_nothing_along() -> None:
    semaphore = Semaphore(0)
    with agents(3, semaphore=semaphore) as (killed, stopped, waiting):
        for agent in (killed, stopped, waiting):
            agent.tell("semaphore.__enter__")
        time.sleep(0.05)
        killed.kill()
        os.kill(stopped.pid, signal.SIGSTOP)
        semaphore.release()
        assert waiting.answer() is True


def test_a_fork_within_a_block_leaves_it_as_the_standard_librarys_does() -> None:
    """Parent and child both leave the block, so one more permit is given than was taken."""

    def forked(semaphore: Any) -> int:
        with semaphore:
            pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        value: int = semaphore.get_value()
        return value

    assert forked(Semaphore(3)) == forked(multiprocessing.Semaphore(3)) == 4


def test_threads_of_one_process_share_a_semaphore() -> None:
    semaphore, inside, most = Semaphore(3), 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with semaphore:
                with guard:
                    inside += 1
                    most = max(most, inside)
                with guard:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert (inside, semaphore.get_value()) == (0, 3)
    assert most <= 3
