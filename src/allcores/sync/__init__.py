"""Locks, semaphores, events, conditions and barriers: those of `multiprocessing`, which do not wait for the dead.

    memory      what processes share: slabs with records and slots        life       who lives
    native      the C library's semaphores and mutexes                    travel     into other processes, and back
    lock        `Lock`, `RLock`                  their waiting and taking over are in keeper
    semaphore   `Semaphore`, `BoundedSemaphore`  their waiting and giving back are in permits
    event, condition, barrier                    their sleeping is in waiting

On Linux with glibc they are in anonymous shared memory. Elsewhere the names are the standard library's own classes,
made so that they can be passed to workers.
"""

from __future__ import annotations

from allcores.sync.native import is_supported

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]

if is_supported():
    from allcores.sync.barrier import Barrier
    from allcores.sync.condition import Condition
    from allcores.sync.event import Event
    from allcores.sync.lock import Lock, RLock
    from allcores.sync.semaphore import BoundedSemaphore, Semaphore
else:  # untested
    from multiprocessing import get_context

    _context = get_context("spawn")  # what is made for spawn can be passed on
    Barrier = _context.Barrier  # type: ignore[assignment, misc]
    BoundedSemaphore = _context.BoundedSemaphore  # type: ignore[assignment, misc]
    Condition = _context.Condition  # type: ignore[assignment, misc]
    Event = _context.Event  # type: ignore[assignment, misc]
    Lock = _context.Lock  # type: ignore[assignment, misc]
    RLock = _context.RLock  # type: ignore[assignment, misc]
    Semaphore = _context.Semaphore  # type: ignore[assignment, misc]
