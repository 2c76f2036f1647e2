"""Patches for training a denoiser, cut the way tutorials do: sixteen images at a time, by a pool of sixteen.

One function turns one image into a list of patches, each turned or mirrored at random; `map` runs it over the next
sixteen images; in the end all lists become one array. It is the old form on purpose, with all that it costs: a new
pool for every sixteen images, every patch pickled through a pipe, everything in memory twice.

Run it on a folder of images:

    python examples/patches_pool.py Train400 train.npy

With `import multiprocessing` in place of the import below it does the same. (The whole job, without these costs, with
names for the files that cannot be read, and with the same bytes each time: `allcores patches Train400 train.npy`.)
"""

import pathlib
import sys

import cv2
import numpy as np

import allcores as multiprocessing

PATCH, STRIDE = 40, 10
SCALES = [1, 0.9, 0.8, 0.7]
WORKERS = 16


def augment(patch, mode):
    """One of eight: turned by no, one, two or three quarters, and then upside down or not."""
    turned = np.rot90(patch, mode // 2)
    return np.flipud(turned) if mode % 2 else turned


def gen_patches(path):
    """All patches of one image, in a list."""
    image = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    height, width = image.shape
    patches = []
    for scale in SCALES:
        size = int(width * scale), int(height * scale)  # OpenCV wants the width first
        scaled = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        for row in range(0, size[1] - PATCH + 1, STRIDE):
            for column in range(0, size[0] - PATCH + 1, STRIDE):
                patch = scaled[row : row + PATCH, column : column + PATCH]
                patches.append(augment(patch, np.random.randint(8)))
    return patches


def main(folder, output):
    """Cut all images of a folder and save one array."""
    paths = [str(path) for path in sorted(pathlib.Path(folder).glob("*.png"))]
    patches = []
    for first in range(0, len(paths), WORKERS):
        with multiprocessing.Pool(WORKERS) as pool:
            for of_one_image in pool.map(gen_patches, paths[first : first + WORKERS]):
                patches += of_one_image
        print(f"{min(first + WORKERS, len(paths))} of {len(paths)} images: {len(patches)} patches")
    array = np.array(patches, dtype="uint8")
    np.save(output, array)
    print(f"{output}: {array.shape}")


if __name__ == "__main__":
    main(*sys.argv[1:])
