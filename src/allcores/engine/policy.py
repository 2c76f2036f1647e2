"""What a caller may ask for a task beside being run: a limit in time, further attempts."""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["NO_POLICY", "UNSET", "Policy", "Retry", "check_memory", "make_policy"]

Errors = type[BaseException] | tuple[type[BaseException], ...]


class Retry:
    """How often, on which errors and after what pauses a task is tried again.

    Args:
        times: attempts after the first one.
        on: the errors that are worth another attempt: exception classes, among them `WorkerDied` (the worker was
            killed) and `TaskTimeout`. Left out: any `Exception`, deaths and timeouts included.
        backoff: seconds to wait before the first further attempt, doubled for each one after it; or a function
            that takes the number of the failed attempt (1, 2, …) and returns seconds.
        jitter: the part of each pause that is left to chance, 0 to 1, so that tasks that failed together do not
            come back together.
        longest: no pause is longer than this, in seconds.

    Raises:
        TypeError, ValueError: for an argument out of its range, naming it.
    """

    __slots__ = ("backoff", "jitter", "longest", "on", "times")

    def __init__(
        self,
        times: int,
        on: Errors = Exception,
        backoff: float | Callable[[int], float] = 0.0,
        *,
        jitter: float = 0.5,
        longest: float = 60.0,
    ) -> None:
        if isinstance(times, bool) or not isinstance(times, int):
            raise TypeError(f"times must be a whole number, not {times!r}")
        if times < 0:
            raise ValueError(f"times must be 0 or more, not {times}")
        classes = on if isinstance(on, tuple) else (on,)
        if not classes or not all(isinstance(cls, type) and issubclass(cls, BaseException) for cls in classes):
            raise TypeError(f"on must be an exception class or a tuple of them, not {on!r}")
        if not callable(backoff):
            check_seconds("backoff", backoff, zero=True)
        if isinstance(jitter, bool) or not isinstance(jitter, (int, float)):
            raise TypeError(f"jitter must be a number between 0 and 1, not {jitter!r}")
        if not 0 <= jitter <= 1:
            raise ValueError(f"jitter must be between 0 and 1, not {jitter!r}")
        check_seconds("longest", longest, zero=True)
        self.times = times
        self.on = classes
        self.backoff = backoff
        self.jitter = jitter
        self.longest = longest

    def __repr__(self) -> str:
        names = ", ".join(cls.__name__ for cls in self.on)
        return f"Retry({self.times}, on=({names}), backoff={self.backoff!r})"

    def pause(self, attempt: int, error: BaseException) -> float | None:
        """What follows a failure.

        Args:
            attempt: how many attempts have failed, this one included.
            error: what the attempt failed of.

        Returns:
            Seconds to wait before the next attempt, or None where there is to be none.
        """
        if attempt > self.times or not isinstance(error, self.on):
            return None
        pause = self.backoff(attempt) if callable(self.backoff) else self.backoff * 2 ** min(attempt - 1, 60)
        pause = min(max(pause, 0.0), self.longest)
        import random

        return pause * (1 - self.jitter * random.random())


class Policy:
    """The limits under which a call's tasks run.

    Attributes:
        timeout: seconds that a task may run, counted from its start; None for no limit.
        retry: the policy for further attempts, or None.
    """

    __slots__ = ("retry", "timeout")

    def __init__(self, timeout: float | None = None, retry: Retry | None = None) -> None:
        self.timeout = timeout
        self.retry = retry


NO_POLICY = Policy()

#: Distinguishes "not given" from None, which switches a pool's default off for one call.
UNSET: Any = type("Unset", (), {"__repr__": lambda self: "<the pool's>"})()


def make_policy(default: Policy, timeout: Any, retries: Any) -> Policy:
    """The policy of one call.

    Args:
        default: the pool's policy.
        timeout: seconds, None for no limit, or `UNSET` for the pool's.
        retries: a count, a `Retry`, None for none, or `UNSET` for the pool's.

    Raises:
        TypeError, ValueError: for an argument out of its range, naming it.
    """
    if timeout is UNSET and retries is UNSET:
        return default
    if timeout is UNSET:
        timeout = default.timeout
    elif timeout is not None:
        timeout = check_seconds("timeout", timeout)
    retry = default.retry if retries is UNSET else make_retry(retries)
    return Policy(timeout, retry) if timeout is not None or retry is not None else NO_POLICY


def make_retry(retries: Any) -> Retry | None:
    """A `Retry` from what a caller passed as ``retries=``."""
    if retries is None:
        return None
    if isinstance(retries, Retry):
        return retries if retries.times else None
    if isinstance(retries, bool) or not isinstance(retries, int):
        raise TypeError(f"retries must be a whole number or a Retry, not {retries!r}")
    if retries < 0:
        raise ValueError(f"retries must be 0 or more, not {retries}")
    return Retry(retries) if retries else None


def check_seconds(name: str, value: Any, *, zero: bool = False) -> float:
    """Return `value` as seconds.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not (value >= 0 if zero else value > 0):
        raise ValueError(f"{name} must be {'0 or more' if zero else 'more than 0'} seconds, not {value!r}")
    return float(value)


_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "K": 2**10,
    "M": 2**20,
    "G": 2**30,
    "T": 2**40,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}

#: An idle interpreter with what a worker needs takes about half of this.
LEAST_MEMORY = 32 * 2**20


def check_memory(name: str, value: Any) -> int | None:
    """Return an amount of memory in bytes.

    Args:
        name: the argument's, for errors.
        value: bytes, or text such as ``"2GB"`` (10⁹) or ``"1.5GiB"`` (2³⁰), or None.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    if value is None:
        return None
    if isinstance(value, str):
        number = value.strip().rstrip("BKMGTIbkmgti")
        unit = value.strip()[len(number) :].upper()
        try:
            size = int(float(number) * _UNITS[unit])
        except (KeyError, ValueError, OverflowError):
            raise ValueError(f'{name} must be bytes or text such as "2GB" or "512MiB", not {value!r}') from None
    elif isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{name} must be a number of bytes or text such as "2GB", not {value!r}')
    else:
        size = value
    if size < LEAST_MEMORY:
        raise ValueError(f"{name} must be at least {LEAST_MEMORY:,} bytes, what a worker needs itself, not {value!r}")
    return size
