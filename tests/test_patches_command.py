"""``allcores patches``, run as a program: what it prints and returns."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest

from allcores.cli import main
from patches_reference import noise, plain_patches, save

COMMAND = [sys.executable, "-m", "allcores"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two images, also the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        save(Path("images", name), noise(60, 50))
    return tmp_path


def allcores(*arguments: str, stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=50, check=False
    )


def test_it_says_what_it_has_made() -> None:
    done = allcores("patches", "images", "out.npy", "--augment", "none", "--scales", "1,0.8", "--patch=20")
    assert (done.returncode, done.stderr) == (0, "")
    *lines, time = done.stdout.splitlines()
    expected = np.concatenate([plain_patches(noise(60, 50), patch=20, scales=(1, 0.8))] * 2)
    assert lines == [
        f"patches: {len(expected)} of 2 images, each 20 × 20, uint8",
        "failed: 0",
        "written: out.npy",
    ]
    assert time.startswith("time: ")
    np.testing.assert_array_equal(np.load("out.npy"), expected)


def test_failures_are_named_whatever_their_names_and_the_rest_is_cut() -> None:
    Path("images/line\nfeed.png").write_bytes(b"no image")
    Path("images/天地.png").write_bytes(b"")
    Path("images/notes.txt").touch()
    done = allcores("patches", "images", "out.npy")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        r'allcores patches: "images/line\nfeed.png": not an image that OpenCV can decode, or a damaged one',
        "allcores patches: images/天地.png: the file is empty",
    ]
    assert "skipped: not taken for images: .txt files: 1 (images/notes.txt)\nfailed: 2\n" in done.stdout
    assert len(np.load("out.npy"))


def test_a_run_that_stops_at_an_error_says_so() -> None:
    Path("images/a.png").write_bytes(b"")
    done = allcores("patches", "images", "out.npy", "--on-error", "stop")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "allcores patches: images/a.png: the file is empty\nallcores patches: stopped there; nothing was written\n"
    )


def test_where_there_is_nothing_to_cut_it_says_what_there_is() -> None:
    os.mkdir("empty")
    Path("empty/notes.txt").touch()
    done = allcores("patches", "empty", "out.npy")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "allcores patches: nothing was written: no image could be cut",
        "  not taken for images: .txt files: 1 (empty/notes.txt)",
    ]
    assert sorted(os.listdir()) == ["empty", "images"]


def test_a_dry_run_counts_and_writes_nothing() -> None:
    done = allcores("patches", "images", "out.npy", "--dry-run")
    assert done.returncode == 0
    assert done.stdout.startswith("nothing is written; this is what headers promise:\npatches: ")
    assert os.listdir() == ["images"]


def test_a_progress_bar_is_drawn_on_a_terminal_only() -> None:
    Path("images/c.png").write_bytes(b"")
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
        done = allcores("patches", "images", "out.npy", stderr=theirs)
        screen = os.read(ours, 100_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "cutting: " in screen
    assert "allcores patches: images/c.png: the file is empty\r\n" in screen
    assert done.stdout.startswith("patches: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["images"], "required: OUT"),
        (["images", "out.npy", "--patch", "0"], "patch must be a whole number from 1, not 0"),
        (["images", "out.npy", "--scales", "large"], "invalid list of scales value: 'large'"),
        (["images", "out.npy", "--augment", "9"], "an augmentation is a number from 0 to 7, not 9"),
        (["images", "out.npy", "--edge", "wrap"], "invalid choice: 'wrap'"),
        (["images", "out"], "say which format"),
        (["images", "no/out.npy"], "cannot write no/out.npy: there is no folder"),
        (["nowhere", "out.npy"], "nowhere: no such file or directory"),
        (["images", "images", "--format", "png"], "cannot write images: it exists already"),
    ],
)
def test_wrong_usage_is_explained_with_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["patches", *arguments])
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: allcores patches")
    assert message in captured.err
    assert os.listdir() == ["images"]


def test_help_needs_neither_numpy_nor_opencv_nor_the_pool() -> None:
    for command in (["--help"], ["patches", "--help"]):
        program = (
            "import sys, allcores.cli\n"
            f"try: allcores.cli.main({command})\n"
            "except SystemExit: print(*sorted(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50)
        loaded = set(done.stdout.splitlines()[-1].split())
        assert not loaded & {"numpy", "cv2", "PIL", "tqdm", "psutil", "allcores.pool", "multiprocessing"}
        assert "cut training patches out of images" in done.stdout or "exit code:" in done.stdout
