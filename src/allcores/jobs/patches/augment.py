"""Which patch is turned and mirrored in which way.

A random augmentation is a function of the seed, the image's name and the patch's number in the image, and of nothing
else: neither workers nor other images nor NumPy's version change it. It is the low three bits of one byte of a
SHAKE-128 stream (FIPS 202), which is keyed by seed and name.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np

from .arrays import Array
from .recipe import MODES, Recipe

__all__ = ["modes_for"]


def modes_for(name: str, patches: int, recipe: Recipe) -> Array:
    """The augmentation of each of an image's patches, as numbers from 0 to 7.

    Args:
        name: the image's.
        patches: how many it has.
        recipe: what to cut.
    """
    if recipe.modes is not None:
        return np.tile(np.array(recipe.modes, np.uint8), patches // recipe.copies)
    key = b"allcores patches\0%d\0" % recipe.seed + os.fsencode(name)
    stream = np.frombuffer(hashlib.shake_128(key).digest(patches), np.uint8)
    modes: Array = stream & np.uint8(len(MODES) - 1)
    return modes
