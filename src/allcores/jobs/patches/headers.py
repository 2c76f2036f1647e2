"""What a file's first bytes promise about an image, without decoding it.

Pillow reads headers lazily and knows every format and its corners; some 30 µs a file. (imagesize takes 12 µs and
some more to be imported, and tells neither EXIF orientation nor odd variants apart as reliably.) A promise is all
that this is: a file may be truncated, changed, or lie, so whoever decodes an image must look again.
"""

from __future__ import annotations

import os
import stat
import threading
import warnings
from typing import BinaryIO, NamedTuple

from PIL import Image

__all__ = ["UPRIGHT", "FileState", "Header", "open_image", "read_header"]

UPRIGHT = 1
"""The orientation, in EXIF's numbers, of an image that is stored as it is shown."""

_ORIENTATION = 0x0112
_SIDEWAYS = range(5, 9)  # orientations that exchange height and width

_OPEN_FLAGS = os.O_RDONLY
for _flag in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
    _OPEN_FLAGS |= getattr(os, _flag, 0)  # a flag that a platform lacks is not needed there

# Pillow's limit against decompression bombs and the filters of warnings are the process's own.
_pillow = threading.Lock()


class FileState(NamedTuple):
    """By which a file is taken for unchanged."""

    size: int
    mtime_ns: int


class Header(NamedTuple):
    """Height and width as the image is shown, upright, and the orientation in which it is stored."""

    height: int
    width: int
    orientation: int


def open_image(path: str) -> tuple[BinaryIO, FileState]:
    """Open a regular file; anything else (a name may change its meaning) is an OSError, and never blocks."""
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _OPEN_FLAGS))
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        file.close()
        raise OSError("not a regular file")
    return file, FileState(status.st_size, status.st_mtime_ns)


def read_header(file: BinaryIO) -> Header | None:
    """Read an image's header.

    Args:
        file: at its beginning.

    Returns:
        None if Pillow does not understand it; that may well be an image nevertheless.
    """
    with _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with Image.open(file) as image:
                width, height = image.size
                orientation = _orientation(image)
        except Exception:  # whatever a plugin makes of a damaged file
            return None
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    if orientation in _SIDEWAYS:
        height, width = width, height
    return Header(height, width, orientation)


def _orientation(image: Image.Image) -> int:
    # Not `image.getexif()`: that decodes a PNG in search of it. TIFF's own tag is heeded by every decoder.
    if image.format == "TIFF" or not (block := image.info.get("exif")):
        return UPRIGHT
    exif = Image.Exif()
    exif.load(block)
    orientation = exif.get(_ORIENTATION, UPRIGHT)
    return orientation if orientation in range(1, 9) else UPRIGHT
