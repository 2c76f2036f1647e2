"""What a run has made, and what it has not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Failure", "Summary"]

_NAMES_SHOWN = 3


class Failure(NamedTuple):
    """A file that gave no patches, and why, in one line."""

    path: str
    reason: str


@dataclass
class Summary:
    """The outcome of a run; printable.

    Attributes:
        paths: what was written.
        patches: how many there are.
        shape: of the array, or of one patch where there are files.
        dtype: the type of a sample.
        images: how many images gave patches.
        failures: the files that could not be read, in order.
        small: the names of images from which no patch could be cut, because they are smaller than one.
        flat: windows skipped for their small deviation.
        trimmed: patches left out at the end, so that the number is a multiple of what was asked for.
        changes: what had to be done to images' pixels, and to how many images.
        left_out: kinds of files that were not taken for images, and how many of each.
        unmatched: some of them.
        resumed: how many images an earlier run had done already.
    """

    paths: list[str] = field(default_factory=list)
    patches: int = 0
    shape: tuple[int, ...] = ()
    dtype: str = "uint8"
    images: int = 0
    failures: list[Failure] = field(default_factory=list)
    small: list[str] = field(default_factory=list)
    flat: int = 0
    trimmed: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    unmatched: list[str] = field(default_factory=list)
    resumed: int = 0

    def __str__(self) -> str:
        size = " × ".join(map(str, self.shape))
        lines = [f"patches: {self.patches} of {self.images} images, each {size}, {self.dtype}"]
        if self.resumed:
            lines.append(f"resumed: {self.resumed} images had been done before")
        if self.changes:
            changes = "; ".join(f"{change}: {count}" for change, count in sorted(self.changes.items()))
            lines.append(f"changed: {changes}")
        lines += [f"skipped: {what}" for what in self.skipped()]
        lines.append(f"failed: {len(self.failures)}")
        lines += [f"written: {path}" for path in self.paths]
        return "\n".join(lines)

    def skipped(self) -> list[str]:
        """What gave no patches without being a failure, a line for each reason."""
        lines = []
        if self.small:
            lines.append(f"smaller than a patch: {len(self.small)} images ({_some(self.small)})")
        if self.flat:
            lines.append(f"too flat: {self.flat} windows")
        if self.trimmed:
            lines.append(f"trimmed at the end: {self.trimmed} patches")
        if self.left_out:
            kinds = "; ".join(f"{kind}: {count}" for kind, count in sorted(self.left_out.items()))
            examples = f" ({_some(self.unmatched)})" if self.unmatched else ""
            lines.append(f"not taken for images: {kinds}{examples}")
        return lines


def _some(names: list[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
