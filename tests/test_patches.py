"""Cutting patches, as a library: which patches, in which order, the same ones for any number of workers."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allcores.jobs import patches
from allcores.jobs.patches import RecipeError, make_patches
from patches_reference import augmented, noise, plain_patches, random_modes, save, scaled, windows

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, also the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cut(source: Path | str = "images", target: str = "out.npy", **options: Any) -> Any:
    """Make an .npy file and load it."""
    make_patches(source, target, **options)
    return np.load(target)


def digest(array: Any) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


# -- which patches -----------------------------------------------------------------------------------------


@pytest.mark.timeout(240)
@pytest.mark.skipif(not (SHARED / "Train400").is_dir(), reason="the images of Train400 are not beside the project")
def test_train400_gives_the_bytes_that_an_independent_program_gave(here: Path) -> None:
    found = cut(SHARED / "Train400", augment="none")
    assert (found.shape, found.dtype) == ((238_400, 40, 40), np.uint8)
    assert digest(found) == "2750447d131baceb71fa891fd6732e1bb84855d95dcec14383849c2e480318ff"


def test_made_up_images_give_the_bytes_that_an_independent_program_gave(here: Path) -> None:
    """The same for a machine without Train400. The digest is that of `patches_reference`, with OpenCV 4.5.5 to 5.0."""
    row, column = np.indices((123, 97))
    for number in range(3):
        save(
            Path(f"images/{number}.png"), ((row * row + 3 * row * column + 7 * number * column) % 251).astype(np.uint8)
        )
    found = cut(augment="none")
    assert digest(found) == "27fcdbd4513fa9ab40e41280db3746e796a2120977e4fd4b472fc6f703c04f90"


def test_images_come_by_the_bytes_of_their_names_then_scales_then_rows(here: Path) -> None:
    names = ["b.png", "a.png", "B.png", "sub/a.png", "sub-a.png", "é.png", "天地.png"]
    images = {name: noise(57, 49, seed=number) for number, name in enumerate(names)}
    for name, image in images.items():
        save(Path("images", name), image)
    found = cut(augment="none", patch=20, stride=9)
    in_order = sorted(names, key=lambda name: name.encode())
    expected = [plain_patches(images[name], patch=20, stride=9) for name in in_order]
    np.testing.assert_array_equal(found, np.concatenate(expected))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    patch=st.integers(1, 30),
    stride=st.integers(1, 40),
    scales=st.lists(st.sampled_from([1, 0.9, 0.8, 0.7, 0.5, 0.03, 1.3]), min_size=1, max_size=3),
    edge=st.sampled_from(["drop", "shift", "pad"]),
    modes=st.lists(st.integers(0, 7), min_size=1, max_size=8, unique=True),
    color=st.booleans(),
)
def test_any_image_and_any_grid_give_what_plain_loops_give(
    here: Path, height: int, width: int, patch: int, stride: int, scales: list[float], edge: str, modes: list[int],
    color: bool,
) -> None:  # fmt: skip
    image = noise(height, width, *([3] if color else []))
    save(Path("images/a.png"), image)
    grid = {"patch": patch, "stride": stride, "scales": scales, "edge": edge}
    expected = [augmented(window.pixels, mode) for window in windows(image, **grid) for mode in modes]
    if not expected:
        with pytest.raises(patches.NoPatches, match="smaller than a patch"):
            make_patches("images", "out.npy", augment=modes, color=color, **grid)
        return
    found = cut(augment=modes, color=color, **grid)
    np.testing.assert_array_equal(found, np.array(expected))


def test_an_image_that_is_wide_is_not_taken_for_a_high_one(here: Path) -> None:
    """OpenCV wants the width first, and square images do not show who has mistaken it."""
    image = noise(40, 200)
    save(Path("images/a.png"), image)
    found = cut(augment="none", scales=[0.5], patch=20, stride=20)
    np.testing.assert_array_equal(found, [scaled(image, 0.5)[:, left : left + 20] for left in range(0, 100, 20)])


def test_large_images_are_cut_block_by_block_into_the_same_patches(here: Path) -> None:
    """Patches of more than one block in a row, and rows of more than one block."""
    image = noise(150, 2200)
    save(Path("images/a.png"), image)
    grid: dict[str, Any] = {"patch": 60, "stride": 7, "scales": [1, 0.5], "edge": "shift"}
    found = cut(augment="none", **grid)
    np.testing.assert_array_equal(found, plain_patches(image, **grid))


# -- augmentation ------------------------------------------------------------------------------------------


def test_all_eight_modes_are_the_papers(here: Path) -> None:
    image = noise(20, 20)
    save(Path("images/a.png"), image)
    found = cut(augment="all", patch=20, scales=[1])
    rotations = [image, np.rot90(image), np.rot90(image, 2), np.rot90(image, 3)]
    expected = [turned for rotation in rotations for turned in (rotation, rotation[::-1])]
    np.testing.assert_array_equal(found, expected)
    assert len({patch.tobytes() for patch in found}) == 8


@pytest.mark.parametrize("times", [1, 3])
def test_random_modes_are_a_function_of_seed_name_and_number(here: Path, times: int) -> None:
    image = noise(60, 50)
    for name in ("a.png", "sub/b.png"):
        save(Path("images", name), image)
    options: dict[str, Any] = {"patch": 20, "stride": 5, "scales": [1, 0.8]}
    for seed in (0, 7):
        found = cut(seed=seed, times=times, **options)
        expected = []
        for name in ("a.png", "sub/b.png"):
            cut_windows = [window.pixels for window in windows(image, **options) for _ in range(times)]
            modes = random_modes(name, len(cut_windows), seed)
            expected += [augmented(pixels, mode) for pixels, mode in zip(cut_windows, modes, strict=True)]
        np.testing.assert_array_equal(found, expected)


def test_other_images_do_not_change_an_images_augmentations(here: Path) -> None:
    save(Path("images/m.png"), noise(60, 60))
    alone = cut(patch=20)
    save(Path("images/a.png"), noise(44, 45, seed=1))
    save(Path("images/z.png"), noise(44, 45, seed=2))
    together = cut(patch=20)
    before = len(plain_patches(noise(44, 45), patch=20))
    np.testing.assert_array_equal(together[before : before + len(alone)], alone)


# -- the same bytes ----------------------------------------------------------------------------------------


@pytest.fixture
def many(here: Path) -> str:
    """Images of all sizes, enough for many tasks."""
    for number in range(40):
        save(Path(f"images/{number}.png"), noise(60 + 7 * number, 300 - 5 * number, seed=number))
    return digest(cut(processes=1))


@pytest.mark.parametrize(("engine", "processes"), [("threads", 2), ("threads", 5), ("processes", 1), ("processes", 3)])
def test_any_number_of_workers_gives_the_same_bytes(many: str, engine: str, processes: int) -> None:
    assert digest(cut(engine=engine, processes=processes)) == many


def test_the_callers_settings_of_opencv_change_nothing_and_stay(many: str) -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(3)
    cv2.ipp.setUseIPP(True)
    wanted = cv2.ipp.useIPP()  # False where the wheel has none
    try:
        assert digest(cut(processes=1)) == many
        assert digest(cut(processes=3)) == many
        assert (cv2.getNumThreads(), cv2.ipp.useIPP()) == (3, wanted)
    finally:
        cv2.setNumThreads(threads)


# -- further options ---------------------------------------------------------------------------------------


def test_flat_windows_are_skipped_with_all_their_copies(here: Path) -> None:
    image = noise(64, 64)
    image[:, 30:] //= 16
    image[40:] = 100
    save(Path("images/a.png"), image)
    options: dict[str, Any] = {"patch": 16, "stride": 4, "scales": [1, 0.8]}
    all_windows = list(windows(image, **options))
    vivid = [np.var(window.pixels.astype(float)) >= 20.0**2 for window in all_windows]
    assert 0 < sum(vivid) < len(vivid)
    modes = random_modes("a.png", 2 * len(all_windows))
    expected = [
        augmented(window.pixels, modes[2 * number + copy])
        for number, window in enumerate(all_windows) if vivid[number] for copy in range(2)
    ]  # fmt: skip
    np.testing.assert_array_equal(cut(min_std=20.0, times=2, **options), expected)
    summary = make_patches("images", "again.npy", min_std=20.0, times=2, **options)
    assert summary.flat == len(vivid) - sum(vivid)


def test_an_image_of_one_level_has_no_vivid_windows(here: Path) -> None:
    save(Path("images/a.png"), np.full((60, 60), 255, np.uint8))
    with pytest.raises(patches.NoPatches, match="windows are too flat"):
        make_patches("images", "out.npy", min_std=0.001)
    assert not Path("out.npy").exists()


def test_the_number_of_patches_can_be_a_multiple_of_a_batch(here: Path) -> None:
    save(Path("images/a.png"), noise(100, 100))
    whole = cut()
    assert len(whole) % 32
    trimmed = cut(trim_to=32)
    np.testing.assert_array_equal(trimmed, whole[: len(whole) // 32 * 32])
    with pytest.raises(patches.NoPatches, match=f"only {len(whole)} patches, fewer than 1000"):
        make_patches("images", "none.npy", trim_to=1000)
    assert not Path("none.npy").exists()


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (40, 40)),
        ({"channel_axis": "last"}, (40, 40, 1)),
        ({"channel_axis": "first"}, (1, 40, 40)),
        ({"color": True}, (40, 40, 3)),
        ({"color": True, "channel_axis": "first"}, (3, 40, 40)),
    ],
)
def test_colours_are_where_they_are_wanted(here: Path, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    image = noise(70, 60, 3)
    save(Path("images/a.png"), image)
    found = cut(scales=[1], **options)
    assert found.shape[1:] == shape
    if options.get("color"):
        rows = [window.pixels for window in windows(image, scales=[1])]
        modes = random_modes("a.png", len(rows))
        expected = np.array([augmented(pixels, mode) for pixels, mode in zip(rows, modes, strict=True)])
        seen = np.moveaxis(found, 1, -1) if options.get("channel_axis") == "first" else found
        np.testing.assert_array_equal(seen, expected)


def test_a_dry_run_promises_what_is_made_and_writes_nothing(here: Path) -> None:
    for number in range(4):
        save(Path(f"images/{number}.png"), noise(30 + 20 * number, 90))
    promised = make_patches("images", "out.npy", augment="all", dry_run=True)
    assert sorted(path.name for path in here.iterdir()) == ["images"]
    made = make_patches("images", "out.npy", augment="all")
    assert (promised.patches, promised.images) == (made.patches, made.images) == (len(np.load("out.npy")), 3)


# -- pairs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edge", ["drop", "shift", "pad"])
def test_pairs_show_the_same_pixel_by_pixel(here: Path, edge: str) -> None:
    """Every pixel of the small image stands for 3 × 3 of the large one; so does every pixel of every pair."""
    for number, (height, width) in enumerate([(31, 47), (20, 20), (9, 30)]):
        small = noise(height, width, seed=number)
        save(Path(f"small/{number}x3.png"), small)
        large = np.kron(small, np.ones((3, 3), np.uint8))
        save(Path(f"large/{number}.png"), np.pad(large, ((0, number % 3), (0, 2))))  # what is over is cropped
    large_patches = cut("large", pairs="small", scale_factor=3, patch=36, stride=15, edge=edge)
    small_patches = np.load("out-pairs.npy")
    assert small_patches.shape == (len(large_patches), 12, 12)
    np.testing.assert_array_equal(large_patches, np.kron(small_patches, np.ones((1, 3, 3), np.uint8)))
    assert len({patch.tobytes() for patch in small_patches}) > 5


def test_pairs_of_equal_size_may_be_scaled(here: Path) -> None:
    clean, noisy = noise(80, 70), noise(80, 70, seed=1)
    save(Path("clean/a.png"), clean)
    save(Path("noisy/a.bmp"), noisy)
    found = cut("clean", pairs="noisy", augment="none")
    np.testing.assert_array_equal(found, plain_patches(clean))
    np.testing.assert_array_equal(np.load("out-pairs.npy"), plain_patches(noisy))


def test_images_without_partners_and_partners_without_images_are_named(here: Path) -> None:
    image = noise(50, 50)
    for path in ("hr/a.png", "hr/b.png", "hr/c.png", "hr/d.png", "lr/a.png", "lr/ax2.png", "lr/bx2.png", "lr/e.png"):
        save(Path(path), image[::2, ::2] if path.startswith("lr") else image)
    save(Path("hr/b.png"), noise(53, 50))
    save(Path("lr/cx2.png"), noise(25, 25))
    save(Path("lr/c.jpg"), noise(25, 25))
    summary = make_patches("hr", "out.npy", pairs="lr", scale_factor=2, patch=20)
    assert {Path(failure.path).as_posix(): failure.reason for failure in summary.failures} == {
        "hr/b.png": "its size is 50 × 53 pixels, its partner's 25 × 25: not 2 times smaller",
        "hr/d.png": "no partner in lr",
        "lr/ax2.png": "a partner without its image",
        "lr/cx2.png": "a partner without its image",
        "lr/e.png": "a partner without its image",
    }
    assert summary.images == 2


def test_a_partner_that_cannot_be_read_is_named(here: Path) -> None:
    for name in ("a.png", "b.png"):
        save(Path("clean", name), noise(50, 50))
        save(Path("noisy", name), noise(50, 50))
    Path("noisy/a.png").write_bytes(b"")
    summary = make_patches("clean", "out.npy", pairs="noisy")
    (failure,) = summary.failures
    assert (failure.path, failure.reason) == ("clean/a.png", "its partner noisy/a.png: the file is empty")
    assert summary.images == 1


# -- usage -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 0}, "patch must be a whole number from 1, not 0"),
        ({"stride": 1.5}, "stride must be a whole number from 1, not 1.5"),
        ({"scales": []}, "at least one scale"),
        ({"scales": [float("nan")]}, "a scale must be above 0 and at most 100, not nan"),
        ({"augment": "some"}, "augment must be none, random, all, or modes such as 0,3,5; not 'some'"),
        ({"augment": [8]}, "an augmentation is a number from 0 to 7, not 8"),
        ({"augment": "1,1"}, "named twice"),
        ({"augment": "none", "times": 2}, "times is for random augmentations only"),
        ({"depth": 12}, "depth must be 8 or 16 bits, not 12"),
        ({"edge": "wrap"}, "edge must be one of drop, shift, pad, not 'wrap'"),
        ({"min_std": -1}, "min_std must be 0 or more, not -1"),
        ({"color": True, "channel_axis": "none"}, "channel_axis must be last or first, not 'none'"),
        ({"format": "png", "channel_axis": "first"}, "channel_axis is for arrays; png has none"),
        ({"format": "tiff"}, "format must be one of npy, zarr, hdf5, webdataset, png, not 'tiff'"),
        ({"trim_to": 0}, "trim_to must be a whole number from 1, not 0"),
        ({"processes": 0}, "processes must be a whole number from 1, not 0"),
        ({"engine": "fibres"}, "engine must be one of threads, processes, not 'fibres'"),
        ({"on_error": "ask"}, "on_error must be one of skip, stop, not 'ask'"),
        ({"scale_factor": 2}, "scale_factor is for pairs only"),
        ({"pairs": "images", "scale_factor": 3}, "patch must be a multiple of the scale factor 3, not 40"),
        ({"pairs": "images", "scale_factor": 2, "scales": [1, 0.5]}, "cannot be scaled and stay aligned"),
        ({"pairs": "nowhere"}, "nowhere: no such file or directory"),
        ({"manifest": "m.json"}, "m.json: a manifest is written as .csv or .parquet"),
        ({"manifest": "no/m.csv"}, "no/m.csv: there is no such folder"),
        ({"preview": "p.pdf"}, "p.pdf: a preview is written as .png or .jpg"),
        ({"manifest": "out.csv", "preview": "out.npy.png", "target": "out"}, "let it end in .npy"),
        ({"target": "out.tar"}, "let it end in .npy, .zarr, .h5, .hdf5, or say which format"),
    ],
)
def test_wrong_options_are_named_with_what_would_be_right(here: Path, options: dict[str, Any], message: str) -> None:
    save(Path("images/a.png"), noise(50, 50))
    target = options.pop("target", "out.npy")
    with pytest.raises(ValueError) as caught:
        make_patches("images", target, **options)
    assert message in str(caught.value)
    assert sorted(path.name for path in here.iterdir()) == ["images"]


def test_the_module_is_the_function_and_its_errors_are_where_it_is() -> None:
    assert patches("nowhere", "out.npy") if False else callable(patches)
    with pytest.raises(patches.SourceError, match="nowhere"):
        patches("nowhere", "out.npy")
    assert issubclass(patches.RecipeError, ValueError)
    assert RecipeError is patches.RecipeError
    with pytest.raises(AttributeError):
        _ = patches.no_such_name


@pytest.mark.parametrize(("missing", "distribution"), [("cv2", "opencv-python-headless"), ("PIL", "pillow")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    here: Path, missing: str, distribution: str
) -> None:
    save(Path("images/a.png"), noise(50, 50))
    script = f"import sys; sys.modules[{missing!r}] = None; from allcores.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "patches", "images", "out.npy"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 1
    assert f"needs {distribution}: pip install 'allcores[images]'" in done.stderr
