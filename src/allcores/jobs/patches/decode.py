"""From a file's bytes to pixels: the same ones whatever OpenCV's wheel does by default, or an error that says why.

OpenCV only decodes. Turning images upright, leaving out transparency, grey levels and the number of bits are done
here, because its own defaults differ from version to version and from format to format. JPEG is the exception: its
luma is what a grey reader gets from the decoder itself, without a detour over colours.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from . import colors
from .arrays import Array
from .errors import UndecodableImage
from .headers import UPRIGHT

__all__ = ["Decoded", "decode"]

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_STANDALONE = {0x01, *range(0xD0, 0xD8)}  # JPEG markers without a length
_START_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}


class Decoded(NamedTuple):
    """Pixels, and what had to be done to them.

    Attributes:
        pixels: rows, columns and, if colours were asked for, red, green and blue.
        changes: some of ``"colour to grey"``, ``"transparency left out"``, ``"16 bits to 8"`` and ``"turned upright"``.
    """

    pixels: Array
    changes: tuple[str, ...]


def decode(data: bytes, *, orientation: int = UPRIGHT, color: bool = False, depth: int = 8) -> Decoded:
    """Decode an image.

    Args:
        data: a whole file.
        orientation: EXIF's, as `headers.read_header` has it.
        color: three colours instead of grey.
        depth: 8 or 16 bits a sample.

    Raises:
        UndecodableImage: it cannot be decoded, or is not there to its end.
    """
    changes = []
    components = _check_whole(data)
    flags = cv2.IMREAD_UNCHANGED
    if components and not color:
        flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
        if components > 1:
            changes.append("colour to grey")
    pixels = _decode(data, flags)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = pixels[:, :, :3]
        changes.append("transparency left out")
    if pixels.ndim == 3 and not color:
        pixels = colors.grey(pixels)
        changes.append("colour to grey")
    elif pixels.ndim == 2 and color:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    elif pixels.ndim == 3:
        pixels = pixels[:, :, ::-1]
    if pixels.dtype == np.uint16 and depth == 8:
        pixels = colors.to_8_bits(pixels)
        changes.append("16 bits to 8")
    elif pixels.dtype == np.uint8 and depth == 16:
        pixels = colors.to_16_bits(pixels)
    if orientation != UPRIGHT:
        pixels = _upright(pixels, orientation)
        changes.append("turned upright")
    return Decoded(np.ascontiguousarray(pixels), tuple(changes))


def _decode(data: bytes, flags: int) -> Array:
    if not data:
        raise UndecodableImage("the file is empty")
    try:
        pixels: Array | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise UndecodableImage(f"OpenCV refuses it: {str(error.err).strip() or error}") from error
    if pixels is None:
        raise UndecodableImage("not an image that OpenCV can decode, or a damaged one")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UndecodableImage(f"its samples are of the type {pixels.dtype}; 8 and 16 bits can be read")
    if pixels.ndim != 2 and pixels.shape[2] not in (3, 4):
        raise UndecodableImage(f"it has {pixels.shape[2]} channels; 1, 3 and 4 can be read")
    return pixels


def _check_whole(data: bytes) -> int:
    """Refuse what has been cut off: some decoders fill the rest with grey, and say nothing.

    Returns:
        The number of a JPEG's components, 0 for other formats.
    """
    if data.startswith(_PNG) and b"IEND" not in data:
        raise UndecodableImage("the PNG is truncated")
    if not data.startswith(_JPEG):
        return 0
    components, scan = _jpeg_layout(data)
    if scan is None or data.find(_JPEG_END, scan) < 0:
        raise UndecodableImage("the JPEG is truncated")
    return components


def _jpeg_layout(data: bytes) -> tuple[int, int | None]:
    """The number of components, and where the first scan begins. (ITU-T T.81, annex B.) A thumbnail has its own end
    of image, before that."""
    components, position = 1, 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _STANDALONE:
            position += 2
        elif marker == _START_OF_SCAN:
            return components, position
        elif marker == _END_OF_IMAGE:
            break
        else:
            if marker in _START_OF_FRAME and position + 9 < len(data):
                components = data[position + 9]
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return components, None


def _upright(pixels: Array, orientation: int) -> Array:
    if orientation in (2, 4, 5, 7):  # mirrored: sideways first, then turned like the others
        pixels = pixels[:, ::-1]
    turns = {3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}.get(orientation, 0)
    return np.rot90(pixels, turns)
