"""Cutting patches out of one image, in order, a block of bounded size at a time.

Order: scale by scale, windows row by row, the copies of a window one after the other. A block lies within one scale
and is a rectangle of windows: several whole rows of them, or a part of one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .arrays import Array
from .augment import modes_for
from .bicubic import resize
from .errors import UnalignedPair
from .gather import gather
from .grid import Grid, grids
from .recipe import Recipe

__all__ = ["Block", "aligned", "cut"]

# What a block's patches occupy at most, unless one window does more: enough that a write costs little more than the
# copying, little enough to stay in the processor's cache.
_BLOCK_BYTES = 1 << 20


class Block(NamedTuple):
    """Some patches that follow one another.

    Attributes:
        kept: for each window whether its patches are among them; None where no window is skipped for being flat.
        numbers: the patches' numbers in the image; with skipped windows, some are missing.
        patches: for the image, and for its partner where there are pairs: an array of n patches, each with the shape
            that the recipe gives.
    """

    kept: Array | None
    numbers: Array
    patches: tuple[Array, ...]


def cut(images: Sequence[Array], name: str, recipe: Recipe) -> Iterator[Block]:
    """Cut an image into patches.

    Args:
        images: the decoded image, and its partner where the recipe has pairs, `aligned`.
        name: the image's; random augmentations depend on it.
        recipe: what to cut.
    """
    height, width = images[-1].shape[:2]
    all_grids = grids(height, width, recipe)
    modes = modes_for(name, sum(grid.windows for grid in all_grids) * recipe.copies, recipe)
    factors = (recipe.factor, 1) if recipe.factor else (1,)
    for grid in all_grids:
        if grid.windows:
            levels = [
                _Level.of(image, grid.times(factor), side)
                for image, factor, side in zip(images, factors, recipe.sides, strict=True)
            ]
            yield from _blocks(levels, grid, modes, recipe)


def aligned(images: Sequence[Array], recipe: Recipe) -> Sequence[Array]:
    """Crop an image by the few pixels that its partner, being smaller by a whole factor, cannot show.

    Raises:
        UnalignedPair: the partner is not as many times smaller as the recipe says.
    """
    if not recipe.factor:
        return images
    image, partner = images
    height, width = (length * recipe.factor for length in partner.shape[:2])
    spare = image.shape[0] - height, image.shape[1] - width
    if not all(0 <= pixels < recipe.factor for pixels in spare):
        raise UnalignedPair(
            f"its size is {image.shape[1]} × {image.shape[0]} pixels, its partner's "
            f"{partner.shape[1]} × {partner.shape[0]}: not {recipe.factor} times smaller"
        )
    return image[:height, :width], partner


class _Level(NamedTuple):
    """An image at one of its scales; windows begin at `rows` and `columns`, and have sides of `side` pixels."""

    image: Array
    rows: Array
    columns: Array
    side: int

    @classmethod
    def of(cls, image: Array, grid: Grid, side: int) -> _Level:
        scaled = resize(np.ascontiguousarray(image), grid.height, grid.width)
        missing = grid.padded_height - grid.height, grid.padded_width - grid.width
        if any(missing):
            # Mirrored about the border, not about the last pixel: so pairs of different sizes stay aligned.
            widths = [(0, pixels) for pixels in missing] + [(0, 0)] * (scaled.ndim - 2)
            scaled = np.pad(scaled, widths, mode="symmetric")
        return cls(scaled, np.array(grid.rows), np.array(grid.columns), side)

    def part(self, rows: slice, columns: slice) -> _Level:
        """The part of the image that shows some of the windows."""
        tops, lefts = self.rows[rows], self.columns[columns]
        image = self.image[tops[0] : tops[-1] + self.side, lefts[0] : lefts[-1] + self.side]
        return _Level(np.ascontiguousarray(image), tops - tops[0], lefts - lefts[0], self.side)

    def patches(self, windows: Array, modes: Array, channel_axis: str) -> Array:
        """Windows by their numbers, row by row, each augmented in its way."""
        rows, columns = np.divmod(windows, len(self.columns))
        return gather(self.image, self.rows[rows], self.columns[columns], modes, self.side, channel_axis)


def _blocks(levels: Sequence[_Level], grid: Grid, modes: Array, recipe: Recipe) -> Iterator[Block]:
    columns = len(grid.columns)
    at_once = max(1, _BLOCK_BYTES // (recipe.copies * recipe.window_bytes))
    rows_at_once, columns_at_once = max(1, at_once // columns), min(columns, at_once)
    for row in range(0, len(grid.rows), rows_at_once):
        for column in range(0, columns, columns_at_once):
            part = slice(row, row + rows_at_once), slice(column, column + columns_at_once)
            first = grid.first + row * columns + column
            yield _block([level.part(*part) for level in levels], first, modes, recipe)


def _block(levels: Sequence[_Level], first: int, modes: Array, recipe: Recipe) -> Block:
    copies, axis = recipe.copies, recipe.channel_axis
    windows = np.arange(len(levels[0].rows) * len(levels[0].columns))
    kept = None
    if recipe.min_std:
        plain = levels[0].patches(windows, np.zeros(len(windows), np.uint8), axis)
        kept = _is_vivid(plain, recipe.min_std)
        windows = windows[kept]
    numbers = ((first + windows)[:, None] * copies + np.arange(copies)).reshape(-1)
    sources, chosen = np.repeat(windows, copies), modes[numbers]
    return Block(kept, numbers, tuple(level.patches(sources, chosen, axis) for level in levels))


def _is_vivid(patches: Array, min_std: float) -> Array:
    """For each patch whether its samples deviate enough. Summed in integers: no rounding depends on the machine."""
    samples = patches.reshape(len(patches), -1)
    count = samples.shape[1]
    total = samples.sum(axis=1, dtype=np.int64)
    wide = np.uint32 if samples.dtype == np.uint8 else np.uint64
    squares = np.square(samples, dtype=wide).sum(axis=1, dtype=np.int64)
    variance = (squares - total * (total / count)) / count
    vivid: Array = variance >= min_std * min_std
    return vivid
