"""The formats of outputs: their names, and the endings by which they are known."""

from __future__ import annotations

import os

from .errors import RecipeError

__all__ = ["ENCODED_FORMATS", "ENDINGS", "FORMATS", "format_of"]

ENCODED_FORMATS = ("webdataset", "png")
"""Formats of which every patch is a file of its own."""

FORMATS = ("npy", "zarr", "hdf5", *ENCODED_FORMATS)

ENDINGS = {".npy": "npy", ".zarr": "zarr", ".h5": "hdf5", ".hdf5": "hdf5"}
"""Formats that are known by the ending of a name. Folders of PNG files and of archives have none."""


def format_of(target: str, wanted: str | None) -> str:
    """The format of an output.

    Args:
        target: where it goes.
        wanted: the format's name, if the caller chose one.

    Raises:
        RecipeError: there is no such format, or the ending does not tell.
    """
    if wanted is not None:
        return wanted
    ending = os.path.splitext(os.path.normpath(target))[1].lower()
    if ending in ENDINGS:
        return ENDINGS[ending]
    known = ", ".join(ENDINGS)
    raise RecipeError(f"{target}: let it end in {known}, or say which format it shall have: {', '.join(FORMATS)}")
