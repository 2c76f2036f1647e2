"""What a slot can say."""

from __future__ import annotations

import enum

__all__ = ["EVIDENCE", "Kind", "claim_to", "kind_of"]

_SHIFT = 24


class Kind(enum.IntEnum):
    """What the user of a slot does with an object.

    Below 64, so that a claim stays a small integer for Python, whose stores cost half as much as those of others.
    """

    #: Holds the lock, or is about to try it, or has just given it back.
    LOCK = 1
    #: Is about to take a permit of a semaphore, or has just given it back.
    TRYING = 2
    #: Has a permit, in a with block.
    PERMIT = 3
    #: Waits for an event.
    WAITING = 4
    #: Sleeps in a condition.
    SLEEPING = 5
    #: Has been woken there, and may not know yet.
    WOKEN = 6
    #: Waits in a barrier.
    ARRIVED = 7
    #: Has been let pass there, and may not know yet.
    PASSED = 8
    #: Has had the barrier broken, and may not know yet.
    BROKEN = 9
    #: Has to do with a barrier.
    PARTY = 10


#: What a dead process has left for somebody who has still to act upon it, or may be about to write to it.
EVIDENCE = frozenset((Kind.TRYING, Kind.PERMIT, Kind.SLEEPING, Kind.ARRIVED, Kind.PARTY))


def claim_to(record: int, kind: Kind) -> int:
    """The claim of a kind to the object with this record."""
    return kind << _SHIFT | record


def kind_of(claim: int) -> int:
    """The kind of a claim; 0 for no claim."""
    return claim >> _SHIFT
