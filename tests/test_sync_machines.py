"""Locks, semaphores and conditions against models, in sequences of steps of processes, some of which are killed.

The models are a few lines of plain Python, and know nothing of shared memory.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from allcores import BoundedSemaphore, Condition, Lock, RLock, Semaphore
from sync_agents import SOON, Agent
from test_conditions import Sleeping, sleepers, wait_for_sleepers

pytestmark = [pytest.mark.timeout(50), pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")]

AGENTS = 3
WHO = st.integers(0, AGENTS - 1)


class Machine(RuleBasedStateMachine):
    """Some agents that have inherited the same objects."""

    objects: dict[str, Any]

    def start(self, **objects: Any) -> None:
        self.objects = objects
        self.agents = [Agent(**objects) for _ in range(AGENTS)]

    def replace(self, who: int, reap: bool) -> None:
        """Kill an agent and start another in its place."""
        dead = self.agents[who]
        dead.kill(reap)
        self.agents[who] = Agent(**self.objects)
        dead.end()

    def teardown(self) -> None:
        for agent in getattr(self, "agents", ()):
            agent.end()


class MutexMachine(Machine):
    """One holder at most; a dead one's lock goes to the next."""

    is_recursive = False

    @initialize()
    def set_up(self) -> None:
        self.start(lock=RLock() if self.is_recursive else Lock())
        self.holder: int | None = None
        self.depth = 0
        self.is_abandoned = False
        self.is_recovered = False

    @rule(who=WHO)
    def acquire(self, who: int) -> None:
        if self.holder is not None and not (self.is_recursive and self.holder == who):
            assert self.agents[who].ask("lock.acquire", False) is False
            return
        # Who finds it abandoned looks at most once in a millisecond, so it has to wait for that.
        assert self.agents[who].ask("lock.acquire", True, SOON) is True
        if self.holder is None:
            self.is_recovered = self.is_abandoned
        self.holder, self.is_abandoned = who, False
        self.depth += 1

    @rule(who=WHO)
    def release(self, who: int) -> None:
        if self.holder == who:
            self.agents[who].ask("lock.release")
            self.depth -= 1
            if self.depth == 0:
                self.holder = None
        elif self.is_recursive:
            with pytest.raises(AssertionError):
                self.agents[who].ask("lock.release")
        elif self.holder is None and not self.is_abandoned:
            with pytest.raises(ValueError, match="too many times"):
                self.agents[who].ask("lock.release")
        else:  # the standard's lock may be released by anybody
            self.agents[who].ask("lock.release")
            self.holder, self.depth, self.is_abandoned = None, 0, False

    @rule(who=WHO, reap=st.booleans())
    def die(self, who: int, reap: bool) -> None:
        self.replace(who, reap)
        if self.holder == who:
            self.holder, self.depth, self.is_abandoned = None, 0, True

    @invariant()
    def it_says_who_has_it(self) -> None:
        if not hasattr(self, "agents"):
            return
        assert self.objects["lock"].locked() is (self.holder is not None or self.is_abandoned)
        for who, agent in enumerate(self.agents):
            assert agent.ask("lock.recovered") is (who == self.holder and self.is_recovered)


class RecursiveMachine(MutexMachine):
    """The same for a lock that its holder may acquire again."""

    is_recursive = True


