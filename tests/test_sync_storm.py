"""Processes use locks and the like as fast as they can, while some of them are killed at random moments."""

from __future__ import annotations

import mmap
import os
import random
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allcores import Barrier, Condition, Event, Lock, RLock, Semaphore
from sync_agents import FORK, SOON

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")]

CREW = 5

ROUNDS = pytest.mark.parametrize(
    "rounds", [8, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])], ids=["short", "long"]
)


class Board:
    """Words that all of the crew see, in memory that has nothing to do with what is tested.

    Attributes:
        inside: the process id of each member that is in the guarded section; 0 for those that are not.
        done: how many sections each has come through.
        broken: whether somebody has seen more in the section than may be there.
        over: whether to stop.
    """

    def __init__(self) -> None:
        words = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q")
        self.inside, self.done = words[:CREW], words[CREW : 2 * CREW]
        self.broken, self.over = words[64:65], words[65:66]

    def guarded(self, number: int, limit: int) -> None:
        """Be in the section for a moment, and look who else is."""
        self.inside[number] = os.getpid()
        for _ in range(random.randrange(30)):
            if sum(map(bool, self.inside)) > limit:
                before = self.state()
                living = [pid for pid in self.inside if pid and runs(pid)]  # the dead have left their numbers there
                if len(living) > limit and self.state() == before:  # so all of them were there all the time
                    self.broken[0] += 1
        self.inside[number] = 0
        self.done[number] += 1

    def state(self) -> tuple[list[int], list[int]]:
        """Who is in the section, and how often everyone has been there."""
        return list(self.inside), list(self.done)


def runs(pid: int) -> bool:
    """Whether a process may still do something."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


class Mutex:
    """A lock is acquired in each of the ways there are."""

    limit = 1

    def __init__(self, make: Callable[[], Any]) -> None:
        self.lock = make()
        self.is_recursive = make is RLock

    def turn(self, board: Board, number: int) -> None:
        way = random.randrange(3)
        if way == 0:
            self.lock.acquire()
        elif not (self.lock.acquire(False) if way == 1 else self.lock.acquire(timeout=0.003)):
            return
        if self.is_recursive and random.random() < 0.5:
            with self.lock:
                board.guarded(number, 1)
        else:
            board.guarded(number, 1)
        self.lock.release()


class Permits:
    """At most so many blocks at once."""

    limit = 2

    def __init__(self) -> None:
        self.semaphore = Semaphore(self.limit)

    def turn(self, board: Board, number: int) -> None:
        with self.semaphore:
            board.guarded(number, self.limit)


class Sleepers:
    """Each sleeps until another one wakes it; who finds nobody asleep goes on by itself."""

    limit = 1

    def __init__(self) -> None:
        self.condition = Condition()

    def turn(self, board: Board, number: int) -> None:
        with self.condition:
            board.guarded(number, 1)
            self.condition.notify(random.randrange(1, CREW))
            if random.random() < 0.3:
                self.condition.notify_all()
            self.condition.wait(0.02)


def crew_member(board: Board, number: int, what: Any) -> None:
    warnings.simplefilter("ignore")
    random.seed(os.getpid())
    while not board.over[0]:
        what.turn(board, number)


def storm(what: Any, rounds: int) -> None:
    """Kill in each round some of the crew, and replace them; then see that all of them get on."""
    board = Board()
    chance = random.Random(rounds)
    crew = [start(board, number, what) for number in range(CREW)]
    try:
        for _ in range(rounds):
            for _ in range(3):
                time.sleep(chance.expovariate(300))
                number = chance.randrange(CREW)
                os.kill(crew[number].pid, signal.SIGKILL)
                if chance.random() < 0.5:
                    crew[number].join()
                dead, crew[number] = crew[number], start(board, number, what)
                dead.join()
                dead.close()
            wait_for_progress(board)
            assert not board.broken[0]
        board.over[0] = 1
        for member in crew:
            member.join(SOON)
            assert member.exitcode == 0
    finally:
        for member in crew:
            member.kill()
            member.join()
            member.close()


def start(board: Board, number: int, what: Any) -> Any:
    member = FORK.Process(target=crew_member, args=(board, number, what))
    member.start()
    return member


def wait_for_progress(board: Board) -> None:
    """Each of the crew comes through a section once more."""
    before, give_up = list(board.done), time.monotonic() + SOON
    while any(now == then for now, then in zip(board.done, before, strict=True)):
        assert time.monotonic() < give_up, ("somebody is stuck", before, list(board.done), list(board.inside))
        time.sleep(0.001)


@ROUNDS
@pytest.mark.parametrize("make", [Lock, RLock])
def test_a_lock_has_one_holder_whoever_is_killed(make: Callable[[], Any], rounds: int) -> None:
    storm(Mutex(make), rounds)


@ROUNDS
def test_no_more_blocks_are_entered_than_there_are_permits_and_none_is_lost(rounds: int) -> None:
    permits = Permits()
    storm(permits, rounds)
    give_up = time.monotonic() + SOON
    while permits.semaphore.get_value() != Permits.limit:
        assert time.monotonic() < give_up, permits.semaphore


@ROUNDS
def test_a_condition_has_one_holder_and_nobody_sleeps_on(rounds: int) -> None:
    storm(Sleepers(), rounds)


@ROUNDS
def test_a_barrier_breaks_or_opens_whoever_is_killed(rounds: int) -> None:
    """Nobody waits for the dead, and whoever is let pass is let pass with all the others."""
    for _ in range(rounds // 4):
        barrier, passed = Barrier(CREW), Event()
        crew = [FORK.Process(target=pass_barrier, args=(barrier, passed)) for _ in range(CREW)]
        for member in crew:
            member.start()
        passed.wait(SOON)  # all have been there at least once
        time.sleep(random.expovariate(500))
        crew[0].kill()
        for member in crew:
            member.join(SOON)
        codes = [member.exitcode for member in crew]
        for member in crew:
            member.kill()
            member.join()
            member.close()
        assert codes == [-signal.SIGKILL] + [BROKEN] * (CREW - 1)


BROKEN = 7


def pass_barrier(barrier: Any, passed: Any) -> None:
    from threading import BrokenBarrierError

    while True:
        try:
            barrier.wait()
        except BrokenBarrierError:
            os._exit(BROKEN)
        passed.set()
