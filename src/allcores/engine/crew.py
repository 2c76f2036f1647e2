"""The lanes of a pool, by what can be asked of them."""

from __future__ import annotations

from collections.abc import Iterator

from allcores.engine import batching
from allcores.engine.functions import Function
from allcores.engine.lane import Lane, LaneState

__all__ = ["Crew"]


class Crew:
    """Who is there, who is idle, who has room. The scheduler's lock guards it.

    Attributes:
        active: lanes that are starting or open.
        leaving: those that have been told to end.
        starting: how many are starting.
        made: how many there have ever been.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.active: list[Lane] = []
        self.leaving: set[Lane] = set()
        self.starting = 0
        self.made = 0
        self._idle: list[Lane] = []  # a stack: the lane used last is the warmest
        self._roomy: set[Lane] = set()  # busy, and could be given one more batch

    def __iter__(self) -> Iterator[Lane]:
        yield from self.active
        yield from self.leaving

    def next_number(self) -> int:
        """The number of a lane to be made."""
        self.made += 1
        return self.made

    def add(self, lane: Lane) -> None:
        """A lane has been made and is starting."""
        self.active.append(lane)
        self.starting += 1

    @property
    def full(self) -> bool:
        """Whether there may be no more lanes."""
        return len(self.active) >= self._size

    @property
    def idle(self) -> int:
        """How many lanes have nothing to do."""
        return len(self._idle)

    @property
    def spent(self) -> bool:
        """Whether nobody can take anything, and nobody may be added."""
        return not self._idle and not self._roomy and len(self.active) >= self._size

    def first_idle(self) -> Lane | None:
        """The idle lane to be used next, which stays idle."""
        return self._idle[-1] if self._idle else None

    def pop_idle(self) -> Lane | None:
        """The idle lane to be used next."""
        return self._idle.pop() if self._idle else None

    def lane_for(self, function: Function) -> Lane | None:
        """The lane that can have tasks of a function soonest."""
        if self._idle:
            return self._idle.pop()
        if self._roomy and batching.may_prefetch(function):
            return self._roomy.pop()
        return None

    def reserve(self, lane: Lane) -> bool:
        """Keep an idle lane for a moment. Whether it was idle."""
        if lane not in self._idle:
            return False
        self._idle.remove(lane)
        return True

    def note_idle(self, lane: Lane) -> None:
        """A lane has nothing to do."""
        self._roomy.discard(lane)
        if lane not in self._idle:
            self._idle.append(lane)

    def note_room(self, lane: Lane) -> None:
        """A lane runs its only batch, and could be given another."""
        self._roomy.add(lane)

    def note_full(self, lane: Lane) -> None:
        """A lane is to be given nothing for now."""
        self._roomy.discard(lane)

    def retire(self, lane: Lane) -> None:
        """A lane is being told to end."""
        lane.state = LaneState.ENDING
        self.active.remove(lane)
        self.leaving.add(lane)
        self._drop(lane)

    def opened(self) -> None:
        """A lane that was starting has started."""
        self.starting -= 1

    def ended(self, lane: Lane) -> None:
        """A lane is gone."""
        if lane.state is LaneState.STARTING:
            self.starting -= 1
        lane.state = LaneState.ENDED
        if lane in self.active:
            self.active.remove(lane)
        self.leaving.discard(lane)
        self._drop(lane)

    def _drop(self, lane: Lane) -> None:
        self._roomy.discard(lane)
        if lane in self._idle:
            self._idle.remove(lane)

    def clear(self) -> None:
        """Forget all."""
        self.active.clear()
        self.leaving.clear()
        self._idle.clear()
        self._roomy.clear()
