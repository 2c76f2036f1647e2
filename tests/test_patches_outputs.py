"""What is written: every format holds the same patches, and tells where they come from."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
import tarfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from allcores.jobs.patches import OutputError, make_patches, manifest
from patches_reference import augmented, noise, save, scaled

FORMATS = ("npy", "zarr", "hdf5", "webdataset", "png")
OPTIONS: dict[str, Any] = {"patch": 16, "stride": 8, "edge": "shift"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with images, also the current one."""
    monkeypatch.chdir(tmp_path)
    for number in range(5):
        image = noise(30 + 9 * number, 70 - 5 * number, seed=number)
        image[: 8 * number, ::2] = 128
        save(Path(f"images/{'sub/' * (number % 2)}{number}.png"), image)
    return tmp_path


def read_npy(path: str) -> dict[str, Any]:
    stem, ending = os.path.splitext(path)
    pairs = f"{stem}-pairs{ending}"
    return {"patches": np.load(path)} | ({"pairs": np.load(pairs)} if os.path.exists(pairs) else {})


def read_zarr(path: str) -> dict[str, Any]:
    """By the specification of format 2. (The library leaves threads behind; it has a test of its own.)"""
    found = {}
    for metadata in Path(path).rglob(".zarray"):
        array = json.loads(metadata.read_text())
        names = [f"{number}" + ".0" * (len(array["shape"]) - 1) for number in range(len(os.listdir(metadata.parent)))]
        chunks = [
            np.fromfile(metadata.parent / name, array["dtype"]) for name in names if (metadata.parent / name).exists()
        ]
        whole = np.concatenate([chunk.reshape(array["chunks"]) for chunk in chunks])
        found["pairs" if metadata.parent.name == "pairs" else "patches"] = whole[: array["shape"][0]]
    return found


def read_hdf5(path: str) -> dict[str, Any]:
    with h5py.File(path) as file:
        return {name: dataset[:] for name, dataset in file.items()}


def read_webdataset(path: str) -> dict[str, Any]:
    """Samples as WebDataset groups them: neighbours whose names are the same up to the first dot."""
    found = defaultdict(list)
    for shard in sorted(os.listdir(path)):
        with tarfile.open(os.path.join(path, shard)) as archive:
            for member in archive:
                split = re.fullmatch(r"((?:.*/|)[^.]+)[.]([^/]*)", member.name)
                assert split
                role = {"png": "patches", "pair.png": "pairs"}[split[2]]
                file = archive.extractfile(member)
                assert file
                found[role].append(np.asarray(Image.open(io.BytesIO(file.read()))))
    return {role: np.array(patches) for role, patches in found.items()}


def read_png(path: str) -> dict[str, Any]:
    roles = [role for role in ("patches", "pairs") if os.path.isdir(os.path.join(path, role))]
    found = {}
    for role in roles or [""]:
        names = sorted(Path(path, role).rglob("*.png"), key=os.fsencode)
        found[role or "patches"] = np.array([np.asarray(Image.open(name)) for name in names if name.is_file()])
    return found


READERS = {"npy": read_npy, "zarr": read_zarr, "hdf5": read_hdf5, "webdataset": read_webdataset, "png": read_png}
ENDINGS = {"npy": ".npy", "zarr": ".zarr", "hdf5": ".h5", "webdataset": "-shards", "png": "-files"}


def made(kind: str, source: str = "images", **options: Any) -> dict[str, Any]:
    target = f"out{ENDINGS[kind]}"
    make_patches(source, target, format=kind, **OPTIONS | options)
    assert [path for path in os.listdir() if ".part" in path] == []
    return READERS[kind](target)


# -- formats -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS[1:])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="plain"),
        pytest.param({"augment": "all", "chunk": 100}, id="chunks"),
        pytest.param({"min_std": 70, "trim_to": 64, "chunk": 50}, id="skipped-and-trimmed"),
        pytest.param({"color": True}, id="colour"),
        pytest.param({"depth": 16}, id="16 bits"),
        pytest.param({"pairs": "images", "min_std": 70, "trim_to": 64}, id="pairs"),
    ],
)
def test_every_format_holds_the_same_patches(here: Path, kind: str, options: dict[str, Any]) -> None:
    expected = made("npy", **{name: value for name, value in options.items() if name != "chunk"})
    found = made(kind, **options)
    assert sorted(found) == sorted(expected)
    for role, patches in expected.items():
        np.testing.assert_array_equal(found[role], patches)


