"""Training patches out of images, on all cores, straight into one array or a folder.

    from allcores.jobs import patches

    summary = patches("Train400", "train.npy", augment="none")
    print(summary)

The module itself can be called; it is `make_patches`. The same job from the shell is ``allcores patches Train400
train.npy``. NumPy, OpenCV and Pillow (``pip install 'allcores[images]'``) are imported when patches are made.
"""

from __future__ import annotations

import sys
from types import ModuleType

from .api import make_patches
from .recipe import RecipeError
from .requirements import MissingPackage
from .sources import SourceError
from .summary import Failure, Summary

__all__ = [
    "Failure",
    "ImageError",
    "MissingPackage",
    "NoPatches",
    "OutputError",
    "RecipeError",
    "SourceError",
    "Summary",
    "make_patches",
]


class _CallableModule(ModuleType):
    """A module that is also its main function: ``allcores.jobs.patches(…)``."""

    __call__ = staticmethod(make_patches)


sys.modules[__name__].__class__ = _CallableModule

# Modules that need the packages above, by the names that they bring.
_LATER = {"ImageError": "job", "NoPatches": "job", "OutputError": "outputs.base"}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
