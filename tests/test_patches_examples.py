"""The examples about patches run as they stand, and do what they say."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from patches_reference import augmented, noise, save, windows

EXAMPLES = Path(__file__).parents[1] / "examples"
IMPORT = "import allcores as multiprocessing\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("library", ["allcores", pytest.param("multiprocessing", marks=pytest.mark.slow)])
def test_the_tutorials_program_cuts_the_same_windows_on_either_library(here: Path, library: str) -> None:
    images = [noise(45 + 5 * (number % 2), 52, seed=number) for number in range(18)]
    for number, image in enumerate(images):
        save(Path(f"images/{number:02}.png"), image)
    source = (EXAMPLES / "patches_pool.py").read_text(encoding="utf-8")
    assert source.count(IMPORT) == 1, "the one line that a reader changes"
    if library == "multiprocessing":
        source = source.replace(IMPORT, "import multiprocessing\n")
    Path("program.py").write_text(source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "program.py", "images", "out.npy"], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = np.load("out.npy")
    expected = [list(windows(image)) for image in images]
    counts = [sum(map(len, expected[:16])), sum(map(len, expected))]
    assert done.stdout.splitlines() == [
        f"16 of 18 images: {counts[0]} patches",
        f"18 of 18 images: {counts[1]} patches",
        f"out.npy: ({counts[1]}, 40, 40)",
    ]
    for patch, window in zip(found, [window for of_image in expected for window in of_image], strict=True):
        assert window.scale != 1 or any(np.array_equal(patch, augmented(window.pixels, mode)) for mode in range(8))


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed: pip install torch")
def test_a_small_dncnn_learns_to_denoise_in_a_minute(here: Path) -> None:
    """From a folder of images to a network that takes most of the noise away, and on from a checkpoint."""
    for folder, count in (("train", 12), ("test", 3)):
        for number in range(count):
            blobs = cv2.GaussianBlur(noise(120, 100, seed=100 * count + number), (0, 0), 4).astype(float)
            spread = (blobs - blobs.min()) / (blobs.max() - blobs.min()) * 255
            save(Path(f"{folder}/{number}.png"), spread.round().astype(np.uint8))
    command = [sys.executable, str(EXAMPLES / "train_dncnn.py"), "--data", "train", "--test", "test", "--device", "cpu"]
    command += ["--depth", "4", "--features", "12", "--batch", "32", "--minutes", "1", "--checkpoint", "state"]

    def run(epochs: int) -> list[str]:
        done = subprocess.run(
            [*command, "--epochs", str(epochs)], capture_output=True, text=True, timeout=180, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    lines = run(2)
    alone = next(float(line.split()[2]) for line in lines if line.startswith("noise alone: "))
    assert 20 < alone < 21  # 20 log10(255 / 25) is 20.2, and levels that were cut off at 0 and 255 spare some
    reached = [float(found[1]) for line in lines if (found := re.search(r"PSNR ([\d.]+) dB", line))]
    assert len(reached) == 2
    assert reached[-1] > alone + 5
    again = run(3)
    assert [line.partition(":")[0] for line in again if line.startswith("epoch")] == ["epoch 3 of 3"]
    assert float(re.search(r"PSNR ([\d.]+) dB", again[-1])[1]) > alone + 5  # type: ignore[index]
