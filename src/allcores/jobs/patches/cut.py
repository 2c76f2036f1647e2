"""Cutting patches out of one image, in order, a block of bounded size at a time.

Order: scale by scale, windows row by row, the copies of a window one after the other. A block lies within one scale
and is a rectangle of windows: several whole rows of them, or a part of one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .arrays import Array
from .augment import modes_for, transformed
from .bicubic import resize
from .errors import UnalignedPair
from .grid import Grid, grids
from .recipe import Recipe

__all__ = ["Block", "cut"]

# What a block's patches occupy at most, unless one window does more: enough that a write costs little more than the
# copying, little enough to stay in the processor's cache.
_BLOCK_BYTES = 1 << 20


class Block(NamedTuple):
    """Some patches that follow one another.

    Attributes:
        kept: for each window of the block whether its patches are among them (flat windows may be skipped).
        numbers: the patches' numbers in the image; with skipped windows, some are missing.
        patches: for the image, and for its partner where there are pairs: an array of n patches, each with the shape
            that the recipe gives.
    """

    kept: Array
    numbers: Array
    patches: tuple[Array, ...]


def cut(images: Sequence[Array], name: str, recipe: Recipe) -> Iterator[Block]:
    """Cut an image into patches.

    Args:
        images: the decoded image, and its partner where the recipe has pairs.
        name: the image's; random augmentations depend on it.
        recipe: what to cut.

    Raises:
        UnalignedPair: the partner is not as many times smaller as the recipe says.
    """
    images = _aligned(images, recipe)
    height, width = images[-1].shape[:2]
    all_grids = list(grids(height, width, recipe))
    modes = modes_for(name, sum(grid.windows for grid in all_grids) * recipe.copies, recipe)
    factors = (recipe.factor, 1) if recipe.factor else (1,)
    for grid in all_grids:
        if grid.windows:
            views = [
                _Windows.of(image, grid.times(factor), side)
                for image, factor, side in zip(images, factors, recipe.sides, strict=True)
            ]
            yield from _blocks(views, grid, modes, recipe)


def _aligned(images: Sequence[Array], recipe: Recipe) -> Sequence[Array]:
    """Crop an image by the few pixels that its partner, being smaller by a whole factor, cannot show."""
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


class _Windows(NamedTuple):
    """The windows of a grid: `everywhere` has one for each pixel, and those at `rows` and `columns` are the grid's."""

    everywhere: Array
    rows: Sequence[int]
    columns: Sequence[int]

    @classmethod
    def of(cls, image: Array, grid: Grid, side: int) -> _Windows:
        scaled = resize(np.ascontiguousarray(image), grid.height, grid.width)
        missing = grid.padded_height - grid.height, grid.padded_width - grid.width
        if any(missing):
            # Mirrored about the border, not about the last pixel: so pairs of different sizes stay aligned.
            widths = [(0, pixels) for pixels in missing] + [(0, 0)] * (scaled.ndim - 2)
            scaled = np.pad(scaled, widths, mode="symmetric")
        return cls(sliding_window_view(scaled, (side, side), axis=(0, 1)), grid.rows, grid.columns)

    def rectangle(self, rows: slice, columns: slice) -> Array:
        """Some of the grid's windows: (rows, columns, side, side), or (rows, columns, 3, side, side)."""
        row_index, column_index = _index(self.rows[rows]), _index(self.columns[columns])
        if isinstance(row_index, slice) and isinstance(column_index, slice):
            return self.everywhere[row_index, column_index]
        return self.everywhere[np.ix_(self.rows[rows], self.columns[columns])]


def _index(starts: Sequence[int]) -> slice | None:
    """A slice where the grid is regular, which makes a view instead of a copy."""
    if isinstance(starts, range):
        return slice(starts.start, starts.stop, starts.step)
    steps = {after - before for before, after in pairwise(starts)}
    return slice(starts[0], starts[-1] + 1, steps.pop() if steps else 1) if len(steps) <= 1 else None


def _blocks(views: Sequence[_Windows], grid: Grid, modes: Array, recipe: Recipe) -> Iterator[Block]:
    columns = len(grid.columns)
    at_once = max(1, _BLOCK_BYTES // (recipe.copies * recipe.window_bytes))
    rows_at_once, columns_at_once = max(1, at_once // columns), min(columns, at_once)
    for row in range(0, len(grid.rows), rows_at_once):
        for column in range(0, columns, columns_at_once):
            part = slice(row, row + rows_at_once), slice(column, column + columns_at_once)
            first = grid.first + row * columns + column
            yield _block([view.rectangle(*part) for view in views], first, modes, recipe)


def _block(views: Sequence[Array], first: int, modes: Array, recipe: Recipe) -> Block:
    height, width = views[0].shape[:2]
    windows = np.arange(height * width)
    kept = _is_vivid(views[0], recipe.min_std) if recipe.min_std else np.ones(len(windows), bool)
    windows = windows[kept]
    numbers = ((first + windows)[:, None] * recipe.copies + np.arange(recipe.copies)).reshape(-1)
    chosen = None if len(windows) == len(kept) else windows
    return Block(kept, numbers, tuple(_augmented(view, chosen, modes[numbers], recipe) for view in views))


def _is_vivid(view: Array, min_std: float) -> Array:
    """For each window whether its samples deviate enough. Summed in integers: no rounding depends on the machine."""
    samples = view.reshape(view.shape[0] * view.shape[1], -1)
    count = samples.shape[1]
    total = samples.sum(axis=1, dtype=np.int64)
    wide = np.uint32 if samples.dtype == np.uint8 else np.uint64
    squares = np.square(samples, dtype=wide).sum(axis=1, dtype=np.int64)
    variance = (squares - total * (total / count)) / count
    vivid: Array = variance >= min_std * min_std
    return vivid


def _augmented(view: Array, chosen: Array | None, modes: Array, recipe: Recipe) -> Array:
    """The patches of a rectangle of windows: all of them, or those that were chosen (by number in the rectangle)."""
    height, width = view.shape[:2]
    patches = np.empty((len(modes), *recipe.shape(view.shape[-1])), view.dtype)
    # Seen as (patches, side, side) or (patches, 3, side, side), like the windows, whatever the layout in memory.
    seen = np.moveaxis(patches, -1, 1) if recipe.is_interleaved else patches.reshape(len(modes), *view.shape[2:])
    if chosen is None and recipe.modes is not None:
        whole = seen.reshape(height, width, recipe.copies, *seen.shape[1:])
        for copy, mode in enumerate(recipe.modes):
            whole[:, :, copy] = transformed(view, mode)
        return patches
    sources = np.repeat(np.arange(height * width) if chosen is None else chosen, recipe.copies)
    rows, columns = np.divmod(sources, width)
    for mode in np.unique(modes):
        where = np.flatnonzero(modes == mode)
        seen[where] = transformed(view[rows[where], columns[where]], int(mode))
    return patches
