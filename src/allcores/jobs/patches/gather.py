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

__all__ = ["gather"]

# What the modes of `recipe.MODES` do: first, if at all, exchange rows and columns; then mirror left and right, or up
# and down, or both.
_IS_TRANSPOSED = np.array([0, 0, 1, 1, 0, 0, 1, 1], bool)
_IS_MIRRORED = np.array([0, 0, 0, 0, 1, 1, 1, 1], bool)
_IS_UPSIDE_DOWN = np.array([0, 1, 1, 0, 1, 0, 0, 1], bool)

# What OpenCV calls flipping by 1 (upside down) and 2 (mirrored).
_FLIPS = {1: 0, 2: 1, 3: -1}


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
    is_transposed = _IS_TRANSPOSED[modes]
    if not is_transposed.any():
        return _gather_flipped(image, rows, columns, modes, side, channel_axis)
    transposed = cv2.transpose(image)
    if is_transposed.all():
        return _gather_flipped(transposed, columns, rows, modes, side, channel_axis)
    windows: Array | None = None
    for wanted, source, tops, lefts in ((False, image, rows, columns), (True, transposed, columns, rows)):
        which = np.flatnonzero(is_transposed == wanted)
        part = _gather_flipped(source, tops[which], lefts[which], modes[which], side, channel_axis)
        if windows is None:
            windows = np.empty((len(modes), *part.shape[1:]), part.dtype)
        windows[which] = part
    assert windows is not None
    return windows


def _gather_flipped(image: Array, tops: Array, lefts: Array, modes: Array, side: int, channel_axis: str) -> Array:
    """Collect windows that are to be mirrored, upside down, or both; what `modes` say beyond that is done already."""
    height, width = image.shape[:2]
    is_upside_down, is_mirrored = _IS_UPSIDE_DOWN[modes], _IS_MIRRORED[modes]
    flips = is_upside_down + 2 * is_mirrored
    stack = image
    place: Array | int = 0
    if flips.any():
        kinds = np.unique(flips).tolist()
        stack = np.stack([cv2.flip(image, _FLIPS[kind]) if kind else image for kind in kinds])
        place = np.searchsorted(kinds, flips)
        tops = np.where(is_upside_down, height - side - tops, tops)
        lefts = np.where(is_mirrored, width - side - lefts, lefts)
    starts = (place * height + tops) * width + lefts
    channels = image.shape[2] if image.ndim == 3 else 1
    windows: Array = _windows_everywhere(stack, width, channels, side, channel_axis)[starts]
    return windows


def _windows_everywhere(stack: Array, width: int, channels: int, side: int, channel_axis: str) -> Array:
    """A view with a window for every pixel of some images on top of each other; those across borders make no sense."""
    sample, pixel, line = stack.itemsize, channels * stack.itemsize, width * channels * stack.itemsize
    shape, strides = {
        "none": ((side, side), (line, pixel)),
        "last": ((side, side, channels), (line, pixel, sample)),
        "first": ((channels, side, side), (sample, line, pixel)),
    }[channel_axis]
    count = stack.nbytes // pixel - (side - 1) * (width + 1)
    windows: Array = np.ndarray((count, *shape), stack.dtype, stack, 0, (pixel, *strides))
    return windows
