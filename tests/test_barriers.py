"""`Barrier`: the standard's semantics, and parties that die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from threading import BrokenBarrierError
from typing import Any

import pytest

import allcores
from allcores import Barrier, Pool
from sync_agents import SOON, Agent, agents, in_thread

pytestmark = [pytest.mark.timeout(40), pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")]

Wait = Callable[..., None]


def arrive(parties: list[Agent], barrier: Any) -> None:
    """Let agents arrive, in this order."""
    for number, agent in enumerate(parties, barrier.n_waiting + 1):
        agent.tell("barrier.wait")
        give_up = time.monotonic() + SOON
        while barrier.n_waiting != number:
            assert time.monotonic() < give_up
            time.sleep(0.001)


def broken(agent: Agent) -> bool:
    """Whether an agent's wait ends with a broken barrier."""
    try:
        agent.answer()
    except BrokenBarrierError:
        return True
    return False


def test_all_pass_when_the_last_has_arrived_and_each_gets_its_number() -> None:
    barrier = Barrier(3)
    with agents(2, barrier=barrier) as others:
        for _ in range(3):
            arrive(others, barrier)
            assert barrier.wait(SOON) == 2
            assert [agent.answer() for agent in others] == [0, 1]
            assert (barrier.parties, barrier.n_waiting, barrier.broken) == (3, 0, False)


def test_many_rounds_in_lockstep() -> None:
    barrier, rounds = Barrier(3), allcores.Array("i", 3)

    def run(number: int) -> bool:
        for turn in range(200):
            rounds[number] = turn
            barrier.wait(SOON)
            if any(other != turn for other in rounds):
                return False
            barrier.wait(SOON)
        return True

    with Pool(3) as pool:
        assert pool.map(run, range(3)) == [True] * 3
    pool.join()


def test_the_action_is_run_once_by_the_last_and_before_the_others_go_on() -> None:
    seen = multiprocessing.get_context("fork").Value("i", 0)

    def action() -> None:
        seen.value += 1

    barrier = Barrier(2, action)
    with agents(1, barrier=barrier) as (other,):
        for number in range(1, 4):
            arrive([other], barrier)
            barrier.wait(SOON)
            other.answer()
            assert seen.value == number


