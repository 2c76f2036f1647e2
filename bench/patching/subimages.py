"""Sub-images in the style of super-resolution toolkits such as BasicSR: one task an image, one PNG file a crop.

``python subimages.py FOLDER OUT WORKERS``. Written anew after its description: a pool of processes, `apply_async` for
every image, crops of 480 × 480 pixels every 240, and one more where the border is left over.
"""

import multiprocessing
import pathlib
import sys

import cv2

CROP, STEP = 480, 240
COMPRESSION = 3  # of zlib, the toolkit's default


def starts(length):
    """Where crops begin along one side."""
    found = list(range(0, length - CROP + 1, STEP))
    if found and found[-1] + CROP < length:
        found.append(length - CROP)
    return found


def extract(path, folder):
    """All crops of one image."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    index = 0
    for row in starts(image.shape[0]):
        for column in starts(image.shape[1]):
            index += 1
            crop = image[row : row + CROP, column : column + CROP]
            name = pathlib.Path(folder, f"{path.stem}_s{index:03d}.png")
            cv2.imwrite(str(name), crop, [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION])


def main(folder, output, workers):
    """Hand every image to the pool."""
    pathlib.Path(output).mkdir()
    with multiprocessing.Pool(int(workers)) as pool:
        results = [pool.apply_async(extract, (path, output)) for path in sorted(pathlib.Path(folder).glob("*.png"))]
        for result in results:
            result.get()


if __name__ == "__main__":
    main(*sys.argv[1:])
