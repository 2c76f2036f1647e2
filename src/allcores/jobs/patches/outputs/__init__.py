"""The kinds of output, by the name of a format or the ending of a file."""

from __future__ import annotations

import os

from ..recipe import Recipe, RecipeError
from ..requirements import require

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .base import Output

__all__ = ["ENCODED_FORMATS", "ENDINGS", "FORMATS", "format_of", "make_output"]

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


def make_output(target: str, kind: str, recipe: Recipe, chunk: int | None) -> Output:
    """An output of a kind.

    Raises:
        MissingPackage: the kind needs a package that is not installed.
    """
    # Each kind imports what it needs, and no other does.
    if kind == "npy":
        from .npy import NpyOutput

        return NpyOutput(target, recipe)
    if kind == "zarr":
        from .zarr import ZarrOutput

        return ZarrOutput(target, recipe, chunk)
    if kind == "hdf5":
        require("HDF5 output", "hdf5", "h5py")
        from .hdf5 import Hdf5Output

        return Hdf5Output(target, recipe, chunk)
    if kind == "webdataset":
        from .webdataset import WebDatasetOutput

        return WebDatasetOutput(target, recipe)
    from .png import PngOutput

    return PngOutput(target, recipe)
