"""The images that are cut: the same for every peer and round. The runner removes them with its temporary files."""

import pathlib
import tempfile

REAL = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data" / "Train400"


def small_grey(count):
    """A folder of so many images of 180 × 180: those of Train400, over and over, where they are beside the project."""
    return _folder(_link_real if REAL.is_dir() else _make_small, count)


def large_color(count):
    """A folder with so many made-up images of 1080 × 1440 in colours."""
    return _folder(_make_large, count)


def _folder(make, count):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="images-"))
    make(folder, count)
    return folder


def _link_real(folder, count):
    real = sorted(REAL.glob("*.png"))
    for number in range(count):
        (folder / f"{number:05}.png").symlink_to(real[number % len(real)])


def _make_small(folder, count):
    for number in range(count):
        _save(folder, number, (180, 180))


def _make_large(folder, count):
    for number in range(count):
        _save(folder, number, (1080, 1440, 3))


def _save(folder, number, shape):
    """Soft shapes and a little noise: PNG makes as much of it as of a photograph."""
    import cv2
    import numpy as np

    random = np.random.default_rng(number)
    coarse = random.integers(0, 256, (shape[0] // 12, shape[1] // 12, *shape[2:]), dtype=np.uint8)
    soft = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC).astype(int)
    image = (soft + random.integers(-4, 5, shape)).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(folder / f"{number:05}.png"), image)
