"""`Condition` and `Event`: the standard's semantics, sleepers that die, and signal handlers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from typing import Any

import pytest

from allcores import Condition, Event, Lock, LockRecovered, RLock
from sync_agents import SOON, Agent, agents, in_thread

pytestmark = [pytest.mark.timeout(40), pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")]

LOCKS = {
    "default": lambda: None,
    "Lock": Lock,
    "RLock": RLock,
    "standard Lock": multiprocessing.Lock,
    "standard RLock": multiprocessing.RLock,
}


class Sleeping:
    """What agents do with a condition: more than one call at a time."""

    def __init__(self, condition: Any) -> None:
        self.condition = condition

    def wait(self, timeout: float | None = None) -> bool:
        with self.condition:
            return bool(self.condition.wait(timeout))

    def notify(self, n: int = 1) -> None:
        with self.condition:
            self.condition.notify(n)


def sleepers(condition: Any) -> int:
    """How many sleep; as its text says."""
    return int(repr(condition).rpartition(", ")[2].rstrip(")>"))


def wait_for_sleepers(condition: Any, number: int) -> None:
    give_up = time.monotonic() + SOON
    while sleepers(condition) != number:
        assert time.monotonic() < give_up, condition
        time.sleep(0.001)


def fall_asleep(sleeping: list[Agent], condition: Any) -> None:
    """Let agents wait, in this order."""
    for number, agent in enumerate(sleeping, sleepers(condition) + 1):
        agent.tell("sleeping.wait")
        wait_for_sleepers(condition, number)


@pytest.mark.parametrize("kind", list(LOCKS))
def test_the_longest_sleepers_are_woken_first_and_no_more_than_asked_for(kind: str) -> None:
    condition = Condition(LOCKS[kind]())
    with agents(5, sleeping=Sleeping(condition)) as sleeping:
        fall_asleep(sleeping, condition)
        with condition:
            condition.notify()
        assert sleeping[0].answer() is True
        with condition:
            condition.notify(2)
        assert [agent.answer() for agent in sleeping[1:3]] == [True, True]
        assert sleepers(condition) == 2
        with condition:
            condition.notify_all()
        assert [agent.answer() for agent in sleeping[3:]] == [True, True]
        with condition:
            condition.notify(7)
            condition.notify_all()
        assert sleepers(condition) == 0


@pytest.mark.parametrize("lock", [None, threading.Lock(), threading.RLock()])
def test_threads_of_one_process(lock: Any) -> None:
    condition = Condition(lock)
    found: list[int] = []
    threads = []
    for number in range(3):

        def sleep(number: int = number) -> None:
            with condition:
                assert condition.wait(SOON)
                found.append(number)

        threads.append(threading.Thread(target=sleep))
        threads[-1].start()
        wait_for_sleepers(condition, number + 1)
    for _ in range(3):
        before = len(found)
        with condition:
            condition.notify()
        give_up = time.monotonic() + SOON
        while len(found) == before:
            assert time.monotonic() < give_up
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert found == [0, 1, 2]


@pytest.mark.parametrize("kind", list(LOCKS))
def test_without_the_lock_nothing_goes(kind: str) -> None:
    condition = Condition(LOCKS[kind]())
    for call in (condition.wait, condition.notify, condition.notify_all):
        with pytest.raises(AssertionError):
            call()
    with condition, pytest.raises(AssertionError):
        in_thread(condition.notify)


def test_a_time_limit_ends_sleep_with_the_lock_held_again() -> None:
    condition = Condition()
    with condition:
        assert condition.wait(0.02) is False
        assert condition.wait(0) is False
        assert condition.wait(-1) is False
        assert in_thread(condition.acquire, False) is False
        assert sleepers(condition) == 0
    assert in_thread(condition.acquire, False) is True


def test_a_lock_that_was_acquired_repeatedly_is_released_whole_and_acquired_as_often() -> None:
    condition = Condition()
    with agents(1, sleeping=Sleeping(condition)) as (other,):
        with condition, condition, condition:
            other.tell("sleeping.notify")
            assert condition.wait(SOON)
            other.answer()
            assert condition._lock._count() == 3  # type: ignore[attr-defined]
        assert other.ask("sleeping.notify") is None


def test_wait_for_returns_what_the_predicate_returns() -> None:
    condition = Condition()
    values = iter([0, "", None, "now"])
    with agents(1, sleeping=Sleeping(condition)) as (other,), condition:

        def predicate() -> Any:
            other.tell("sleeping.notify")
            return next(values)

        assert condition.wait_for(predicate, SOON) == "now"
    with condition:
        assert condition.wait_for(lambda: "at once") == "at once"
        assert condition.wait_for(lambda: 0, 0.02) == 0


def test_a_sleeper_that_was_killed_is_passed_over() -> None:
    condition = Condition()
    with agents(4, sleeping=Sleeping(condition)) as (first, second, third, fourth):
        fall_asleep([first, second, third, fourth], condition)
        first.kill()
        third.kill(reap=False)
        with condition:
            condition.notify()
        assert second.answer() is True
        with condition:
            condition.notify()
        assert fourth.answer() is True


def test_notify_all_does_not_wait_for_the_dead() -> None:
    condition = Condition()
    with agents(3, sleeping=Sleeping(condition)) as (first, second, third):
        fall_asleep([first, second, third], condition)
        second.kill()
        with condition:
            in_thread(lambda: None)
            condition.notify_all()
            condition.notify_all()
        assert first.answer() is third.answer() is True


def test_a_condition_whose_holder_dies_is_recovered() -> None:
    condition = Condition()
    with agents(2, condition=condition, sleeping=Sleeping(condition)) as (holder, sleeper):
        fall_asleep([sleeper], condition)
        holder.ask("condition.acquire")
        holder.kill()
        with pytest.warns(LockRecovered):
            condition.acquire()
        assert condition.recovered
        condition.notify()
        condition.release()
        assert not condition.recovered
        assert sleeper.answer() is True


def test_a_sleeper_recovers_the_lock_from_a_notifier_that_dies() -> None:
    condition = Condition()
    with agents(2, condition=condition, sleeping=Sleeping(condition)) as (notifier, sleeper):
        fall_asleep([sleeper], condition)
        notifier.ask("condition.acquire")
        notifier.ask("condition.notify")
        notifier.kill()
        assert sleeper.answer() is True


def test_ctrl_c_ends_sleep_with_the_lock_held() -> None:
    condition = Condition()
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    with condition:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            condition.wait()
        assert in_thread(condition.acquire, False) is False
        assert sleepers(condition) == 0
    timer.join()


# Events


def test_an_event_is_set_cleared_and_waited_for() -> None:
    event = Event()
    assert (event.is_set(), event.wait(0), event.wait(0.01)) == (False, False, False)
    assert event.set() is None  # type: ignore[func-returns-value]
    assert (event.is_set(), event.wait(), event.wait(0)) == (True, True, True)
    assert event.clear() is None  # type: ignore[func-returns-value]
    assert not event.is_set()


def test_setting_wakes_all_who_wait_also_when_it_is_cleared_at_once() -> None:
    event = Event()
    with agents(3, event=event) as waiting:
        for _ in range(3):
            for agent in waiting:
                agent.tell("event.wait")
            time.sleep(0.05)
            assert not any(agent.has_answered() for agent in waiting)
            event.set()
            event.clear()
            assert [agent.answer() for agent in waiting] == [True] * 3


def test_setting_does_not_wait_for_the_dead_and_their_places_are_used_again() -> None:
    event = Event()
    for _ in range(3):
        with agents(3, event=event) as (killed, stopped, waiting):
            for agent in (killed, stopped, waiting):
                agent.tell("event.wait")
            time.sleep(0.03)
            killed.kill()
            os.kill(stopped.pid, signal.SIGSTOP)
            in_thread(event.set)
            assert waiting.answer() is True
        event.clear()


@pytest.mark.parametrize("busy_with", ["wait", "set", "is_set", "clear"])
def test_a_signal_handler_may_set_an_event_whatever_its_thread_does_with_it(busy_with: str) -> None:
    """With the standard library's event this is a deadlock."""
    event = Event()
    rings = 0

    def handler(*_: object) -> None:
        nonlocal rings
        rings += 1
        event.set()

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
        give_up = time.monotonic() + SOON
        while rings < 100:
            assert time.monotonic() < give_up
            if busy_with == "wait":
                assert event.wait(SOON)
                event.clear()
            else:
                for _ in range(100):
                    getattr(event, busy_with)()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    event.set()
    assert event.wait(0)
