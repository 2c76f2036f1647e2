"""Bicubic scaling that gives the same bytes everywhere.

The standard is what OpenCV's own code computes on a plain x86-64: the cubic kernel with A = −0.75 (Keys, "Cubic
convolution interpolation for digital image processing", 1981) sampled at pixel centres, no anti-aliasing, borders
replicated; for 8 bits, weights in 11 fractional bits, rows summed in integers, columns in single precision. But
OpenCV hands scaling over to whatever is quick on the machine, Intel's IPP above all, and then some pixels differ by
one level. IPP can be switched off; whether that was enough is seen on a probe, and where it was not (fused
multiply-add on other processors), the same sums are done in NumPy, some ten times as slow.

Of 16 bits there is no such standard: OpenCV's way depends on the processor. Here they are summed in double
precision, in a fixed order.
"""

from __future__ import annotations

import hashlib
from functools import cache

import cv2
import numpy as np

from .arrays import Array
from .steady import WithoutIPP

__all__ = ["resize", "resize_by_numpy"]

_FRACTION_BITS = 11
_ONE = 1 << _FRACTION_BITS
# So many samples at a time are summed in single precision, as in a register of SSE2; the few that remain at the end
# of a row in integers. The two round differently.
_SAMPLES_AT_ONCE = 8
_ROWS_AT_ONCE = 64  # arbitrary: bounds the memory that sums in double precision take

# Noise in which fused multiply-adds, and sums in integers, change at least one pixel each. Found by trying.
_PROBES = (470, 1854)
_PROBE_SIZE = (64, 64)
_PROBE_SCALED = (57, 56)


def resize(image: Array, height: int, width: int) -> Array:
    """Scale an image.

    Args:
        image: 8 or 16 bits; rows, columns and perhaps colours.
        height, width: the size to scale to, in pixels.

    Returns:
        The image itself if it has that size already, else a new one with the same type.
    """
    if image.shape[:2] == (height, width):
        return image
    if image.dtype == np.uint8 and _opencv_is_steady():
        return _resize_by_opencv(image, height, width)
    return resize_by_numpy(image, height, width)


def resize_by_numpy(image: Array, height: int, width: int) -> Array:
    """Scale an image without OpenCV: what `resize` gives, put down in full. The arguments are those of `resize`."""
    samples = image.reshape(*image.shape[:2], -1)
    columns, across = _taps(image.shape[1], width)
    rows, down = _taps(image.shape[0], height)
    sums = _sums_of_8_bits if image.dtype == np.uint8 else _sums_of_16_bits
    scaled = np.empty((height, width * samples.shape[2]), image.dtype)
    for first in range(0, height, _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        scaled[part] = sums(samples, rows[part], down[part], columns, across)
    return scaled.reshape(height, width, *image.shape[2:])


def _resize_by_opencv(image: Array, height: int, width: int) -> Array:
    with WithoutIPP():
        scaled: Array = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    return scaled


def _taps(length: int, scaled_length: int) -> tuple[Array, Array]:
    """For each scaled position its four neighbours (indices) and their weights (single precision)."""
    one, a, a4, a5, a8 = (np.float32(value) for value in (1, -0.75, -3, -3.75, -6))
    a_plus_2, a_plus_3 = np.float32(1.25), np.float32(2.25)
    step = 1.0 / (scaled_length / length)
    centres = ((np.arange(scaled_length) + 0.5) * step - 0.5).astype(np.float32)
    left = np.floor(centres)
    x = centres - left
    weights = np.empty((scaled_length, 4), np.float32)
    weights[:, 0] = ((a * (x + one) - a5) * (x + one) + a8) * (x + one) - a4
    for tap, distance in ((1, x), (2, one - x)):
        weights[:, tap] = (a_plus_2 * distance - a_plus_3) * distance * distance + one
    weights[:, 3] = one - weights[:, 0] - weights[:, 1] - weights[:, 2]
    neighbours = left.astype(np.intp)[:, None] + np.arange(-1, 3)
    return np.clip(neighbours, 0, length - 1), weights


def _sums_of_8_bits(samples: Array, rows: Array, down: Array, columns: Array, across: Array) -> Array:
    across = np.rint(across * np.float32(_ONE)).astype(np.int32)
    down = np.rint(down * np.float32(_ONE)).astype(np.int32)
    used, rows = np.unique(rows, return_inverse=True)
    rows = rows.reshape(-1, 4)
    source = samples[used].astype(np.int32)
    lines = sum(source[:, columns[:, tap]] * across[:, tap, None] for tap in range(4))
    lines = np.asarray(lines).reshape(len(used), -1)
    taps = [lines[rows[:, tap]] for tap in range(4)]

    unit = np.float32(1) / np.float32(_ONE * _ONE)
    total = taps[3].astype(np.float32) * (down[:, 3, None].astype(np.float32) * unit)
    for tap in (2, 1, 0):
        total = taps[tap].astype(np.float32) * (down[:, tap, None].astype(np.float32) * unit) + total
    scaled: Array = np.clip(np.rint(total), 0, 255).astype(np.uint8)

    rest = slice(lines.shape[1] // _SAMPLES_AT_ONCE * _SAMPLES_AT_ONCE, None)
    exact = sum(taps[tap][:, rest].astype(np.int64) * down[:, tap, None] for tap in range(4))
    half = 1 << (2 * _FRACTION_BITS - 1)
    scaled[:, rest] = np.clip((np.asarray(exact) + half) >> (2 * _FRACTION_BITS), 0, 255)
    return scaled


def _sums_of_16_bits(samples: Array, rows: Array, down: Array, columns: Array, across: Array) -> Array:
    lines = np.zeros((len(rows), *samples.shape[1:]))
    for tap in range(4):
        lines += samples[rows[:, tap]] * down[:, tap, None, None].astype(np.float64)
    total: Array = np.zeros((len(rows), len(columns), samples.shape[2]))
    for tap in range(4):
        total += lines[:, columns[:, tap]] * across[:, tap, None].astype(np.float64)
    scaled: Array = total.round().clip(0, 65535)
    return scaled.reshape(len(rows), -1)


@cache
def _opencv_is_steady() -> bool:
    for seed in _PROBES:
        noise = hashlib.shake_128(b"allcores %d" % seed).digest(_PROBE_SIZE[0] * _PROBE_SIZE[1])
        probe = np.frombuffer(noise, np.uint8).reshape(_PROBE_SIZE)
        if not np.array_equal(_resize_by_opencv(probe, *_PROBE_SCALED), resize_by_numpy(probe, *_PROBE_SCALED)):
            return False
    return True
