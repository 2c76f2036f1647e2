"""`Event`: that of `multiprocessing`, which a signal handler may set, whatever it has interrupted."""

from __future__ import annotations

import time

from allcores.sync.claims import Kind
from allcores.sync.native import fence
from allcores.sync.records import Record, core_of, new_record
from allcores.sync.travel import Shared
from allcores.sync.waiting import Berth, deadline_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Event"]


class _Core:
    """An event's words.

    Attributes:
        flag: where it says whether the event is set, in `slab.words`.
        generation: a number that each `set` changes, in `slab.longs`: who waits sees that the event was set, also
            when it has been cleared since.
        claim: of those that wait.
    """

    __slots__ = ("__weakref__", "claim", "flag", "generation", "record", "slab")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.slab = record.slab
        self.flag = record.word
        self.generation = record.byte // 8 + 1
        self.claim = record.claim(Kind.WAITING)

    def forked(self) -> None:
        pass


class Event(Shared):
    """A flag that processes and threads set, clear and wait for: `multiprocessing.Event`.

    It can be passed to tasks of a pool and to processes. There is no lock in it: `set` never waits, neither for
    processes that have died while waiting nor for the thread that a signal handler has interrupted.
    """

    def __init__(self) -> None:
        self._set_up(new_record())

    def _set_up(self, record: Record) -> None:
        self._core = core_of(record, _Core)
        self._record = self._core.record

    @classmethod
    def _unpack(cls, record: Record, luggage: tuple[Any, ...]) -> Any:
        event = cls.__new__(cls)
        event._set_up(record)
        return event

    def is_set(self) -> bool:
        """Whether the event is set."""
        core = self._core
        return core.slab.words[core.flag] != 0  # type: ignore[no-any-return]

    def set(self) -> None:
        """Set it, and wake all who wait."""
        core = self._core
        slab = core.slab
        slab.words[core.flag] = 1
        slab.longs[core.generation] = time.monotonic_ns()
        fence()  # whoever begins to wait from now on sees that, or we see him
        for slot in slab.claims(core.claim):
            slab.ring(slot)

    def clear(self) -> None:
        """Reset it."""
        core = self._core
        core.slab.words[core.flag] = 0

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set.

        Args:
            timeout: seconds to wait at most; None for as long as it takes.

        Returns:
            Whether it was set, at the beginning or meanwhile.
        """
        core = self._core
        slab, flag = core.slab, core.flag
        if slab.words[flag]:
            return True
        generation = slab.longs[core.generation]
        deadline = deadline_of(timeout)
        with Berth(slab, core.claim) as berth:
            return berth.sleep(lambda: slab.words[flag] or slab.longs[core.generation] != generation, deadline)

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} at {id(self):#x} {'set' if self.is_set() else 'unset'}>"
