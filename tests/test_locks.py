"""`Lock` and `RLock`: the standard's semantics, and what becomes of a lock whose holder dies."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import allcores
from allcores import Event, Lock, LockRecovered, RLock
from allcores.sync import keeper, ordinary
from allcores.sync.claims import Kind
from conftest import wait_until
from sync_agents import SOON, Agent, Struck, agents, in_thread, signal_at, strike

pytestmark = [pytest.mark.timeout(40), pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")]

BOTH = pytest.mark.parametrize("make", [Lock, RLock])
Make = Callable[[], Any]


@pytest.fixture(autouse=True, params=["compiled", "in Python"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are made in each of the ways there are, in forked agents as well."""
    if request.param == "in Python":
        monkeypatch.setattr(ordinary, "_mutex", None)
    elif ordinary._mutex is None:
        pytest.skip("there was no compiler")


def outcome(function: Callable[[], Any]) -> Any:
    """What a call returns; or the type and the text of what it raises."""
    try:
        return function()
    except Exception as error:
        return type(error), str(error)


# The standard's semantics. What the standard library's own locks do is the expectation.


@pytest.mark.parametrize("name", ["Lock", "RLock"])
def test_one_process_sees_what_the_standard_librarys_lock_shows_it(name: str) -> None:
    def history(lock: Any) -> list[Any]:
        return [
            outcome(lock.release),
            lock.acquire(),
            repr(lock),
            lock.acquire(False),
            lock.acquire(True, 0),
            lock.acquire(timeout=0.01),
            lock.acquire(False, 5),
            in_thread(lock.acquire, False),
            outcome(lambda: in_thread(repr, lock)),
            outcome(lock.release),
            repr(lock),
            in_thread(lock.acquire, False),
            outcome(lock.release),
            outcome(lock.release),
            lock.__enter__(),
            lock.__exit__(None, None, None),
        ]

    assert history(getattr(allcores, name)()) == history(getattr(multiprocessing, name)())


def test_a_lock_may_be_released_by_another_thread() -> None:
    lock = Lock()
    lock.acquire()
    in_thread(lock.release)
    assert lock.acquire(False)


@pytest.mark.parametrize("kind", ["allcores", "multiprocessing"])
def test_a_lock_may_be_released_by_another_process(kind: str) -> None:
    lock = (allcores if kind == "allcores" else multiprocessing).Lock()
    with agents(2, lock=lock) as (one, two):
        assert one.ask("lock.acquire")
        assert two.ask("lock.release") is None
        assert two.ask("lock.acquire", False)
        assert not one.ask("lock.acquire", False)
        assert one.ask("lock.release") is None  # not its own: the standard does not mind
        assert outcome(lambda: two.ask("lock.release")) == (ValueError, "semaphore or lock released too many times")
        assert lock.acquire(False)
        lock.release()


def test_a_lock_that_was_handed_over_is_recovered_from_a_later_holder() -> None:
    """Who has acquired it first has never released it, and lives on."""
    lock = Lock()
    with agents(2, lock=lock) as (one, two):
        one.ask("lock.acquire")
        two.ask("lock.release")
        two.ask("lock.acquire")
        two.kill()
        with pytest.warns(LockRecovered):
            assert lock.acquire(timeout=SOON)


class SlowAcquire:
    """`Lock.acquire`, with time to pass in the midst of it."""

    def __init__(self, lock: Lock) -> None:
        self._keeper = lock._core.keeper

    def begin(self) -> None:
        claim = self._keeper.enlist().release
        claim()

    def end(self) -> bool:
        return self._keeper.semaphore.acquire(False)  # type: ignore[no-any-return]


def test_a_lock_that_is_released_for_the_dead_belongs_to_who_was_just_trying_it() -> None:
    lock = Lock()
    with agents(2, lock=lock, slow=SlowAcquire(lock)) as (holder, trying):
        holder.ask("lock.acquire")
        trying.ask("slow.begin")
        holder.kill()
        lock.release()
        assert trying.ask("slow.end")
        assert not lock.acquire(timeout=0.1)


def test_a_lock_may_be_used_to_wait_for_another_process() -> None:
    """It is acquired twice by one and released by another: a signal rather than a lock."""
    lock = Lock()
    with agents(1, lock=lock) as (other,):
        assert lock.acquire()
        for _ in range(20):
            other.tell("lock.release")
            assert lock.acquire(timeout=SOON)
            other.answer()


def test_a_recursive_lock_belongs_to_its_thread() -> None:
    lock = RLock()
    lock.acquire()
    lock.acquire()
    with pytest.raises(AssertionError, match="not owned by thread"):
        in_thread(lock.release)
    with agents(1, lock=lock) as (other,):
        with pytest.raises(AssertionError, match="not owned by thread"):
            other.ask("lock.release")
        lock.release()
        assert not other.ask("lock.acquire", False)
        lock.release()
        assert other.ask("lock.acquire", False)
        assert not lock.acquire(False)
        with pytest.raises(AssertionError):
            lock.release()


