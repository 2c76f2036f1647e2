"""A NumPy file, or two for pairs: a header of fixed length, then row after row."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import numpy as np

from ..recipe import Recipe
from .rows import Extent, RowOutput, Track

__all__ = ["NpyOutput", "pairs_path"]

# NumPy pads headers to a multiple of 64 bytes; all that can occur here fit in two.
_HEADER_BYTES = 128


def pairs_path(target: str) -> str:
    """Where the partners go: ``train.npy`` has them in ``train-pairs.npy``."""
    stem, ending = os.path.splitext(target)
    return f"{stem}-pairs{ending}"


class NpyOutput(RowOutput):
    """What `numpy.load` reads, also as a memory map."""

    def __init__(self, target: str, recipe: Recipe) -> None:
        super().__init__(target, recipe, [target, pairs_path(target)] if recipe.factor else [target])

    def allocate(self, rows: int) -> None:
        for part in self.parts.values():
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666))
        self.resize(rows)

    def extents(self, track: Track, first: int, rows: int) -> Iterator[Extent]:
        part = list(self.parts.values())[track.number]
        yield Extent(part, _HEADER_BYTES + first * track.row_bytes, rows)

    def resize(self, rows: int) -> None:
        for track, part in zip(self.tracks, self.parts.values(), strict=True):
            with open(part, "r+b") as file:
                file.write(_header((rows, *track.shape), self.recipe.dtype))
                file.truncate(_HEADER_BYTES + rows * track.row_bytes)


def _header(shape: tuple[int, ...], dtype: str) -> bytes:
    buffer = io.BytesIO()
    description = {"descr": np.dtype(dtype).newbyteorder("<").str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, description)
    header = buffer.getvalue()
    # How much room for growth is left differs between versions of NumPy; it is spaces before the final line feed.
    start, text = header[:8], header[10:].rstrip()
    length = _HEADER_BYTES - 10
    return start + length.to_bytes(2, "little") + text.ljust(length - 1) + b"\n"
