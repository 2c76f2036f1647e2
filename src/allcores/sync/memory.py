"""The shared memory in which locks, semaphores and all the others live, and how processes find it.

A *slab* is one piece of anonymous memory (a memfd), shared by every process that has one of its objects, and gone
with the last of them: there is no name to remove. It holds

- **records**, one for each object: its semaphores and a few words;
- **slots**, in *chunks* of eight. A chunk belongs to one process, whose identity stands in front; a slot is used by
  one thread of it at a time, and says what that thread is doing: its *claim*. A claim is a kind and a record in one
  word, such as "holds, or is about to try, lock 7". Who has died is known by the chunk, what of by the claim.

    header | owners of chunks | claims | tickets | bells | counts | records

A claim is written by its slot's user, and by others only where it is evidence that the user has left for them.
Stores are single words, which no reader sees by halves. Records are never used again for another object; slots are,
and the chunks of dead processes, unless a claim in them is still evidence for somebody.

The memory is touched as it is needed: a first lock costs six pages.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import sys
import weakref
from collections.abc import Callable

from allcores.engine.barrier import register
from allcores.sync.claims import EVIDENCE, kind_of
from allcores.sync.life import Lives, own_identity, pid_of
from allcores.sync.native import GATE_SIZE, SEMAPHORE, SEMAPHORE_SIZE, Gate, counting, init_semaphore, post

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.sync.life import Identity

__all__ = ["Slab"]

_MAGIC = 0x616C6C636F726531  # changes with the layout

CHUNK = 8
_CHUNKS = 16384
_SLOTS = CHUNK * _CHUNKS
_RECORDS = 2048
_RECORD_SIZE = 128

_GATE = 1024
_OWNERS = 4096
_CLAIMS = _OWNERS + 16 * _CHUNKS
_TICKETS = _CLAIMS + 4 * _SLOTS
_BELLS = _TICKETS + 8 * _SLOTS
_COUNTS = _BELLS + SEMAPHORE_SIZE * _SLOTS
_FIRST_RECORD = _COUNTS + SEMAPHORE_SIZE * _SLOTS
_SIZE = _FIRST_RECORD + _RECORD_SIZE * _RECORDS

#: Words of the header.
_AT_MAGIC, _AT_TOKEN, _AT_CHUNKS = 0, 1, 2

_FIRST_SLOT = _CLAIMS // 4
_FIRST_OWNER = _OWNERS // 8

#: Once there are this many chunks, those of the dead are looked for before a new one is begun. If there are none,
#: twice as many have to be used before it is worth another look.
_MANY_CHUNKS = 32


class Slab:
    """One piece of shared memory, as this process sees it.

    Any thread, and any signal handler, may call its methods. What is not atomic by itself happens behind `gate`.

    Attributes:
        fd: its descriptor.
        token: its name in this program.
        words, longs, raw: the memory in units of 4, 8 and 1 bytes.
        gate: where what is done excludes all other threads of all processes.
        free: slots of this process that nobody uses.
        cores: what this process has of each record, by the record's number.
    """

    def __init__(self, fd: int, token: int) -> None:
        self.fd = fd
        self.token = token
        self._map = _map(fd)
        self.raw = memoryview(self._map)
        self.words = self.raw.cast("I")
        self.longs = self.raw.cast("Q")
        self.address = _address(self._map)
        self.gate = Gate(self.address + _GATE)
        self.free: list[int] = []
        self.cores: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.passports: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._bells: dict[int, Any] = {}
        self._counts: dict[int, Any] = {}
        self._chunks: dict[int, object] = {}
        self._many_chunks = _MANY_CHUNKS
        self._next_record = 0
        self._lives: Lives | None = None

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.fd)

    @classmethod
    def make(cls) -> Slab:
        """A new one, known to this process only."""
        import fcntl

        fd = os.memfd_create("allcores-sync", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, _SIZE)
            # Whoever has the descriptor could shrink the memory, and so kill with SIGBUS whoever has it mapped.
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        except BaseException:
            os.close(fd)
            raise
        slab = cls(fd, int.from_bytes(os.urandom(8), "little"))
        Gate.make(slab.address + _GATE)
        slab.longs[_AT_TOKEN] = slab.token
        slab.longs[_AT_CHUNKS] = 1  # slot 0 is nobody's, so that 0 can mean none
        slab.longs[_AT_MAGIC] = _MAGIC
        return slab

    @classmethod
    def open(cls, fd: int, token: int) -> Slab:
        """One that another process has made.

        Raises:
            OSError: what the descriptor stands for is something else.
        """
        try:
            slab = cls(fd, token)
        except ValueError as error:
            raise OSError(f"what has come in the place of a lock's memory is something else: {error}") from error
        if (slab.longs[_AT_MAGIC], slab.longs[_AT_TOKEN]) != (_MAGIC, token):
            raise OSError("what has come in the place of a lock's memory is something else")
        slab._next_record = _RECORDS  # who has made it fills it
        return slab

    # Records

    def take_record(self) -> int | None:
        """The number of a fresh record; None when all are used. Only for who has made the slab."""
        if self._next_record == _RECORDS:
            return None
        self._next_record += 1
        return self._next_record - 1

    def record_at(self, number: int) -> int:
        """Where a record begins, in bytes from the slab's beginning."""
        return _FIRST_RECORD + _RECORD_SIZE * number

    # Slots

    def slot(self) -> int:
        """Take a slot; it is given back by appending it to `free`.

        Returns:
            Where its claim is, in `words`; never 0.

        Raises:
            OSError: more threads use the slab at once than it has room for.
        """
        while True:
            try:
                return self.free.pop()
            except IndexError:
                self.gate.run(self._enlist)

    def _enlist(self) -> None:
        """Take a chunk for this process."""
        me = self.lives.me
        longs = self.longs
        number = self._vacant_chunk()
        first = _FIRST_SLOT + CHUNK * number
        for slot in range(first, first + CHUNK):
            self.words[slot] = 0
            init_semaphore(self._bell_address(slot), 0)
            init_semaphore(self._count_address(slot), 0)
        owner = _FIRST_OWNER + 2 * number
        longs[owner + 1] = me[1]
        longs[owner] = me[0]  # last: this makes it ours
        longs[_AT_CHUNKS] = max(longs[_AT_CHUNKS], number + 1)
        self.free.extend(range(first, first + CHUNK))

    def _vacant_chunk(self) -> int:
        """A chunk that nobody has, marked as taken in this process."""
        used: int = self.longs[_AT_CHUNKS]
        vacant: list[int] = []
        if used >= self._many_chunks:
            vacant = [number for number in range(1, used) if self._is_vacant(number)]
            self._many_chunks = used if vacant else 2 * used
        # A signal handler may come here while the thread that it has interrupted is here as well.
        mark = object()
        for number in itertools.chain(vacant, range(used, _CHUNKS)):
            if self._chunks.setdefault(number, mark) is mark:
                return number
        raise OSError("too many processes use too many locks at the same time")

    def _is_vacant(self, number: int) -> bool:
        return not self.lives.alive(self._owner(number)) and not self._is_evidence(number)

    def _is_evidence(self, number: int) -> bool:
        first = _FIRST_SLOT + CHUNK * number
        return any(kind_of(claim) in EVIDENCE for claim in self.words[first : first + CHUNK])

    def claims(self, claim: int) -> list[int]:
        """The slots in which this claim stands now, of living and dead processes."""
        return self.found(self.snapshot(), claim)

    def snapshot(self) -> bytes:
        """All claims of this moment, for `found`; each slot is read once."""
        return self.raw[_CLAIMS : _CLAIMS + 4 * CHUNK * self.longs[_AT_CHUNKS]].tobytes()

    @staticmethod
    def found(snapshot: bytes, claim: int) -> list[int]:
        """The slots in which a claim stood when the snapshot was made."""
        pattern = claim.to_bytes(4, sys.byteorder)
        slots = []
        at = snapshot.find(pattern)
        while at >= 0:
            if not at & 3:
                slots.append(_FIRST_SLOT + (at >> 2))
            at = snapshot.find(pattern, at + 1)
        return slots

    def ticket_at(self, slot: int) -> int:
        """Where a slot's ticket, a number with which its user waits, is in `longs`."""
        return _TICKETS // 8 + slot - _FIRST_SLOT

    # Bells: a semaphore for each slot, to sleep on

    def _bell_address(self, slot: int) -> int:
        return self.address + _BELLS + SEMAPHORE_SIZE * (slot - _FIRST_SLOT)

    def bell(self, slot: int) -> Any:
        """The `SemLock` of a slot, on which its user sleeps; it may ring without need."""
        bell = self._bells.get(slot)
        if bell is None:
            bell = self._bells[slot] = counting(self._bell_address(slot), SEMAPHORE, 1 << 20)
        return bell

    def ring(self, slot: int) -> None:
        """Wake the user of a slot."""
        post(self._bell_address(slot))

    # Counts: another one for each slot, which says how often its claim is meant. Not the bell, since a ring that comes
    # late, for who has had the slot before, would count.

    def _count_address(self, slot: int) -> int:
        return self.address + _COUNTS + SEMAPHORE_SIZE * (slot - _FIRST_SLOT)

    def count(self, slot: int) -> Any:
        """The `SemLock` that counts for a slot; 0 while nobody uses it."""
        count = self._counts.get(slot)
        if count is None:
            count = self._counts[slot] = counting(self._count_address(slot), SEMAPHORE, 1 << 20)
        return count

    # Processes

    @property
    def lives(self) -> Lives:
        """Who lives, as this process knows it. It is registered on the way."""
        lives = self._lives
        if lives is None:
            register()  # so that a barrier reaches it
            lives = self._lives = Lives(own_identity())
        return lives

    def _owner(self, number: int) -> Identity:
        owner = _FIRST_OWNER + 2 * number
        return self.longs[owner], self.longs[owner + 1]

    def owner(self, slot: int) -> Identity:
        """The process that a slot belongs to."""
        return self._owner((slot - _FIRST_SLOT) // CHUNK)

    def alive(self, slot: int) -> bool:
        """Whether the process that a slot belongs to lives."""
        return self.lives.alive(self.owner(slot))

    def is_ours(self, slot: int) -> bool:
        """Whether a slot belongs to this process."""
        return self.owner(slot) == self.lives.me

    def pid(self, slot: int) -> int:
        """The process id of the process that a slot belongs, or belonged, to."""
        return pid_of(self.owner(slot))

    def forked(self) -> None:
        """In a forked child: slots, and who we are, were the parent's."""
        self.free.clear()
        self._chunks.clear()
        self._lives = None
        self._next_record = _RECORDS
        for core in list(self.cores.values()):
            core.forked()


def _map(fd: int) -> mmap.mmap:
    options: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}  # else it keeps one of its own
    return mmap.mmap(fd, _SIZE, **options)


def _address(memory: Any) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


assert _GATE + GATE_SIZE <= _OWNERS