@BOTH
def test_a_fork_does_not_hold_what_its_parent_holds(make: Make) -> None:
    lock = make()
    with lock, agents(1, lock=lock) as (other,):
        assert not other.ask("lock.acquire", False)
        assert not other.ask("lock.acquire", True, 0.05)
        lock.release()
        assert other.ask("lock.acquire", True, SOON)
        other.ask("lock.release")
        lock.acquire()


@BOTH
def test_waiting_ends_when_the_holder_releases(make: Make) -> None:
    lock = make()
    with agents(3, lock=lock) as waiting:
        with lock:
            for agent in waiting:
                agent.tell("lock.acquire")
            time.sleep(0.1)
            assert not any(agent.has_answered() for agent in waiting)
        left = list(waiting)
        while left:
            holder = next(agent for agent in iter(lambda: _first_to_answer(left), None))
            left.remove(holder)
            time.sleep(0.02)
            assert not any(agent.has_answered() for agent in left), "two hold it"
            holder.ask("lock.release")


@BOTH
def test_each_release_wakes_the_next_of_many(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "SLICE", 60.0)  # nobody looks by himself in time
    lock = make()
    with agents(4, lock=lock) as waiting:
        with lock:
            for agent in waiting:
                agent.tell("lock.acquire")
            time.sleep(0.2)
        left = list(waiting)
        while left:
            holder = _first_to_answer(left)
            left.remove(holder)
            holder.ask("lock.release")


def _first_to_answer(waiting: list[Agent]) -> Agent:
    give_up = time.monotonic() + SOON
    while time.monotonic() < give_up:
        for agent in waiting:
            if agent.has_answered():
                assert agent.answer() is True
                return agent
        time.sleep(0.001)
    raise AssertionError("nobody gets it")


@BOTH
@pytest.mark.parametrize("wrong", ["soon", [1]])
def test_a_timeout_that_is_no_number_is_an_error(make: Make, wrong: Any) -> None:
    lock = make()
    with lock, pytest.raises(TypeError):
        in_thread(lock.acquire, True, wrong)


@BOTH
def test_a_lock_has_a_subclass(make: Any) -> None:
    class Counting(make):  # type: ignore[misc]
        acquired = 0

        def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
            self.acquired += 1
            return bool(super().acquire(block, timeout))

    lock = Counting()
    with lock:
        assert lock.locked()
    assert lock.acquired == 1
    assert not lock.locked()


def test_the_standard_library_takes_our_locks() -> None:
    value: Any = multiprocessing.Value("i", 0, lock=RLock())
    with value, value.get_lock():
        value.value += 1
    standard = multiprocessing.Condition(Lock())
    with standard:
        assert not standard.wait(0.01)
        standard.notify_all()
    threads = threading.Condition(Lock())
    with threads:
        assert not threads.wait(0.01)
        threads.notify_all()


# A holder dies


def recover(lock: Any, pid: int) -> None:
    """Acquire a dead holder's lock, and see that it says so."""
    with pytest.warns(LockRecovered, match=f"process {pid}") as warned:
        assert lock.acquire(timeout=SOON)
    assert [str(warning.message.pid) for warning in warned] == [str(pid)]  # type: ignore[union-attr]
    assert warned[0].filename == __file__
    assert lock.recovered
    assert in_thread(lock.acquire, False) is False


@BOTH
@pytest.mark.parametrize("reap", [True, False])
def test_the_next_acquirer_gets_a_dead_holders_lock(make: Make, reap: bool) -> None:
    """Whether or not its parent has waited for the dead."""
    lock = make()
    assert not lock.recovered
    with agents(2, lock=lock) as (holder, other):
        holder.ask("lock.acquire")
        holder.kill(reap)
        recover(lock, holder.pid)
        assert not other.ask("lock.acquire", False)
        assert not other.ask("lock.recovered")
        lock.release()
        assert not lock.recovered
        assert other.ask("lock.acquire", False)
        assert not other.ask("lock.recovered")
        other.ask("lock.release")
        with pytest.raises((ValueError, AssertionError)):
            lock.release()


@BOTH
def test_one_that_tries_without_waiting_gets_it_too(make: Make) -> None:
    lock = make()
    with agents(1, lock=lock) as (holder,):
        holder.ask("lock.acquire")
        assert not lock.acquire(False)
        holder.kill()
        time.sleep(0.01)
        with pytest.warns(LockRecovered):
            assert lock.acquire(False)


