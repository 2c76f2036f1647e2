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
from .errors import ImageError, MissingPackage, NoPatches, OutputError, RecipeError, SourceError, TargetError
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
    "TargetError",
    "make_patches",
]


class _CallableModule(ModuleType):
    """A module that is also its main function: ``allcores.jobs.patches(…)``."""

    __call__ = staticmethod(make_patches)


sys.modules[__name__].__class__ = _CallableModule
