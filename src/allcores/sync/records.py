"""Where an object has its place, and what a process knows: its slabs, and its part of each object."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

from allcores.sync.claims import Kind, claim_to
from allcores.sync.memory import Slab
from allcores.sync.native import SEMAPHORE_SIZE, counting, init_semaphore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Record", "attach", "core_of", "new_record"]


class Record:
    """One object's place in a slab.

    Attributes:
        slab: the slab; held by every record, and so kept.
        number: the record's number.
        address: of its first semaphore; there are three.
        word: where its words begin in `slab.words`; there are eight.
        byte: the same in `slab.raw`.
    """

    __slots__ = ("__weakref__", "address", "byte", "number", "slab", "word")

    def __init__(self, slab: Slab, number: int) -> None:
        at = slab.record_at(number)
        self.slab = slab
        self.number = number
        self.address = slab.address + at
        self.byte = at + 3 * SEMAPHORE_SIZE
        self.word = self.byte // 4

    def claim(self, kind: Kind) -> int:
        """The claim of this kind on this record."""
        return claim_to(self.number, kind)

    def semaphore(self, which: int, value: int | None, kind: int, maximum: int) -> Any:
        """One of the record's three semaphores; it is given a value where the record is new."""
        address = self.address + SEMAPHORE_SIZE * which
        if value is not None:
            init_semaphore(address, value)
        return counting(address, kind, maximum)


#: The slabs that this process knows, by token. They live as long as anything in them is referred to.
_known: weakref.WeakValueDictionary[int, Slab] = weakref.WeakValueDictionary()
_lock = threading.RLock()
_current: weakref.ref[Slab] | None = None


def new_record() -> Record:
    """A place for a new object."""
    global _current
    with _lock:
        slab = _current() if _current is not None else None
        number = slab.take_record() if slab is not None else None
        if slab is None or number is None:
            slab = Slab.make()
            _known[slab.token] = slab
            _current = weakref.ref(slab)
            number = slab.take_record()
            assert number is not None
        return Record(slab, number)


def core_of(record: Record, make: Callable[[Record], Any]) -> Any:
    """What this process keeps of an object, made where it has nothing of it yet: copies of a lock share it.

    Args:
        record: the object's place.
        make: makes the core; it must take a weak reference, and have a method ``forked``.
    """
    with _lock:
        core = record.slab.cores.get(record.number)
        if core is None:
            core = record.slab.cores[record.number] = make(record)
        return core


def attach(token: int, detach: Any) -> Slab:
    """The slab with this token.

    Args:
        token: as it was pickled.
        detach: opens the slab's descriptor in this process.

    Raises:
        OSError: the memory is gone, with the process that it came from.
    """
    with _lock:
        slab = _known.get(token)
        if slab is None:
            try:
                fd = detach()
            except OSError as error:
                raise OSError(
                    error.errno, "a lock, semaphore or the like is gone: the process that has sent it has ended"
                ) from error
            slab = Slab.open(fd, token)
            _known[token] = slab
        return slab


def _forked() -> None:
    global _lock, _current
    _lock = threading.RLock()
    _current = None
    for slab in list(_known.values()):
        slab.forked()


os.register_at_fork(after_in_child=_forked)