@BOTH
def test_one_that_waits_already_gets_it_too(make: Make) -> None:
    lock = make()
    with agents(4, lock=lock) as (holder, *waiting):
        holder.ask("lock.acquire")
        for agent in waiting:
            agent.tell("lock.acquire")
        time.sleep(0.05)
        holder.kill()
        got = _first_to_answer(waiting)
        assert got.ask("lock.recovered")
        waiting.remove(got)
        got.ask("lock.release")
        for _ in range(2):
            got = _first_to_answer(waiting)
            assert not got.ask("lock.recovered")
            waiting.remove(got)
            got.ask("lock.release")


@BOTH
def test_a_lock_outlives_many_holders(make: Make) -> None:
    lock = make()
    for _ in range(5):
        with agents(1, lock=lock) as (holder,):
            holder.ask("lock.acquire")
            holder.kill()
            recover(lock, holder.pid)
            lock.release()


@BOTH
def test_who_has_recovered_a_lock_may_die_as_well(make: Make) -> None:
    lock = make()
    with agents(2, lock=lock) as (first, second):
        first.ask("lock.acquire")
        first.kill()
        assert second.ask("lock.acquire", True, SOON)
        assert second.ask("lock.recovered")
        second.kill()
        recover(lock, second.pid)


def test_a_recursive_lock_is_recovered_from_any_depth_and_is_recursive_again() -> None:
    lock = RLock()
    with agents(1, lock=lock) as (holder,):
        for _ in range(3):
            holder.ask("lock.acquire")
        holder.kill()
        recover(lock, holder.pid)
        assert lock.acquire()
        assert lock.acquire(False)
        with pytest.raises(AssertionError):
            in_thread(lock.release)
        for _ in range(3):
            assert lock.recovered
            lock.release()
        assert not lock.recovered
        assert in_thread(lock.acquire, False)


@BOTH
def test_a_thread_that_ends_without_releasing_keeps_the_lock_held(make: Make) -> None:
    lock = make()
    assert in_thread(lock.acquire)
    assert not lock.acquire(timeout=0.1)


@BOTH
def test_a_stopped_holder_is_not_dead(make: Make) -> None:
    lock = make()
    with agents(1, lock=lock) as (holder,):
        holder.ask("lock.acquire")
        os.kill(holder.pid, signal.SIGSTOP)
        assert not lock.acquire(timeout=0.1)
        os.kill(holder.pid, signal.SIGCONT)
        holder.ask("lock.release")
        assert lock.acquire(timeout=SOON)


@BOTH
def test_a_waiter_that_dies_or_is_stopped_is_in_nobodys_way(make: Make) -> None:
    lock = make()
    with agents(4, lock=lock) as (holder, killed, stopped, waiting):
        holder.ask("lock.acquire")
        for agent in (killed, stopped, waiting):
            agent.tell("lock.acquire")
        time.sleep(0.05)
        killed.kill()
        os.kill(stopped.pid, signal.SIGSTOP)
        holder.kill()
        assert waiting.answer() is True
        waiting.ask("lock.release")
        assert lock.acquire(timeout=SOON)


@BOTH
def test_a_warning_that_is_made_an_error_leaves_the_lock_free(make: Make) -> None:
    lock = make()
    with agents(1, lock=lock) as (holder,):
        holder.ask("lock.acquire")
        holder.kill()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(LockRecovered):
                lock.acquire()
        assert in_thread(lock.acquire, False)


@BOTH
def test_locks_of_one_process_do_not_disturb_each_other_when_it_dies(make: Make) -> None:
    """It holds some of them; those that it does not hold are not touched, and nobody else's is."""
    locks = {f"lock{number}": make() for number in range(12)}
    with agents(2, **locks) as (dies, lives):
        for number in range(0, 12, 3):
            dies.ask(f"lock{number}.acquire")
        for number in range(1, 12, 3):
            lives.ask(f"lock{number}.acquire")
        dies.kill()
        for number in range(12):
            lock = locks[f"lock{number}"]
            if number % 3 == 0:
                recover(lock, dies.pid)
            elif number % 3 == 1:
                assert not lock.acquire(False)
            else:
                assert lock.acquire(False)
                assert not lock.recovered


def test_a_ring_for_who_slept_in_a_place_before_is_no_claim_of_the_lock() -> None:
    """It would stand for ever, and keep the lock from being recovered from anybody."""
    lock, event = Lock(), Event()
    with agents(2, lock=lock, event=event) as (sleeps, dies):
        assert sleeps.ask("event.wait", 0.001) is False
        assert sleeps.ask("lock.acquire") is True  # has the place of the sleeper now
        sleeps.ask("lock.release")
        record = lock._record
        for slot in record.slab.claims(record.claim(Kind.LOCK)):
            record.slab.ring(slot)  # as `Event.set` does, a little late
        assert dies.ask("lock.acquire") is True
        dies.kill()
        with pytest.warns(LockRecovered):
            assert lock.acquire(timeout=SOON)
        lock.release()


