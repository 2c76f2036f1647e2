"""What is sent to workers once: functions, and shared objects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from allcores.engine.crew import Crew
from allcores.engine.functions import Function, FunctionTable
from allcores.engine.lane import Lanes
from allcores.engine.parcels import same_content
from allcores.engine.reactor import Reactor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Repertoire"]


class Repertoire:
    """Gives functions their numbers, and has workers forget what is not needed.

    Any thread may call its methods, without the lock.

    Args:
        lanes: pickle.
        crew: who is told to forget.
        lock: the scheduler's.
        reactor: where handles end.
    """

    def __init__(self, lanes: Lanes, crew: Crew, lock: Any, reactor: Reactor) -> None:
        self._lanes = lanes
        self._crew = crew
        self._lock = lock
        self._reactor = reactor
        self._table = FunctionTable()

    def function(self, target: Callable[..., Any]) -> Function:
        """The engine's record of a function, pickled if need be.

        Raises:
            Exception: what pickling the function raised.
        """
        function = self._table.find(target)
        if function is not None:
            return function
        blob, by_value = self._lanes.pickle(target)
        with self._lock:
            function = self._table.known(blob, by_value)
        if function is not None and same_content(function.blob, blob):
            return function
        blob = self._lanes.keep(blob)
        with self._lock:
            function = self._table.add(target, blob, by_value)
            for number in self._table.take_forgotten():
                self._forget_in_lanes(number)
        return function

    def unsendable(self, target: Any) -> Function:
        """A record for a function that cannot be pickled, for the call that fails of it."""
        return Function(0, target, b"", None)

    def share(self, value: Any) -> Any:
        """What arrives as `value` when it is, or is part of, an argument.

        Raises:
            Exception: what pickling the value raised.
        """

        def end(number: int) -> None:  # from wherever garbage is collected
            self._reactor.call_soon(partial(self._end_shared, number))

        return self._lanes.share(value, end)

    def forget_large(self) -> None:
        """Let go of functions that carry large buffers; nothing runs."""
        with self._lock:
            self._table.drop_large()
            for number in self._table.take_forgotten():
                self._forget_in_lanes(number)

    def _end_shared(self, number: int) -> None:
        with self._lock:
            self._forget_in_lanes(number)

    def _forget_in_lanes(self, number: int) -> None:
        for lane in self._crew.active:
            lane.forget(number)
