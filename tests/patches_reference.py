"""What patches are expected to be, by loops that anybody can check; and images to cut them from.

Nothing here uses the code under test. Scaling is OpenCV's own, with Intel's IPP switched off: that is the standard
which the code under test promises to keep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

PAPER_SCALES = (1, 0.9, 0.8, 0.7)


class Window(NamedTuple):
    """A window of an image, and where it is."""

    scale: float
    row: int
    column: int
    pixels: Any


def noise(height: int, width: int, *more: int, seed: int = 0, dtype: str = "uint8") -> Any:
    """An image of noise: no two patches are alike."""
    kind = np.dtype(dtype)
    return np.random.default_rng(seed).integers(0, 2 ** (8 * kind.itemsize), (height, width, *more), dtype=kind)


def save(path: Path, pixels: Any, **options: Any) -> Path:
    """Write an image with Pillow; the ending says the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def scaled(image: Any, scale: float) -> Any:
    """An image scaled as the paper's programs do it."""
    height, width = int(image.shape[0] * scale), int(image.shape[1] * scale)
    if (height, width) == image.shape[:2]:
        return image
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    finally:
        cv2.ipp.setUseIPP(before)


def starts(length: int, patch: int, stride: int, edge: str) -> list[int]:
    """Where windows begin along one side."""
    if edge == "pad":
        found = [0]
        while found[-1] + patch < length and found[-1] + stride < length:
            found.append(found[-1] + stride)
        return found
    found = [start for start in range(0, length, stride) if start + patch <= length]
    if edge == "shift" and found and found[-1] + patch < length:
        found.append(length - patch)
    return found


def mirrored(image: Any, height: int, width: int) -> Any:
    """An image continued at the right and the bottom as if there were mirrors at its borders."""

    def reflected(position: int, length: int) -> int:
        position %= 2 * length
        return position if position < length else 2 * length - 1 - position

    rows = [reflected(row, image.shape[0]) for row in range(max(height, image.shape[0]))]
    columns = [reflected(column, image.shape[1]) for column in range(max(width, image.shape[1]))]
    return image[rows][:, columns]


def windows(
    image: Any, patch: int = 40, stride: int = 10, scales: Iterable[float] = PAPER_SCALES, edge: str = "drop"
) -> Iterator[Window]:
    """All windows, scale by scale and row by row."""
    for scale in scales:
        if not int(image.shape[0] * scale) or not int(image.shape[1] * scale):
            continue
        level = scaled(image, scale)
        rows, columns = (starts(length, patch, stride, edge) for length in level.shape[:2])
        if edge == "pad":
            level = mirrored(level, rows[-1] + patch, columns[-1] + patch)
        for row in rows:
            for column in columns:
                yield Window(scale, row, column, level[row : row + patch, column : column + patch])


def augmented(pixels: Any, mode: int) -> Any:
    """Mode 2k + f: rotate by k quarter turns counter-clockwise, then reverse the rows if f is 1."""
    turned = np.rot90(pixels, mode // 2)
    return np.flipud(turned) if mode % 2 else turned


def random_modes(name: str, count: int, seed: int = 0) -> list[int]:
    """The augmentations that docs/patches.md gives an image's patches: three bits each of a SHAKE-128 stream."""
    key = f"allcores patches\0{seed}\0{name}".encode()
    return [byte % 8 for byte in hashlib.shake_128(key).digest(count)]


def plain_patches(image: Any, **options: Any) -> Any:
    """All windows as an array, not augmented."""
    found = [window.pixels for window in windows(image, **options)]
    return np.array(found, image.dtype)
