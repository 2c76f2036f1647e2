"""Putting right what headers promised and images did not keep.

A plan made from headers may prove wrong in both directions: a truncated file gives no patches, skipped flat windows
leave gaps, and a file that was replaced meanwhile may have more than there is room for. When all images are through,
the true numbers are known; the rows of those that were written are moved to where they belong, so that no gap is
left and every image has the room it needs; then images that had too little of it are cut again.

A file that changes once more between these steps does so only a few times: after that it counts as unreadable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .journal import Record
from .outputs.rows import RowOutput, Shift
from .plan import Bundle, PlannedImage

__all__ = ["is_settled", "settle"]

_ATTEMPTS = 3
_RESTLESS = "it keeps changing while it is being read"


def is_settled(images: Sequence[PlannedImage], records: Sequence[Record], copies: int) -> bool:
    """Whether every image has given as many patches as its header promised."""
    return all(
        record.fits and record.kept * copies == image.patches
        for image, record in zip(images, records, strict=True)
    )  # fmt: skip


def settle(
    images: Sequence[PlannedImage],
    records: Sequence[Record],
    output: RowOutput,
    copies: int,
    cut: Callable[[Bundle], Iterable[Record]],
) -> list[Record]:
    """Give every image the rows that it needs, in order and without gaps.

    Args:
        images: as planned, by number.
        records: what became of them, likewise.
        output: where the patches are.
        copies: how many patches a kept window gives.
        cut: cuts images once more.

    Returns:
        The records, with those of images that were cut again.
    """
    images, records = list(images), list(records)
    for attempt in range(_ATTEMPTS + 1):
        if attempt == _ATTEMPTS:
            records = [record if record.fits else Record(record.number, error=_RESTLESS) for record in records]
        room = sum(image.patches for image in images)
        shifts: list[Shift] = []
        row = 0
        for number, (image, record) in enumerate(zip(images, records, strict=True)):
            rows = (record.kept if record.fits else record.windows) * copies
            if record.fits and rows and row != image.first:
                shifts.append(Shift(image.first, row, rows))
            images[number] = image._replace(first=row, patches=rows)
            row += rows
        output.resize(max(row, room))
        output.move(shifts)
        output.resize(row)
        again = [image for image, record in zip(images, records, strict=True) if not record.fits]
        for record in cut(Bundle(-1, again)) if again else ():
            records[record.number] = record
        if is_settled(images, records, copies):
            break
    return records
