"""A contact sheet: some patches of the output, evenly spread over it, each with where it comes from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..result_file import ResultFile
from . import colors
from .arrays import Array
from .cut import aligned, cut
from .journal import Record
from .manifest import Origins, origins
from .plan import PlannedImage
from .recipe import Recipe
from .work import decoded

__all__ = ["preview_file"]

_TILES = 40
_COLUMNS = 8
_TILE_PIXELS = 128  # at least; a larger patch is shown smaller
_GAP = 12
_LINE_PIXELS = 14
_LINE_LETTERS = 22
_INK, _PAPER = (30, 30, 30), (245, 245, 245)


@contextmanager
def preview_file(
    path: str, images: Sequence[PlannedImage], records: Sequence[Record], counts: Sequence[int], recipe: Recipe
) -> Iterator[Callable[[], None]]:
    """Draw the sheet and write it; yields what gives it its name. Patches are cut anew, which gives the same ones.

    Args:
        path: the sheet's; its ending says the format.
        images, records: all images, and what became of them.
        counts: how many patches of each are in the output.
        recipe: what was cut.

    Raises:
        ResultFileError: it cannot be written.
    """
    sheet = _sheet(images, records, counts, recipe)
    kind = Image.registered_extensions()[os.path.splitext(path)[1].lower()]
    with ResultFile(path) as file:
        sheet.save(cast("IO[bytes]", file.as_binary()), format=kind)  # of which Pillow needs `write` only
        yield file.commit


def _sheet(
    images: Sequence[PlannedImage], records: Sequence[Record], counts: Sequence[int], recipe: Recipe
) -> Image.Image:
    total = sum(counts)
    wanted = np.unique(np.linspace(0, total - 1, min(total, _TILES)).round().astype(np.int64))
    ends = np.cumsum(counts)
    owners = np.searchsorted(ends, wanted, side="right")

    partners = len(recipe.sides)
    cell = _TILE_PIXELS * partners + _GAP, _TILE_PIXELS + 3 * _LINE_PIXELS + _GAP
    lines = -(-len(wanted) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * cell[0] + _GAP, lines * cell[1] + _GAP), _PAPER)
    drawing = ImageDraw.Draw(sheet)
    font = ImageFont.load_default()

    tile = 0
    for owner in np.unique(owners):
        image, record = images[owner], records[owner]
        of_image = wanted[owners == owner] - (ends[owner] - counts[owner])
        origin = origins(image, record, recipe, counts[owner])
        for position, patches in zip(of_image, _patches(image, recipe, origin.number[of_image]), strict=True):
            line, column = divmod(tile, _COLUMNS)
            corner = _GAP + column * cell[0], _GAP + line * cell[1]
            for place, patch in enumerate(patches):
                sheet.paste(_picture(patch, recipe), (corner[0] + place * _TILE_PIXELS, corner[1]))
            caption = _caption(wanted[tile], origin, int(position))
            drawing.text((corner[0], corner[1] + _TILE_PIXELS + 1), caption, _INK, font)
            tile += 1
    return sheet


def _patches(image: PlannedImage, recipe: Recipe, numbers: Array) -> list[list[Array]]:
    """The patches with these numbers within the image, in order; each with its partner if there are pairs."""
    found: dict[int, list[Array]] = {}
    wanted = set(numbers.tolist())
    pixels = [decoded(image, which, recipe).pixels for which in range(len(image.paths))]
    for block in cut(aligned(pixels, recipe), image.name, recipe):
        for position, number in enumerate(block.numbers.tolist()):
            if number in wanted:
                found[number] = [of_role[position] for of_role in block.patches]
    return [found[number] for number in numbers.tolist()]


def _picture(patch: Array, recipe: Recipe) -> Image.Image:
    if recipe.depth == 16:
        patch = colors.to_8_bits(patch)
    if recipe.channel_axis == "first":
        patch = np.moveaxis(patch, 0, -1)
    picture = Image.fromarray(np.ascontiguousarray(patch.squeeze()))
    # Enlarged by whole factors, so that pixels stay to be seen.
    factor = _TILE_PIXELS / patch.shape[0]
    side = patch.shape[0] * int(factor) if factor >= 1 else _TILE_PIXELS
    return picture.resize((side, side), Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX)


def _caption(number: int, origin: Origins, position: int) -> str:
    name = origin.image.name
    if len(name) > _LINE_LETTERS:
        name = "…" + name[1 - _LINE_LETTERS :]
    scale, row, column, mode = (values[position] for values in origin[1:5])
    text = f"{name}\nscale {scale:g} at {row}, {column}\n#{number} mode {mode}"
    return text.encode("utf-8", "replace").decode()
