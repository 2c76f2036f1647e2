"""Collecting windows of an image, each turned or mirrored in its own way, in as few copies as there can be.

Turning a window is the same as taking a window of the turned image, somewhere else. So it is the image that is
turned, in up to eight ways, which is quick because windows overlap and there is far more of them than of the image;
then one indexing operation copies each window, line by line, to its place. Turning every window by itself would copy
it twice, and pixel by pixel.
"""

from __future__ import annotations

import cv2
import numpy as np

from .arrays import Array
from .recipe import MODES

__all__ = ["gather"]

# What the modes of `recipe.MODES` do: first, if at all, exchange rows and columns; then mirror left and right, or up
# and down, or both.
_IS_TRANSPOSED = (False, False, True, True, False, False, True, True)
_IS_MIRRORED = (False, False, False, False, True, True, True, True)
_IS_UPSIDE_DOWN = (False, True, True, False, True, False, False, True)

# What OpenCV calls flipping, by whether it is upside down and whether it is mirrored.
_FLIPS = {(True, False): 0, (False, True): 1, (True, True): -1}

# An image that is so many times as long as it is wide, and not more, is turned within one square with the others.
_LONGEST_IN_A_SQUARE = 2


def gather(image: Array, rows: Array, columns: Array, modes: Array, side: int, channel_axis: str) -> Array:
    """Collect augmented windows.

    Args:
        image: rows, columns and perhaps colours; contiguous in memory.
        rows, columns: where each window begins, in pixels.
        modes: how each is augmented.
        side: the length of a window's sides.
        channel_axis: where the colours are to be in a window's shape: ``"none"``, ``"last"`` or ``"first"``.

    Returns:
        An array of windows, in the order in which they were asked for.
    """
    is_transposed = np.array(_IS_TRANSPOSED)[modes]
    is_mixed = is_transposed.any() and not is_transposed.all()
    length, width = max(image.shape[:2]), min(image.shape[:2])
    if not is_mixed or length <= _LONGEST_IN_A_SQUARE * width:
        return _gather(image, rows, columns, modes, side, channel_axis)
    windows: Array | None = None
    for which in (np.flatnonzero(~is_transposed), np.flatnonzero(is_transposed)):
        part = _gather(image, rows[which], columns[which], modes[which], side, channel_axis)
        if windows is None:
            windows = np.empty((len(modes), *part.shape[1:]), part.dtype)
        windows[which] = part
    assert windows is not None
    return windows


def _gather(image: Array, rows: Array, columns: Array, modes: Array, side: int, channel_axis: str) -> Array:
    """Collect windows out of one stack of the image turned in every way that occurs."""
    used = np.flatnonzero(np.bincount(modes, minlength=len(MODES))).tolist() or [0]
    turned = [_turned(image, mode) for mode in used]
    height, width = (max(each.shape[axis] for each in turned) for axis in (0, 1))
    stack = turned[0][None]
    if len(turned) > 1:
        stack = np.empty((len(turned), height, width, *image.shape[2:]), image.dtype)
        for place, each in enumerate(turned):
            stack[place, : each.shape[0], : each.shape[1]] = each
    # Where a window begins in the stack depends linearly on where it begins in the image, for each mode.
    tables = [(0, 0, 0)] * len(MODES)
    for place, (mode, each) in enumerate(zip(used, turned, strict=True)):
        start, down, across = place * height * width, width, 1
        if _IS_UPSIDE_DOWN[mode]:
            start, down = start + (each.shape[0] - side) * width, -down
        if _IS_MIRRORED[mode]:
            start, across = start + each.shape[1] - side, -across
        tables[mode] = (start, across, down) if _IS_TRANSPOSED[mode] else (start, down, across)
    first, by_row, by_column = np.array(tables, np.intp).T
    starts = first[modes] + by_row[modes] * rows + by_column[modes] * columns
    windows: Array = _windows_everywhere(stack, width, side, channel_axis)[starts]
    return windows


def _turned(image: Array, mode: int) -> Array:
    flip = _FLIPS.get((_IS_UPSIDE_DOWN[mode], _IS_MIRRORED[mode]))
    turned: Array = cv2.transpose(image) if _IS_TRANSPOSED[mode] else image
    return turned if flip is None else cv2.flip(turned, flip)


def _windows_everywhere(stack: Array, width: int, side: int, channel_axis: str) -> Array:
    """A view with a window for every pixel of a stack of images; those across borders make no sense."""
    channels = stack.shape[3] if stack.ndim == 4 else 1
    sample, pixel, line = stack.itemsize, channels * stack.itemsize, width * channels * stack.itemsize
    shape, strides = {
        "none": ((side, side), (line, pixel)),
        "last": ((side, side, channels), (line, pixel, sample)),
        "first": ((channels, side, side), (sample, line, pixel)),
    }[channel_axis]
    count = stack.nbytes // pixel - (side - 1) * (width + 1)
    windows: Array = np.ndarray((count, *shape), stack.dtype, stack, 0, (pixel, *strides))
    return windows
