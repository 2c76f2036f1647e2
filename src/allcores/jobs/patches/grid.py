"""Where the windows of an image lie. Pure arithmetic: whoever counts patches needs no pixels.

For pairs the grid is that of the smaller images, the partners; in the larger ones every length is `factor` times
as long. So both show the same, to the pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from .recipe import Recipe

__all__ = ["Grid", "grids", "windows_in"]


class Grid(NamedTuple):
    """The windows of one scale of an image.

    Attributes:
        scale: the scale as it was asked for.
        height, width: what the image is scaled to.
        rows, columns: where windows begin, in pixels of the scaled image.
        first: the number of the first window among all of the image.
        padded_height, padded_width: what the scaled image is mirrored up to; mostly its own size.
    """

    scale: float
    height: int
    width: int
    rows: Sequence[int]
    columns: Sequence[int]
    first: int
    padded_height: int
    padded_width: int

    @property
    def windows(self) -> int:
        """How many there are. They are numbered row by row."""
        return len(self.rows) * len(self.columns)

    def times(self, factor: int) -> Grid:
        """The same grid in an image that is so many times as large."""
        if factor == 1:
            return self
        return Grid(
            self.scale,
            self.height * factor,
            self.width * factor,
            [row * factor for row in self.rows],
            [column * factor for column in self.columns],
            self.first,
            self.padded_height * factor,
            self.padded_width * factor,
        )


@lru_cache(maxsize=64)  # collections mostly have images of a few sizes, and each is asked about several times
def grids(height: int, width: int, recipe: Recipe) -> Sequence[Grid]:
    """The grid of each scale, in the order of the recipe.

    Args:
        height, width: of the image, in pixels; where there are pairs, of the smaller one.
        recipe: what to cut.
    """
    divisor = recipe.factor or 1
    patch, stride = recipe.patch // divisor, recipe.stride // divisor
    found: list[Grid] = []
    first = 0
    for scale in recipe.scales:
        scaled = int(height * scale), int(width * scale)
        rows, columns = (_positions(length, patch, stride, recipe.edge) for length in scaled)
        padded = (max(length, starts[-1] + patch) if starts else length
                  for length, starts in zip(scaled, (rows, columns), strict=True))  # fmt: skip
        found.append(Grid(scale, *scaled, rows, columns, first, *padded))
        first += found[-1].windows
    return tuple(found)


def windows_in(height: int, width: int, recipe: Recipe) -> int:
    """How many windows an image of this size (for pairs: its partner's) has over all scales."""
    return sum(grid.windows for grid in grids(height, width, recipe))


def _positions(length: int, patch: int, stride: int, edge: str) -> Sequence[int]:
    """Where windows begin along one side of the image."""
    if length == 0:
        return ()
    if edge == "pad":
        last = -(-max(length - patch, 0) // stride) * stride
        return range(0, min(last, length - 1) + 1, stride)  # a long stride may step over the rest
    starts = range(0, length - patch + 1, stride)
    if edge == "shift" and starts and starts[-1] + patch < length:
        return [*starts, length - patch]
    return starts