class PermitMachine(Machine):
    """Permits of blocks come back when the process dies; those that were acquired do not."""

    first = 3

    @initialize(bounded=st.booleans())
    def set_up(self, bounded: bool) -> None:
        self.start(semaphore=(BoundedSemaphore if bounded else Semaphore)(self.first))
        self.bounded = bounded
        self.taken = 0  # by acquire, less those released
        self.blocks = [0] * AGENTS

    @property
    def value(self) -> int:
        return self.first - self.taken - sum(self.blocks)

    @rule(who=WHO)
    def acquire(self, who: int) -> None:
        expected = self.value > 0
        assert self.agents[who].ask("semaphore.acquire", expected, SOON) is expected
        self.taken += expected

    @rule(who=WHO)
    def release(self, who: int) -> None:
        if self.bounded and self.value == self.first:
            with pytest.raises(ValueError, match="too many times"):
                self.agents[who].ask("semaphore.release")
        else:
            self.agents[who].ask("semaphore.release")
            self.taken -= 1

    @precondition(lambda self: self.value > 0)
    @rule(who=WHO)
    def enter(self, who: int) -> None:
        assert self.agents[who].ask("semaphore.__enter__") is True
        self.blocks[who] += 1

    @rule(who=WHO)
    def leave(self, who: int) -> None:
        # Where others have released what was not theirs, the block's own release may be the one too many.
        if self.blocks[who] and not (self.bounded and self.value == self.first):
            self.agents[who].ask("semaphore.__exit__", None, None, None)
            self.blocks[who] -= 1

    @rule(who=WHO, reap=st.booleans())
    def die(self, who: int, reap: bool) -> None:
        if self.bounded and self.value + self.blocks[who] > self.first:
            return  # as above
        self.replace(who, reap)
        self.blocks[who] = 0

    @invariant()
    def it_counts(self) -> None:
        if hasattr(self, "agents"):
            give_up = time.monotonic() + SOON
            while self.objects["semaphore"].get_value() != self.value:
                assert time.monotonic() < give_up, (self.objects["semaphore"], self.value)


class SleepersMachine(Machine):
    """Who sleeps longest is woken first; the dead are passed over."""

    @initialize()
    def set_up(self) -> None:
        condition = Condition()
        self.start(condition=condition, sleeping=Sleeping(condition))
        self.condition = condition
        self.asleep: list[int] = []
        self.ghosts = 0  # sleepers that have died, and that nobody has passed over yet

    @precondition(lambda self: len(self.asleep) < AGENTS)
    @rule(who=WHO)
    def sleep(self, who: int) -> None:
        if who not in self.asleep:
            self.agents[who].tell("sleeping.wait")
            wait_for_sleepers(self.condition, len(self.asleep) + self.ghosts + 1)
            self.asleep.append(who)

    @rule(number=st.integers(0, AGENTS + 1))
    def notify(self, number: int) -> None:
        with self.condition:
            self.condition.notify(number)
        self.wake(number)

    @rule()
    def notify_all(self) -> None:
        with self.condition:
            self.condition.notify_all()
        self.wake(AGENTS)

    def wake(self, number: int) -> None:
        woken, self.asleep = self.asleep[:number], self.asleep[number:]
        for who in woken:
            assert self.agents[who].answer() is True
        # Those who sleep on are those that the condition counts; which of the dead it still counts is its business.
        self.ghosts = sleepers(self.condition) - len(self.asleep)
        assert self.ghosts >= 0

    @rule(who=WHO, reap=st.booleans())
    def die(self, who: int, reap: bool) -> None:
        self.replace(who, reap)
        if who in self.asleep:
            self.asleep.remove(who)
            self.ghosts += 1

    @invariant()
    def nobody_else_has_woken(self) -> None:
        for who in getattr(self, "asleep", ()):
            assert not self.agents[who].has_answered()


quick = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
thorough = settings(quick, max_examples=150, stateful_step_count=60, derandomize=False)

MACHINES = pytest.mark.parametrize("machine", [MutexMachine, RecursiveMachine, PermitMachine, SleepersMachine])


@MACHINES
def test_every_sequence_of_steps_does_what_the_model_does(machine: type[Machine]) -> None:
    case = machine.TestCase
    case.settings = quick
    case("runTest").runTest()  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.timeout(900)
@MACHINES
def test_every_sequence_of_steps_does_what_the_model_does_at_length(machine: type[Machine]) -> None:
    case = machine.TestCase
    case.settings = thorough
    case("runTest").runTest()  # type: ignore[attr-defined]
