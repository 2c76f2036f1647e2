"""Patches as PNG files of their own: what folders and tar archives of patches have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from ..arrays import Array
from ..recipe import Recipe

__all__ = ["ROLES", "encoded", "roles_of"]

ROLES = ("patches", "pairs")
"""What the patches are called, and their partners."""


def roles_of(recipe: Recipe) -> Sequence[str]:
    """The roles that there are."""
    return ROLES[: len(recipe.sides)]


def encoded(numbers: Array, patches: Sequence[Array]) -> Iterator[tuple[str, list[bytes]]]:
    """Each patch's name within its image, and its PNG and that of its partner."""
    for position, number in enumerate(numbers):
        yield f"{number:06d}", [_png(of_role[position]) for of_role in patches]


def _png(patch: Array) -> bytes:
    data: Array
    fits, data = cv2.imencode(".png", np.ascontiguousarray(patch[:, :, ::-1]) if patch.ndim == 3 else patch)
    if not fits:
        raise ValueError(f"OpenCV cannot write a PNG of {patch.shape[1]} × {patch.shape[0]} pixels")
    png: bytes = data.tobytes()
    return png
