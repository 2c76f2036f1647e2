"""The kinds of output."""

from __future__ import annotations

from ..recipe import Recipe
from ..requirements import require

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .base import Output

__all__ = ["make_output"]


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
