"""Patches without any pool: one process that lets NumPy do the loops and writes straight into a mapped file.

``python vectorised.py FOLDER OUT.npy``. It counts first, as allcores does, and it needs no more memory.
"""

import pathlib
import sys

import cv2
import numpy as np

PATCH, STRIDE = 40, 10
SCALES = (1, 0.9, 0.8, 0.7)


def levels(image):
    """The image at every scale that a patch fits into."""
    for scale in SCALES:
        height, width = int(image.shape[0] * scale), int(image.shape[1] * scale)
        if min(height, width) >= PATCH:
            yield cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)


def main(folder, output):
    """Count, map, cut."""
    paths = sorted(pathlib.Path(folder).glob("*.png"))
    total = 0
    for path in paths:
        with path.open("rb") as file:
            header = file.read(24)  # of a PNG: width and height are its bytes 16 to 24
        width, height = (int.from_bytes(header[start : start + 4], "big") for start in (16, 20))
        for scale in SCALES:
            rows, columns = ((int(side * scale) - PATCH) // STRIDE + 1 for side in (height, width))
            total += max(0, rows) * max(0, columns)
    array = np.lib.format.open_memmap(output, mode="w+", dtype=np.uint8, shape=(total, PATCH, PATCH))
    first = 0
    for path in paths:
        for level in levels(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)):
            windows = np.lib.stride_tricks.sliding_window_view(level, (PATCH, PATCH))[::STRIDE, ::STRIDE]
            count = windows.shape[0] * windows.shape[1]
            array[first : first + count].reshape(windows.shape)[...] = windows
            first += count


if __name__ == "__main__":
    main(*sys.argv[1:])