def test_an_action_that_raises_breaks_the_barrier() -> None:
    barrier = Barrier(2, lambda: 1 // 0)
    with agents(1, barrier=barrier) as (other,):
        arrive([other], barrier)
        with pytest.raises(ZeroDivisionError):
            barrier.wait(SOON)
        assert broken(other)
        assert barrier.broken


def test_abort_breaks_it_until_it_is_reset() -> None:
    barrier = Barrier(3)
    with agents(2, barrier=barrier) as others:
        arrive(others[:1], barrier)
        barrier.abort()
        assert broken(others[0])
        for waiting in (lambda: barrier.wait(SOON), lambda: others[1].ask("barrier.wait")):
            with pytest.raises(BrokenBarrierError):
                waiting()
        barrier.reset()
        assert not barrier.broken
        arrive(others, barrier)
        assert barrier.wait(SOON) == 2
        assert [agent.answer() for agent in others] == [0, 1]


def test_reset_sends_those_away_that_wait() -> None:
    barrier = Barrier(3)
    with agents(2, barrier=barrier) as others:
        arrive(others, barrier)
        barrier.reset()
        assert [broken(agent) for agent in others] == [True, True]
        assert (barrier.n_waiting, barrier.broken) == (0, False)


@pytest.mark.parametrize("where", ["wait", "constructor"])
def test_a_time_limit_breaks_it_for_all(where: str) -> None:
    barrier = Barrier(3, timeout=0.2 if where == "constructor" else None)
    with agents(1, barrier=barrier) as (other,):
        arrive([other], barrier)
        with pytest.raises(BrokenBarrierError):
            barrier.wait() if where == "constructor" else barrier.wait(0.05)
        assert broken(other)
        assert barrier.broken


def test_ctrl_c_takes_one_away_and_the_others_go_on_waiting() -> None:
    barrier = Barrier(3)
    with agents(2, barrier=barrier) as others:
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            barrier.wait()
        timer.join()
        assert (barrier.n_waiting, barrier.broken) == (0, False)
        arrive(others, barrier)
        assert barrier.wait(SOON) == 2


def test_a_barrier_of_one_and_of_none() -> None:
    assert [Barrier(1).wait(), Barrier(1).wait()] == [0, 0]
    with pytest.raises(ValueError, match="parties"):
        Barrier(0)


def test_threads_may_be_parties() -> None:
    barrier = Barrier(4)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(barrier.wait(SOON))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert sorted(found) == [0, 1, 2, 3]


# The dead


@pytest.mark.parametrize("reap", [True, False])
def test_a_party_that_dies_while_it_waits_breaks_the_barrier(reap: bool) -> None:
    barrier = Barrier(4)
    with agents(3, barrier=barrier) as (dies, waits, late):
        arrive([dies, waits], barrier)
        dies.kill(reap)
        assert broken(waits)
        with pytest.raises(BrokenBarrierError):
            late.ask("barrier.wait")
        barrier.reset()
        assert not barrier.broken


def test_a_party_that_dies_after_a_round_breaks_the_next() -> None:
    """It will not come again; elsewhere the others wait for ever."""
    barrier = Barrier(3)
    with agents(2, barrier=barrier) as (dies, waits):
        arrive([dies, waits], barrier)
        barrier.wait(SOON)
        assert (dies.answer(), waits.answer()) == (0, 1)
        arrive([waits], barrier)
        dies.kill()
        assert broken(waits)
        barrier.reset()
        with agents(1, barrier=barrier) as (new,):
            arrive([waits, new], barrier)
            assert barrier.wait(SOON) == 2


def test_a_party_that_dies_as_the_barrier_opens_breaks_the_next_round() -> None:
    doomed: list[Agent] = []
    barrier = Barrier(3, lambda: [agent.kill() for agent in doomed])
    with agents(2, barrier=barrier) as (dies, waits):
        arrive([dies, waits], barrier)
        doomed.append(dies)
        assert barrier.wait(SOON) == 2
        assert waits.answer() == 1
        doomed.clear()
        with pytest.raises(BrokenBarrierError):
            in_thread(barrier.wait)


def test_a_process_that_was_passed_the_barrier_and_dies_before_it_arrives_breaks_it() -> None:
    barrier = Barrier(3)
    ready = allcores.Event()

    def dawdle(barrier: Any) -> None:
        ready.set()
        time.sleep(60)

    processes = [allcores.Process(target=dawdle, args=(barrier,), context=how) for how in ("fork", "spawn")]
    for process in processes:
        process.start()
        assert ready.wait(SOON)
        ready.clear()
    processes[0].kill()
    processes[1].kill()
    with pytest.raises(BrokenBarrierError):
        in_thread(barrier.wait)
    for process in processes:
        process.join()
        process.close()


def test_a_party_that_dies_may_be_replaced() -> None:
    barrier = Barrier(3)
    with agents(2, barrier=barrier) as (dies, waits):
        arrive([dies, waits], barrier)
        barrier.wait(SOON)
        assert (dies.answer(), waits.answer()) == (0, 1)
        dies.kill()
        with agents(1, barrier=barrier) as (new,):
            arrive([waits, new], barrier)
            assert barrier.wait(SOON) == 2
            assert (waits.answer(), new.answer()) == (0, 1)


def test_one_that_comes_to_its_end_in_good_order_breaks_nothing() -> None:
    """Neither a process that ends, nor a task that drops the barrier in a worker that is killed later."""
    barrier = Barrier(2)
    for context in ("fork", "spawn"):
        process = allcores.Process(target=lambda barrier: barrier.parties, args=(barrier,), context=context)
        process.start()
        assert process.result() == 2
        process.join()
        process.close()
    with Pool(2) as pool:
        assert sorted(pool.map(lambda _: barrier.wait(SOON), range(2))) == [0, 1]
        assert pool.apply(len, ("",)) == 0
    pool.join()
    with agents(1, barrier=barrier) as (other,):
        arrive([other], barrier)
        assert barrier.wait(SOON) == 1


def test_a_stopped_party_is_not_dead() -> None:
    barrier = Barrier(2)
    with agents(1, barrier=barrier) as (other,):
        other.ask("barrier.take_part")
        os.kill(other.pid, signal.SIGSTOP)
        with pytest.raises(BrokenBarrierError):
            barrier.wait(0.1)  # for want of time
        barrier.reset()
        os.kill(other.pid, signal.SIGCONT)
        arrive([other], barrier)
        assert barrier.wait(SOON) == 1


def test_a_party_that_dies_in_the_action_breaks_the_barrier() -> None:
    barrier = Barrier(2, lambda: os.kill(os.getpid(), signal.SIGKILL))
    with agents(2, barrier=barrier) as (waits, last):
        arrive([waits], barrier)
        last.tell("barrier.wait")
        assert broken(waits)