def test_a_process_that_was_given_the_number_of_a_dead_one_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its start: what is asked is whether this number, with another start, is alive."""
    from allcores.sync import life

    me = life.own_identity()
    lives = life.Lives((me[0] + 1, me[1]))
    assert lives.alive(me)
    reused = (me[0] + (1 << life._PID_BITS), me[1])
    assert life.pid_of(reused) == os.getpid()
    assert not lives.alive(reused)
    assert lives.alive((reused[0], me[1] + 1)), "nothing is known about another namespace"


def test_ctrl_c_ends_waiting_and_leaves_the_lock_as_it_is() -> None:
    lock = Lock()
    with agents(1, lock=lock) as (holder,):
        holder.ask("lock.acquire")
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            lock.acquire()
        timer.join()
        assert not lock.acquire(False)
        holder.ask("lock.release")
        assert lock.acquire(timeout=SOON)


@BOTH
def test_a_storm_of_interrupts_neither_loses_nor_doubles_a_lock(make: Make) -> None:
    """A signal handler that raises, hundreds of times, wherever it strikes."""
    lock = make()
    inside = 0
    struck = 0

    before = signal.signal(signal.SIGALRM, strike)
    warnings.simplefilter("ignore", LockRecovered)  # one that was got just as it struck is abandoned, and recovered
    give_up = time.monotonic() + 1.0
    try:
        while time.monotonic() < give_up:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002)  # once: a second one would strike the test itself
                while True:
                    with lock:
                        inside += 1
            except Struck:
                struck += 1
            # It may have struck between acquiring and the block, as with the standard library's lock: then it is held.
            while lock._is_mine() if make is RLock else lock.locked():
                lock.release()
            assert in_thread(acquire_and_release, lock)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert struck > 10
    assert inside > 100


def test_a_signal_handler_that_uses_the_recursive_lock_just_got_leaves_it_to_be_recovered() -> None:
    lock = RLock()
    acquire_and_release(lock)

    def use(*_: object) -> None:
        with lock:
            pass

    with signal_at("c_return", "acquire", use):
        acquire_and_release(lock)
    with agents(1, lock=lock) as (holder,):
        holder.ask("lock.acquire")
        holder.kill()
        with pytest.warns(LockRecovered):
            assert lock.acquire(timeout=SOON / 3)
        lock.release()


@BOTH
def test_an_interrupt_while_a_waiter_is_woken_leaves_the_lock_to_be_recovered(make: Make) -> None:
    lock = make()
    with agents(1, lock=lock) as (holder,):
        lock.acquire()
        holder.tell("lock.acquire")
        wait_until(lambda: lock._core.keeper.slab.words[lock._core.keeper.flags])  # it waits
        with signal_at("call", "see_to_flags", strike), pytest.raises(Struck):
            lock.release()
        assert holder.answer() is True
        holder.kill()
        with pytest.warns(LockRecovered):
            assert lock.acquire(timeout=SOON / 3)
        lock.release()


def test_an_interrupt_in_the_very_first_acquire_is_raised() -> None:
    lock = Lock()
    place = "enlist" if ordinary._mutex else "_not_enlisted"
    with signal_at("call", place, strike), pytest.raises(Struck):
        lock.acquire()
    assert acquire_and_release(lock)


def acquire_and_release(lock: Any) -> bool:
    if not lock.acquire(timeout=SOON / 3):
        return False
    lock.release()
    return True


@BOTH
def test_threads_may_wait_for_the_same_holder(make: Make) -> None:
    """Both look every few milliseconds, or all the time, whether it lives."""
    lock = make()
    with agents(1, lock=lock) as (holder,):
        holder.ask("lock.acquire")
        for _ in range(2):  # first of all they have to know it
            in_thread(lock.acquire, True, 0.02)
        found: list[Any] = []

        def ask() -> None:
            try:
                for _ in range(2000):
                    found.append(lock._core.keeper.slab.alive(lock._core.keeper._claimants()[0]))
            except Exception as error:
                found.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        assert [value for value in found if value is not True] == []


def test_many_locks_cost_few_descriptors_and_leave_none() -> None:
    before = len(os.listdir("/proc/self/fd"))
    locks = [Lock() for _ in range(5000)]
    assert all(lock.acquire(False) for lock in locks)
    assert len(os.listdir("/proc/self/fd")) < before + 20
    assert not any(lock.acquire(False) for lock in locks[::500])
    for lock in locks:
        lock.release()
    del locks, lock
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before
