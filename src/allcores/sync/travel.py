"""How locks and the like get into other processes, and back.

What travels is the number of the record, the token of its slab, and a handle by which the slab's descriptor can be
had where it is not known yet. As with `multiprocessing`, that is only possible on the way to a process of the same
program: while one is being started, in what a pool sends to its workers, and in what these send back.
"""

from __future__ import annotations

import os

from allcores.engine.descriptors import Passed, is_answering
from allcores.sync.memory import Slab
from allcores.sync.records import Record, attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Shared"]

#: Slabs of which a worker has told the program, which will come and open them when it gets there.
_promised: set[Slab] = set()


class Shared:
    """Whatever has its state in a record of shared memory.

    Attributes:
        _record: the record.
    """

    _record: Record

    def __reduce__(self) -> Any:
        handle = _handle(self._record.slab, self)
        return _arrive, (type(self), self._record.slab.token, handle, self._record.number, self._luggage())

    def _luggage(self) -> tuple[Any, ...]:
        """What travels besides the record."""
        return ()

    @classmethod
    def _unpack(cls, record: Record, luggage: tuple[Any, ...]) -> Any:
        """Make the object that has this record."""
        raise NotImplementedError


def _handle(slab: Slab, what: object) -> Any:
    """Something to be pickled with which another process gets at the slab's memory.

    Raises:
        RuntimeError: nobody is known who could.
    """
    from multiprocessing import context, reduction

    starting = context.get_spawning_popen()
    if starting is None:
        if is_answering():
            # The program opens it when it reads the answer, and until then it must not be closed.
            _promised.add(slab)
            return Passed(f"/proc/{os.getpid()}/fd/{slab.fd}", os.O_RDWR | os.O_CLOEXEC)
        raise RuntimeError(
            f"{type(what).__name__} objects can be shared with processes that are being started and with workers of "
            "a pool, as arguments or captured by a function; they cannot be pickled on the way to anywhere else"
        )
    handle = slab.passports.get(starting)
    if handle is None:
        handle = slab.passports[starting] = reduction.DupFd(slab.fd)
    return handle


def _arrive(cls: type[Shared], token: int, handle: Any, number: int, luggage: tuple[Any, ...]) -> Any:
    return cls._unpack(Record(attach(token, handle.detach), number), luggage)