def test_an_npy_file_can_be_mapped_and_is_laid_out_in_order(here: Path) -> None:
    made("npy")
    mapped = np.load("out.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    assert mapped.flags.c_contiguous
    assert os.path.getsize("out.npy") == 128 + mapped.nbytes


def test_hdf5_has_one_chunked_dataset(here: Path) -> None:
    made("hdf5", chunk=33)
    with h5py.File("out.h5") as file:
        assert list(file) == ["patches"]
        assert file["patches"].chunks == (33, 16, 16)
        assert file["patches"].dtype == np.uint8


def test_zarr_has_whole_chunks_and_zeros_beyond_the_end(here: Path) -> None:
    patches = made("zarr", chunk=100, min_std=70)["patches"]
    metadata = json.loads(Path("out.zarr/.zarray").read_text())
    assert (metadata["shape"], metadata["chunks"]) == ([len(patches), 16, 16], [100, 16, 16])
    chunks = sorted(int(name.partition(".")[0]) for name in os.listdir("out.zarr") if not name.startswith("."))
    assert chunks == list(range(-(-len(patches) // 100)))
    last = np.fromfile(f"out.zarr/{chunks[-1]}.0.0", np.uint8).reshape(100, 16, 16)
    assert not last[len(patches) % 100 :].any()


def test_png_files_are_numbered_within_a_folder_called_after_the_image(here: Path) -> None:
    made("png", augment="none", scales=[1])
    assert Path("out-files/0/000000.png").is_file()
    assert Path("out-files/sub/1/000000.png").is_file()


def test_images_that_differ_in_their_endings_only_have_folders_of_their_own(here: Path) -> None:
    names = ["a.png", "a.jpg", "a.png.png", "b.png", "b/c.png", "b/c/d.png", "e.png"]
    for number, name in enumerate(names):
        save(Path("odd", name), noise(16, 16, seed=number))
    assert made("png", "odd", scales=[1], augment="none")["patches"].shape == (7, 16, 16)
    folders = {path.parent.relative_to("out-files").as_posix() for path in Path("out-files").rglob("*.png")}
    folders.discard(".")
    assert folders >= {"a.png", "a.jpg", "a.png.png", "b.png", "b/c.png", "b/c/d", "e"}


@pytest.mark.parametrize("options", [{}, {"pairs": "images"}])
def test_the_zarr_library_reads_what_was_written(here: Path, options: dict[str, Any]) -> None:
    expected = made("zarr", chunk=70, **options)
    np.savez("expected.npz", **expected)
    script = """
import numpy, zarr
expected, found = numpy.load("expected.npz"), zarr.open("out.zarr", mode="r")
for name in expected:
    array = found[name] if len(expected) > 1 else found
    assert array.chunks[0] == 70
    numpy.testing.assert_array_equal(array[:], expected[name])
"""
    subprocess.run([sys.executable, "-c", script], timeout=50, check=True)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("engine", ["threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_every_format_has_the_same_bytes_for_any_number_of_workers(here: Path, kind: str, engine: str) -> None:
    def content(path: Path) -> dict[str, bytes]:
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        return {str(file.relative_to(path)): file.read_bytes() for file in files}

    options: dict[str, Any] = {**OPTIONS, "format": kind, "min_std": 70, "chunk": 60, "trim_to": 7}
    make_patches("images", "one", processes=1, **options)
    time.sleep(1.1 if kind == "hdf5" else 0)  # times of whole seconds in a file would show
    make_patches("images", "other", processes=3, engine=engine, **options)
    assert content(Path("one")) == content(Path("other"))


# -- the target --------------------------------------------------------------------------------------------


def test_a_file_is_replaced_as_a_whole_and_keeps_its_permissions(here: Path) -> None:
    Path("out.npy").write_text("what was there before")
    os.chmod("out.npy", 0o640)
    made("npy")
    assert stat.S_IMODE(os.stat("out.npy").st_mode) == 0o640


def test_a_link_stays_and_what_it_leads_to_is_replaced(here: Path) -> None:
    Path("there").mkdir()
    os.symlink("there/real.npy", "out.npy")
    made("npy")
    assert os.path.islink("out.npy")
    assert len(np.load("there/real.npy")) > 0
    assert os.listdir("there") == ["real.npy"]


@pytest.mark.parametrize("kind", ["zarr", "webdataset", "png"])
def test_folders_are_not_replaced_unless_they_are_empty(here: Path, kind: str) -> None:
    os.mkdir("out")
    assert make_patches("images", "out", format=kind).patches
    before = sorted(os.listdir("out"))
    with pytest.raises(OutputError, match="it exists already, and folders are not replaced"):
        make_patches("images", "out", format=kind, patch=20)
    assert sorted(os.listdir("out")) == before


def test_targets_that_cannot_be_written_are_refused_before_any_work(here: Path) -> None:
    os.mkdir("folder.npy")
    os.mkfifo("fifo.npy")
    for target in ("folder.npy", "fifo.npy"):
        with pytest.raises(OutputError, match="not a regular file"):
            make_patches("images", target)
    with pytest.raises(OutputError, match=r"there is no folder .*/no"):
        make_patches("images", "no/out.npy")


def test_a_foreign_part_is_not_touched(here: Path) -> None:
    Path("out.npy.part").write_text("somebody's")
    with pytest.raises(OutputError, match=r"out\.npy\.part is in the way"):
        made("npy")
    assert Path("out.npy.part").read_text() == "somebody's"
    assert not Path("out.npy").exists()
    assert not Path("out.npy.part.journal").exists()


def test_more_than_the_disk_has_is_refused_at_once(here: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write out.npy: [\d,.]+ GB are needed, and [\d,.]+ GB are free"):
        make_patches("images", "out.npy", patch=2000, stride=1, scales=[100])
    assert sorted(os.listdir()) == ["images"]


# -- where patches come from -------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize(
    "options",
    [{"times": 2}, {"augment": "0,3,5", "min_std": 70, "trim_to": 50}, {"edge": "drop", "color": True}],
)
def test_the_manifest_leads_to_every_patch(here: Path, ending: str, options: dict[str, Any]) -> None:
    patches = made("npy", manifest=f"out{ending}", **options)["patches"]
    if ending == ".csv":
        with open("out.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    else:
        rows = pyarrow.parquet.read_table("out.parquet").to_pylist()
    assert list(rows[0]) == ["file", "scale", "row", "column", "mode", "number"]
    assert len(rows) == len(patches)
    images = {name: np.asarray(Image.open(Path("images", name))) for name in {row["file"] for row in rows}}
    for row, patch in zip(rows, patches, strict=True):
        level = scaled(images[row["file"]], float(row["scale"]))
        top, left = int(row["row"]), int(row["column"])
        expected = augmented(level[top : top + 16, left : left + 16], int(row["mode"]))
        np.testing.assert_array_equal(patch if patch.ndim == 2 else patch[:, :, 1], expected)


def test_a_parquet_manifest_is_written_group_by_group(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_ROWS_A_GROUP", 300)
    patches = made("npy", manifest="out.parquet")["patches"]
    file = pyarrow.parquet.ParquetFile("out.parquet")
    assert file.num_row_groups > 1
    assert file.metadata.num_rows == len(patches)
    table = file.read()
    file.close()
    assert len(set(table["file"].to_pylist())) == 5


def test_a_manifest_of_pairs_counts_pixels_of_the_larger_images(here: Path) -> None:
    for number in range(2):
        small = noise(30, 25, seed=number)
        save(Path(f"small/{number}.png"), small)
        save(Path(f"large/{number}.png"), np.kron(small, np.ones((2, 2), np.uint8)))
    patches = made("npy", "large", pairs="small", scale_factor=2, manifest="out.csv")["patches"]
    with open("out.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, patch in zip(rows, patches, strict=True):
        image = np.asarray(Image.open(Path("large", row["file"])))
        top, left = int(row["row"]), int(row["column"])
        np.testing.assert_array_equal(patch, augmented(image[top : top + 16, left : left + 16], int(row["mode"])))


def test_names_that_a_spreadsheet_would_compute_are_made_harmless(here: Path) -> None:
    save(Path("images/=1+1.png"), noise(40, 40))
    made("npy", manifest="out.csv")
    assert "\r\n./=1+1.png,1.0,0,0," in Path("out.csv").read_bytes().decode()


def test_the_preview_shows_patches_of_the_output(here: Path) -> None:
    patches = made("npy", preview="sheet.png", scales=[1])["patches"]
    sheet = np.asarray(Image.open("sheet.png").convert("L"))
    for patch in (patches[0], patches[-1]):
        enlarged = np.kron(patch, np.ones((8, 8), np.uint8))
        first_row = np.lib.stride_tricks.sliding_window_view(sheet, 128, axis=1)
        places = np.argwhere((first_row == enlarged[0]).all(axis=2))
        assert any(np.array_equal(sheet[top : top + 128, left : left + 128], enlarged) for top, left in places)


@pytest.mark.parametrize("options", [{"color": True, "channel_axis": "first"}, {"depth": 16}, {"pairs": "images"}])
def test_a_preview_is_drawn_for_any_kind_of_patches(here: Path, options: dict[str, Any]) -> None:
    made("npy", preview="sheet.jpg", **options)
    with Image.open("sheet.jpg") as sheet:
        assert sheet.mode == "RGB"
        assert sheet.width > 8 * 128


def test_the_summary_tells_what_was_made(here: Path) -> None:
    summary = make_patches("images", "out.npy", manifest="out.csv", preview="sheet.png", **OPTIONS)
    shape = np.load("out.npy").shape
    assert (summary.patches, *summary.shape) == shape
    assert str(summary).splitlines() == [
        f"patches: {shape[0]} of 5 images, each 16 × 16, uint8",
        "failed: 0",
        "written: out.npy",
        "written: out.csv",
        "written: sheet.png",
    ]
