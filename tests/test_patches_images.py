"""Images as they come: formats, bits, colours, rotation, damage; and scaling to the very bit."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from allcores.jobs.patches import bicubic, make_patches
from allcores.jobs.patches.bicubic import resize, resize_by_numpy
from allcores.jobs.patches.decode import decode
from allcores.jobs.patches.errors import UndecodableImage
from allcores.jobs.patches.headers import read_header
from patches_reference import noise, plain_patches, save


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def by_opencv(ending: str, pixels: Any) -> bytes:
    return bytes(cv2.imencode(ending, pixels)[1].tobytes())


def luma(rgb: Any) -> Any:
    """ITU-R BT.601, rounded to the nearest level."""
    return rgb.astype(float) @ [0.299, 0.587, 0.114]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- colours and bits --------------------------------------------------------------------------------------

GREY, RGB, RGBA = noise(23, 31), noise(23, 31, 3), noise(23, 31, 4)
PALETTED = Image.fromarray(RGB).quantize(200)


@pytest.mark.parametrize(
    ("data", "rgb"),
    [
        pytest.param(encoded(Image.fromarray(RGB), "PNG"), RGB, id="png"),
        pytest.param(encoded(Image.fromarray(RGB), "BMP"), RGB, id="bmp"),
        pytest.param(encoded(Image.fromarray(RGB), "TIFF", compression="tiff_lzw"), RGB, id="tiff"),
        pytest.param(encoded(Image.fromarray(RGB), "WEBP", lossless=True), RGB, id="webp"),
        pytest.param(encoded(Image.fromarray(RGB), "PPM"), RGB, id="ppm"),
        pytest.param(encoded(Image.fromarray(RGBA), "PNG"), RGBA[:, :, :3], id="alpha"),
        pytest.param(
            encoded(Image.fromarray(RGBA), "WEBP", lossless=True, exact=True), RGBA[:, :, :3], id="webp-alpha"
        ),
        pytest.param(encoded(PALETTED, "PNG"), np.asarray(PALETTED.convert("RGB")), id="palette"),
        pytest.param(encoded(PALETTED, "PNG", transparency=3), np.asarray(PALETTED.convert("RGB")), id="palette-alpha"),
        pytest.param(encoded(PALETTED, "BMP"), np.asarray(PALETTED.convert("RGB")), id="bmp-palette"),
        pytest.param(encoded(Image.fromarray(GREY), "PNG"), np.dstack([GREY] * 3), id="grey"),
        pytest.param(encoded(Image.fromarray(GREY).convert("LA"), "PNG"), np.dstack([GREY] * 3), id="grey-alpha"),
    ],
)
def test_colours_are_red_green_blue_and_grey_is_their_luma(data: bytes, rgb: Any) -> None:
    np.testing.assert_array_equal(decode(data, color=True).pixels, rgb)
    grey = decode(data).pixels
    assert np.abs(grey - luma(rgb)).max() <= 0.51
    assert grey.dtype == np.uint8


def test_black_and_white_is_0_and_255() -> None:
    bilevel = Image.fromarray(GREY).convert("1")
    expected = np.where(np.asarray(bilevel), 255, 0)
    for kind in ("PNG", "BMP"):
        np.testing.assert_array_equal(decode(encoded(bilevel, kind)).pixels, expected)


def test_sixteen_bits_are_kept_or_rounded_and_eight_are_spread() -> None:
    deep = noise(23, 31, dtype="uint16")
    for data in (by_opencv(".png", deep), by_opencv(".tiff", deep)):
        np.testing.assert_array_equal(decode(data, depth=16).pixels, deep)
        np.testing.assert_array_equal(decode(data).pixels, np.floor(deep / 257 + 0.5))
        assert decode(data).changes == ("16 bits to 8",)
    shallow = decode(encoded(Image.fromarray(GREY), "PNG"), depth=16).pixels
    np.testing.assert_array_equal(shallow, GREY.astype(int) * 257)


def test_sixteen_bits_of_colours_are_kept() -> None:
    deep = noise(23, 31, 3, dtype="uint16")
    data = by_opencv(".png", deep[:, :, ::-1])
    np.testing.assert_array_equal(decode(data, depth=16, color=True).pixels, deep)
    assert np.abs(decode(data, depth=16).pixels - luma(deep)).max() <= 2  # weights of 15 bits


def test_a_jpegs_grey_is_what_the_decoder_itself_has_for_grey() -> None:
    smooth = cv2.GaussianBlur(RGB, (0, 0), 3)
    data = encoded(Image.fromarray(smooth), "JPEG", quality=95)
    np.testing.assert_array_equal(decode(data).pixels, cv2.imdecode(np.frombuffer(data, np.uint8), 0))
    assert decode(data).changes == ("colour to grey",)
    grey = encoded(Image.fromarray(smooth[:, :, 0]), "JPEG")
    np.testing.assert_array_equal(decode(grey).pixels, np.asarray(Image.open(io.BytesIO(grey))))
    assert decode(grey).changes == ()


def test_what_was_changed_is_told(here: Path) -> None:
    save(Path("images/a.png"), noise(50, 50, 4))
    save(Path("images/b.png"), noise(50, 50, 3))
    save(Path("images/c.png"), noise(50, 50))
    Path("images/d.png").write_bytes(by_opencv(".png", noise(50, 50, dtype="uint16")))
    summary = make_patches("images", "out.npy")
    assert dict(summary.changes) == {"colour to grey": 2, "transparency left out": 1, "16 bits to 8": 1}
    assert "changed: 16 bits to 8: 1; colour to grey: 2; transparency left out: 1" in str(summary)


def test_floating_point_samples_are_refused_by_name() -> None:
    with pytest.raises(UndecodableImage, match="float32; 8 and 16 bits"):
        decode(encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"))


# -- rotation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_cut_as_they_are_shown(here: Path, kind: str, orientation: int) -> None:
    smooth = cv2.GaussianBlur(noise(50, 70), (0, 0), 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}.get(kind, {})
    data = encoded(Image.fromarray(smooth), kind, exif=exif, **options)
    with Image.open(io.BytesIO(data)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("L"))
    header = read_header(io.BytesIO(data))
    assert header is not None
    assert (header.height, header.width) == upright.shape
    Path("images").mkdir()
    Path(f"images/a.{kind.lower()}").write_bytes(data)
    make_patches("images", "out.npy", augment="none", scales=[1], patch=30)
    np.testing.assert_array_equal(np.load("out.npy"), plain_patches(upright, scales=[1], patch=30))


# -- damage ------------------------------------------------------------------------------------------------

SMOOTH = Image.fromarray(cv2.GaussianBlur(noise(60, 60, 3), (0, 0), 2))
THUMBNAIL = encoded(SMOOTH.resize((20, 20)), "JPEG")


def with_thumbnail() -> bytes:
    """A JPEG that has a small one, with its own end, in its header."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x927C] = THUMBNAIL  # the maker's note may be any bytes
    data = encoded(SMOOTH, "JPEG", exif=exif)
    assert THUMBNAIL in data
    return data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(SMOOTH, "PNG"), id="png"),
        pytest.param(encoded(SMOOTH, "JPEG"), id="jpeg"),
        pytest.param(encoded(SMOOTH, "JPEG", progressive=True), id="progressive"),
        pytest.param(with_thumbnail(), id="thumbnail"),
        pytest.param(encoded(SMOOTH, "BMP"), id="bmp"),
        pytest.param(encoded(SMOOTH, "TIFF"), id="tiff"),
        pytest.param(encoded(SMOOTH, "WEBP"), id="webp"),
        pytest.param(encoded(SMOOTH, "PPM"), id="ppm"),
    ],
)
def test_an_image_that_was_cut_off_anywhere_is_refused(data: bytes) -> None:
    decode(data)
    for length in range(0, len(data) - 4, max(1, len(data) // 60)):
        with pytest.raises(UndecodableImage):
            decode(data[:length])


def test_bytes_after_the_end_of_an_image_do_no_harm() -> None:
    for kind in ("PNG", "JPEG"):
        data = encoded(SMOOTH, kind)
        np.testing.assert_array_equal(decode(data + b"and more").pixels, decode(data).pixels)


def test_files_that_are_no_images_are_named_and_the_rest_is_cut(here: Path) -> None:
    image = noise(50, 50)
    save(Path("images/good.png"), image)
    for name, data in {
        "empty.png": b"",
        "text.jpg": b"this is no image\n" * 100,
        "cut.png": encoded(SMOOTH, "PNG")[:1000],
        "cut.jpg": encoded(SMOOTH, "JPEG")[:-200],
    }.items():
        Path("images", name).write_bytes(data)
    os.symlink("nowhere", "images/link.png")
    summary = make_patches("images", "out.npy", augment="none")
    np.testing.assert_array_equal(np.load("out.npy"), plain_patches(image))
    assert {Path(failure.path).name: failure.reason for failure in summary.failures} == {
        "cut.jpg": "the JPEG is truncated",
        "cut.png": "the PNG is truncated",
        "empty.png": "the file is empty",
        "link.png": "no such file or directory",
        "text.jpg": "not an image that OpenCV can decode, or a damaged one",
    }
    assert summary.images == 1


def test_images_smaller_than_a_patch_are_named_and_no_failures(here: Path) -> None:
    save(Path("images/large.png"), noise(50, 50))
    for name, size in {"low.png": (39, 100), "thin.png": (100, 39), "dot.png": (1, 1)}.items():
        save(Path("images", name), noise(*size))
    summary = make_patches("images", "out.npy")
    assert summary.small == ["dot.png", "low.png", "thin.png"]
    assert summary.failures == []
    assert "skipped: smaller than a patch: 3 images (dot.png, low.png, thin.png)" in str(summary)


# -- which files -------------------------------------------------------------------------------------------


def test_folders_are_looked_through_and_what_is_left_out_is_told(here: Path) -> None:
    image = noise(40, 40)
    for name in ("a.PNG", "sub/deeper/b.Jpeg", "天地/玄黄.png", ".hidden.png", ".cache/c.png"):
        save(Path("images", name), image)
    save(Path("elsewhere/d.png"), image)
    os.symlink(here / "elsewhere/d.png", "images/linked.png")
    os.symlink(here / "images", "images/loop")
    os.mkfifo("images/fifo.png")
    for name in ("readme.txt", "Thumbs.db", "LICENSE"):
        Path("images", name).touch()
    summary = make_patches("images", "out.npy", manifest="out.csv")
    assert summary.images == 4
    assert dict(summary.left_out) == {
        ".db files": 1, ".txt files": 1, "FIFOs, sockets and devices": 1, "files without an ending": 1,
        "hidden files": 1, "hidden folders": 1, "links to folders": 1,
    }  # fmt: skip
    names = [line.partition(",")[0] for line in Path("out.csv").read_text("utf-8").splitlines()[1:]]
    assert list(dict.fromkeys(names)) == ["a.PNG", "linked.png", "sub/deeper/b.Jpeg", "天地/玄黄.png"]
    assert make_patches("images", "out.npy", hidden=True).images == 6
    assert make_patches("images", "out.npy", include=["*.jpeg"]).images == 1


def test_names_that_are_no_utf8_are_cut_like_others(here: Path) -> None:
    image = noise(40, 40)
    save(Path("images/a.png"), image)
    os.rename(b"images/a.png", b"images/\xe9.png")
    assert make_patches("images", "out.npy", augment="none", manifest="out.csv").images == 1
    np.testing.assert_array_equal(np.load("out.npy"), [image])
    assert b"\n\xe9.png,1.0,0,0,0,0" in Path("out.csv").read_bytes().replace(b"\r", b"")


def test_several_sources_have_names_of_their_own(here: Path) -> None:
    for name in ("one/a.png", "two/a.png"):
        save(Path(name), noise(40, 40))
    summary = make_patches(["two", "one", "one/a.png"], "out.npy", manifest="out.csv")
    assert summary.images == 3
    names = [line.partition(",")[0] for line in Path("out.csv").read_text().splitlines()[1:]]
    assert names == ["a.png", "one/a.png", "two/a.png"]
    with pytest.raises(ValueError, match="another path ends in the same name"):
        make_patches(["one/a.png", "two/a.png"], "out.npy")


def test_the_output_is_no_source(here: Path) -> None:
    save(Path("images/a.png"), noise(50, 50))
    first = make_patches("images", "images/patches", format="png", preview="images/sheet.png")
    second = make_patches("images", "images/patches2", format="png", preview="images/sheet.png", include=["a.png"])
    assert first.images == second.images == 1
    Path("images/patches").rename("aside")
    again = make_patches("images", "images/patches2.npy", include=["a.png", "sheet.png"], preview="images/sheet.png")
    assert again.images == 1


# -- scaling -----------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    scaled_height=st.integers(1, 90),
    scaled_width=st.integers(1, 90),
    channels=st.sampled_from([(), (3,)]),
    seed=st.integers(0, 2**32),
)
def test_scaling_by_numpy_gives_opencvs_bytes(
    height: int, width: int, scaled_height: int, scaled_width: int, channels: tuple[int, ...], seed: int
) -> None:
    """On x86-64. Where OpenCV computes otherwise, NumPy's is what counts, and this does not hold."""
    image = noise(height, width, *channels, seed=seed)
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        expected = cv2.resize(image, (scaled_width, scaled_height), interpolation=cv2.INTER_CUBIC)
    finally:
        cv2.ipp.setUseIPP(before)
    np.testing.assert_array_equal(resize_by_numpy(image, scaled_height, scaled_width), expected)


def test_where_opencv_computes_otherwise_numpy_scales_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this OpenCV were another processor's: a few pixels differ by one level, as they do with IPP."""
    image, opencv = noise(64, 64), cv2.resize

    def otherwise(*arguments: Any, **options: Any) -> Any:
        scaled = opencv(*arguments, **options)
        scaled[::9, ::5] ^= 1
        return scaled

    expected = resize(image, 57, 56)
    monkeypatch.setattr(cv2, "resize", otherwise)
    bicubic._opencv_is_steady.cache_clear()
    try:
        np.testing.assert_array_equal(resize(image, 57, 56), expected)
    finally:
        bicubic._opencv_is_steady.cache_clear()


def test_sixteen_bits_are_scaled_to_within_a_level_of_opencvs() -> None:
    for shape in ((80, 60), (80, 60, 3)):
        image = noise(*shape, dtype="uint16")
        found = resize(image, 56, 51)
        expected = cv2.resize(image.astype(np.float64), (51, 56), interpolation=cv2.INTER_CUBIC)
        assert np.abs(found - expected.clip(0, 65535)).max() <= 0.51


def test_an_image_that_has_the_size_already_is_not_touched() -> None:
    image = noise(20, 30)
    assert resize(image, 20, 30) is image
