"""The plan: which image gives how many patches, and where they go. Made from headers, before any pixel is decoded."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .errors import reason_of
from .grid import windows_in
from .headers import UPRIGHT, FileState, Header, open_image, read_header
from .pairs import Match
from .recipe import Recipe

__all__ = ["Bundle", "Plan", "PlannedImage", "make_plan"]


# What the best of the usual compressions, deflate, makes of an image of one colour.
_PIXELS_A_BYTE = 1032


class PlannedImage(NamedTuple):
    """An image to be cut.

    Attributes:
        number: its place among all images.
        name: what it is called in the results.
        key: what its patches are called where they are files: the name, without its ending if that is enough to tell
            it from all others.
        paths: its file, and its partner's where there are pairs.
        states: what those files were like when the plan was made.
        orientations: how their pixels are stored.
        patches: how many its header promises, flat ones included.
        first: the number of its first patch among all, if every header keeps its promise.
        error: why it cannot be cut, if that is known already.
    """

    number: int
    name: str
    key: str
    paths: tuple[str, ...]
    states: tuple[FileState, ...] = ()
    orientations: tuple[int, ...] = ()
    patches: int = 0
    first: int = 0
    error: str | None = None


class Bundle(NamedTuple):
    """Neighbouring images that one task cuts."""

    number: int
    images: list[PlannedImage]

    @property
    def patches(self) -> int:
        """How many patches the headers promise."""
        return sum(image.patches for image in self.images)


class Plan(NamedTuple):
    """All images, in order, those that cannot be cut among them.

    Attributes:
        patches: how many the headers promise altogether.
    """

    images: list[PlannedImage]
    patches: int
    recipe: Recipe

    def bundles(self, patches: int) -> Iterator[Bundle]:
        """Tie images into bundles of at least so many patches, as far as they reach."""
        images: list[PlannedImage] = []
        number = total = 0
        for image in self.images:
            if image.error is not None:
                continue
            images.append(image)
            total += image.patches
            if total >= patches:
                yield Bundle(number, images)
                images, number, total = [], number + 1, 0
        if images:
            yield Bundle(number, images)

    def digest(self, *more: object) -> str:
        """A fingerprint of the plan: with the same one, a run may go on where another ended."""
        digest = hashlib.sha256(repr((self.recipe, more)).encode())
        for image in self.images:
            digest.update(json.dumps(image).encode())
        return digest.hexdigest()


def make_plan(matches: Sequence[Match], recipe: Recipe) -> Plan:
    """Read the headers of all images and count their patches.

    Args:
        matches: the images, with their partners where the recipe has pairs.
        recipe: what to cut.
    """
    images: list[PlannedImage] = []
    keys = _keys([match.name for match in matches])
    first = 0
    for number, (match, key) in enumerate(zip(matches, keys, strict=True)):
        image = _planned(PlannedImage(number, match.name, key, match.paths, error=match.error), recipe)
        image = image._replace(first=first)
        images.append(image)
        first += image.patches
    return Plan(images, first, recipe)


def _keys(names: Sequence[str]) -> list[str]:
    stems = [os.path.splitext(name)[0] for name in names]
    alike = Counter(stems)
    taken = set(names)
    for name in names:
        while name := name.rpartition("/")[0]:
            taken.add(name)  # the patches of ``a.png`` do not go among those of the images in a folder ``a``
    return [stem if alike[stem] == 1 and stem not in taken else name for name, stem in zip(names, stems, strict=True)]


def _largest(header: Header, recipe: Recipe) -> float:
    """How many pixels the image will have at its largest scale."""
    return header.height * header.width * max(1.0, *recipe.scales) ** 2


def _is_plausible(header: Header, state: FileState) -> bool:
    """Whether a file is large enough for its pixels: no room is to be asked for because of a few wrong bytes."""
    return header.height * header.width <= _PIXELS_A_BYTE * state.size


def _planned(image: PlannedImage, recipe: Recipe) -> PlannedImage:
    if image.error is not None:
        return image
    states: list[FileState] = []
    headers: list[Header | None] = []
    for path in image.paths:
        try:
            file, state = open_image(path)
            with file:
                header = read_header(file)
                if header and (pixels := _largest(header, recipe)) > recipe.max_pixels:
                    raise OSError(f"{pixels:,.0f} pixels, more than max_pixels allows")
                headers.append(header if header and _is_plausible(header, state) else None)
        except OSError as error:
            of_partner = " (its partner)" if headers else ""
            return image._replace(error=f"{reason_of(error)}{of_partner}")
        states.append(state)
    smaller = headers[-1]
    # A header that is not understood, or not believed, promises nothing; the decoder has the last word.
    windows = windows_in(smaller.height, smaller.width, recipe) if smaller else 0
    return image._replace(
        states=tuple(states),
        orientations=tuple(header.orientation if header else UPRIGHT for header in headers),
        patches=windows * recipe.copies,
    )
