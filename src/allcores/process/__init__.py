"""`Process`: a `multiprocessing.Process` that tells what has become of it.

    face                       the class
    launch                     starting a process, in one of the ways
    fork, forkserver, spawn    the ways
    letter                     what a child reads first, where it inherits nothing
    watched                    a running process, of which many threads may ask
    report                     how the outcome travels
    lifeline                   daemons that end with their parent
    family                     what a process has started

What else `multiprocessing.process` has is found here too, for programs that reach it by
``import allcores as multiprocessing``.
"""

from __future__ import annotations

from allcores.process.face import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Process"]


def __getattr__(name: str) -> Any:
    from multiprocessing import process

    return getattr(process, name)
