"""Files tied into bundles: what one worker task counts.

A round trip to a worker costs as much as counting several small files, so a bundle has some hundreds of them.
How large they are is not asked beforehand: that would cost half of what counting them does. A worker that meets
a file of some size leaves it, and it is dealt with by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .rows import FileFailure
from .walk import Run

__all__ = ["Bundle", "tie_bundles"]

# Two milliseconds of work for the native kernel.
_FILES_IN_A_BUNDLE = 512
# A remote file takes its time however small it is.
_REMOTE_FILES_IN_A_BUNDLE = 4

Bundle = list[Run | FileFailure]
"""Runs of files to count together, with the failures found between them, which keep their places."""


def tie_bundles(items: Iterable[Run | FileFailure]) -> Iterator[Bundle]:
    """Tie neighbours into bundles, drawing the selection only as far as needed."""
    bundle: Bundle = []
    room = _FILES_IN_A_BUNDLE
    for item in items:
        if isinstance(item, FileFailure):
            bundle.append(item)
            room -= 1
        else:
            start = 0
            weight = _FILES_IN_A_BUNDLE // _REMOTE_FILES_IN_A_BUNDLE if item.remote else 1
            while start < len(item.names):
                stop = start + max(room // weight, 1)
                names = item.names[start:stop]
                bundle.append(item._replace(names=names))
                room -= len(names) * weight
                start = stop
                if room <= 0:
                    yield bundle
                    bundle, room = [], _FILES_IN_A_BUNDLE
        if room <= 0:
            yield bundle
            bundle, room = [], _FILES_IN_A_BUNDLE
    if bundle:
        yield bundle
