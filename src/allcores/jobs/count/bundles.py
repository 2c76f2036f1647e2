"""Files tied into bundles: what one worker task counts.

A round trip to a worker costs as much as counting several small files, and a bundle of large ones would leave
the other workers idle at the end. So a bundle is weighed: each file by its size, and none by less than
what opening it costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .files import count_regular_file, failure_reason
from .kernel import BLOCK_SIZE, InvalidText
from .rows import FileFailure
from .selection import Found

__all__ = ["Bundle", "Outcome", "count_bundle", "tie_bundles"]

# Opening and closing a file takes as long as counting about this many bytes.
_WEIGHT_OF_OPENING = 16 * 1024
# Two or three milliseconds of work: some MB, or some hundreds of small files.
_WEIGHT_OF_A_BUNDLE = 4 * 1024 * 1024

Outcome = tuple[int, int] | str
"""What a worker sends back for one file: lines and characters, or the reason why there are none."""


class Bundle(NamedTuple):
    """Paths to count together, with the failures found between them, which keep their places."""

    items: list[str | FileFailure]
    weight: int

    def paths(self) -> list[str]:
        """What there is to count: all that a worker needs to be sent."""
        return [item for item in self.items if isinstance(item, str)]


def tie_bundles(selection: Iterable[Found | FileFailure]) -> Iterator[Bundle]:
    """Tie neighbours into bundles of about equal weight, drawing the selection only as far as needed."""
    items: list[str | FileFailure] = []
    weight = 0
    for item in selection:
        if isinstance(item, FileFailure):
            items.append(item)
            weight += _WEIGHT_OF_OPENING
        else:
            items.append(item.path)
            weight += max(item.size, _WEIGHT_OF_OPENING)
        if weight >= _WEIGHT_OF_A_BUNDLE:
            yield Bundle(items, weight)
            items, weight = [], 0
    if items:
        yield Bundle(items, weight)


def count_bundle(numbered: tuple[int, list[str]]) -> tuple[int, list[Outcome]]:
    """The worker's task: count the paths of bundle number so-and-so, one outcome for each, in their order."""
    number, paths = numbered
    buffer = bytearray(BLOCK_SIZE)
    return number, [_outcome(path, buffer) for path in paths]


def _outcome(path: str, buffer: bytearray) -> Outcome:
    try:
        return count_regular_file(path, buffer)
    except (OSError, InvalidText) as error:
        return failure_reason(error)
