"""Cutting patches out of one image, in order, a block of bounded size at a time.

Order: scale by scale, windows row by row, the copies of a window one after the other. A block lies within one scale
and is a rectangle of windows: several whole rows of them, or a part of one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .arrays import Array
from .augment import modes_for, transformed
from .bicubic import resize
from .errors import UnalignedPair
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


class _Windows(NamedTuple):
    """The windows of a grid in a scaled image; `image` is contiguous in memory."""

    image: Array
    rows: Sequence[int]
    columns: Sequence[int]
    side: int

    @classmethod
    def of(cls, image: Array, grid: Grid, side: int) -> _Windows:
        scaled = resize(np.ascontiguousarray(image), grid.height, grid.width)
        missing = grid.padded_height - grid.height, grid.padded_width - grid.width
        if any(missing):
            # Mirrored about the border, not about the last pixel: so pairs of different sizes stay aligned.
            widths = [(0, pixels) for pixels in missing] + [(0, 0)] * (scaled.ndim - 2)
            scaled = np.pad(scaled, widths, mode="symmetric")
        return cls(scaled, grid.rows, grid.columns, side)

    def rectangle(self, some_rows: slice, some_columns: slice) -> Array:
        """Some of the grid's windows: (rows, columns, side, side), or (rows, columns, 3, side, side)."""
        rows, columns = self.rows[some_rows], self.columns[some_columns]
        row_step, column_step = _step(rows), _step(columns)
        if row_step and column_step:
            return self._view(rows, columns, row_step, column_step)
        # The last row or column of an image may be nearer than the others; here at least it is copied.
        height, width = self.image.shape[0] - self.side + 1, self.image.shape[1] - self.side + 1
        copied: Array = self._view(range(height), range(width), 1, 1)[np.ix_(rows, columns)]
        return copied

    def _view(self, rows: Sequence[int], columns: Sequence[int], row_step: int, column_step: int) -> Array:
        # As `sliding_window_view` makes it, in a tenth of the time; bounds are checked here too.
        image, side = self.image, self.side
        row, column, *color = image.strides
        shape = (len(rows), len(columns), *image.shape[2:], side, side)
        strides = (row_step * row, column_step * column, *color, row, column)
        view: Array = np.ndarray(shape, image.dtype, image, rows[0] * row + columns[0] * column, strides)
        return view


def _step(starts: Sequence[int]) -> int:
    """How far a regular grid's windows are from each other; 0 if it is irregular."""
    if isinstance(starts, range):
        return starts.step
    steps = {after - before for before, after in pairwise(starts)}
    return (steps.pop() if steps else 1) if len(steps) <= 1 else 0


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
    copies, count = recipe.copies, views[0].shape[0] * views[0].shape[1]
    numbers = np.arange(first * copies, (first + count) * copies)
    kept = _is_vivid(views[0], recipe.min_std) if recipe.min_std else None
    chosen = None
    if kept is not None and not kept.all():
        chosen = np.flatnonzero(kept)
        numbers = numbers.reshape(count, copies)[chosen].reshape(-1)
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
