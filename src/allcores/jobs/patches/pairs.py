"""Which image of one folder belongs to which of another.

A partner has the image's name; or that name with another ending (``a.png``, ``a.jpg``); or with the scale factor
before the ending, as DIV2K and its like have it (``0001.png``, ``0001x2.png``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .sources import Source

__all__ = ["Match", "match_pairs", "without_pairs"]


class Match(NamedTuple):
    """An image and its partner, if there are pairs; or why it has none."""

    name: str
    paths: tuple[str, ...]
    error: str | None = None


def without_pairs(sources: Iterable[Source]) -> list[Match]:
    """Every image by itself."""
    return [Match(source.name, (source.path,)) for source in sources]


def match_pairs(sources: Iterable[Source], partners: Iterable[Source], factor: int, folder: str) -> list[Match]:
    """Find each image's partner.

    Args:
        sources: the images.
        partners: the images of the other folder.
        factor: how many times smaller partners are.
        folder: the other folder, for messages.

    Returns:
        A match for each image in order, then one with an error for each partner that belongs to none.
    """
    by_name = {partner.name: partner for partner in partners}
    by_stem: dict[str, list[Source]] = {}
    for partner in by_name.values():
        by_stem.setdefault(os.path.splitext(partner.name)[0], []).append(partner)

    matches: list[Match] = []
    taken: set[str] = set()
    for source in sources:
        candidates = next(filter(None, _candidates(source.name, factor, by_name, by_stem)), [])
        if len(candidates) != 1:
            found = "more than one partner" if candidates else "no partner"
            matches.append(Match(source.name, (source.path,), f"{found} in {folder}"))
        elif candidates[0].name in taken:
            matches.append(Match(source.name, (source.path,), f"its partner {candidates[0].path} belongs to another"))
        else:
            taken.add(candidates[0].name)
            matches.append(Match(source.name, (source.path, candidates[0].path)))
    alone = [partner for partner in by_name.values() if partner.name not in taken]
    return [*matches, *(Match(partner.name, (partner.path,), "a partner without its image") for partner in alone)]


def _candidates(
    name: str, factor: int, by_name: dict[str, Source], by_stem: dict[str, list[Source]]
) -> Iterator[list[Source]]:
    stem = os.path.splitext(name)[0]
    yield [by_name[name]] if name in by_name else []
    yield by_stem.get(stem, [])
    yield by_stem.get(f"{stem}x{factor}", [])
