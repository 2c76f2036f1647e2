"""Grey levels, colours and bits, converted alike everywhere."""

from __future__ import annotations

import hashlib
from functools import cache

import cv2
import numpy as np

from .arrays import Array
from .steady import WithoutIPP

__all__ = ["grey", "to_8_bits", "to_16_bits"]

# ITU-R BT.601's weights of blue, green and red in 15 fractional bits, as OpenCV rounds them.
_WEIGHTS = (3735, 19235, 9798)
_FRACTION_BITS = 15


def grey(bgr: Array) -> Array:
    """The luma (BT.601) of an image in OpenCV's order of colours, blue first; 8 or 16 bits."""
    if bgr.dtype == np.uint8 and _opencv_agrees():
        return _by_opencv(bgr)
    return _weighted(bgr)


def to_8_bits(samples: Array) -> Array:
    """16 bits to 8: 65535 to 255, and what lies between to the nearest level. (Not the upper byte, which is darker.)"""
    nearest: Array = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return nearest


def to_16_bits(samples: Array) -> Array:
    """8 bits to 16: 255 to 65535."""
    spread: Array = samples.astype(np.uint16) * np.uint16(257)
    return spread


def _by_opencv(bgr: Array) -> Array:
    with WithoutIPP():
        converted: Array = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    return converted


def _weighted(bgr: Array) -> Array:
    total: Array = np.full(bgr.shape[:2], 1 << (_FRACTION_BITS - 1), np.uint32)
    for channel, weight in enumerate(_WEIGHTS):
        total += bgr[:, :, channel].astype(np.uint32) * np.uint32(weight)
    total >>= np.uint32(_FRACTION_BITS)
    luma: Array = total.astype(bgr.dtype)
    return luma


@cache
def _opencv_agrees() -> bool:
    noise = np.frombuffer(hashlib.shake_128(b"allcores").digest(64 * 64 * 3), np.uint8).reshape(64, 64, 3)
    return bool(np.array_equal(_by_opencv(noise), _weighted(noise)))
