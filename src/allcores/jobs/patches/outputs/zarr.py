"""A Zarr array (format 2, read by versions 2 and 3 of the library and by others), or for pairs a group of two.

Chunks are files, not compressed: workers write into them in place. The few lines of metadata are written here, so
that the library is needed for reading only. See https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import numpy as np

from ..recipe import Recipe
from .base import remove
from .rows import Extent, RowOutput, Track

__all__ = ["ZarrOutput"]

_METADATA = ".zarray"
_CHUNK_BYTES = 4 << 20  # a compromise: a chunk is read whole for one patch, and a file takes time to open


class ZarrOutput(RowOutput):
    """What `zarr.open` reads."""

    is_folder = True

    def __init__(self, target: str, recipe: Recipe, chunk: int | None = None) -> None:
        super().__init__(target, recipe, [target])
        (self._part,) = self.parts.values()
        self._chunks = [chunk or max(1, _CHUNK_BYTES // track.row_bytes) for track in self.tracks]
        self._rows = 0

    def allocate(self, rows: int) -> None:
        os.makedirs(self._part, exist_ok=True)
        if self.recipe.factor:
            self._write_json(os.path.join(self._part, ".zgroup"), {"zarr_format": 2})
        for track in self.tracks:
            os.makedirs(self._folder(track), exist_ok=True)
        self.resize(rows)

    def reopen(self) -> None:
        super().reopen()
        with open(os.path.join(self._folder(self.tracks[0]), _METADATA), encoding="ascii") as file:
            self._rows = json.load(file)["shape"][0]

    def extents(self, track: Track, first: int, rows: int) -> Iterator[Extent]:
        chunk = self._chunks[track.number]
        while rows:
            number, inside = divmod(first, chunk)
            count = min(rows, chunk - inside)
            yield Extent(self._chunk_path(track, number), inside * track.row_bytes, count)
            first, rows = first + count, rows - count

    def resize(self, rows: int) -> None:
        for track, chunk in zip(self.tracks, self._chunks, strict=True):
            needed, there = -(-rows // chunk), -(-self._rows // chunk)
            for number in range(needed, there):
                remove(self._chunk_path(track, number))
            for number in range(there, needed):
                self._cut(self._chunk_path(track, number), chunk * track.row_bytes, chunk * track.row_bytes)
            if rows % chunk:  # chunks are whole also where the array ends; what lies beyond is zero
                last = self._chunk_path(track, rows // chunk)
                self._cut(last, rows % chunk * track.row_bytes, chunk * track.row_bytes)
            metadata = {
                "zarr_format": 2,
                "shape": [rows, *track.shape],
                "chunks": [chunk, *track.shape],
                "dtype": np.dtype(self.recipe.dtype).newbyteorder("<").str,
                "compressor": None,
                "fill_value": 0,
                "order": "C",
                "filters": None,
            }
            self._write_json(os.path.join(self._folder(track), _METADATA), metadata)
        self._rows = rows

    def _folder(self, track: Track) -> str:
        return os.path.join(self._part, track.name) if self.recipe.factor else self._part

    def _chunk_path(self, track: Track, number: int) -> str:
        zeros = ["0"] * len(track.shape)
        return os.path.join(self._folder(track), ".".join([str(number), *zeros]))

    @staticmethod
    def _cut(path: str, kept: int, size: int) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            os.ftruncate(descriptor, min(kept, os.fstat(descriptor).st_size))
            os.ftruncate(descriptor, size)
        finally:
            os.close(descriptor)

    @staticmethod
    def _write_json(path: str, value: dict[str, object]) -> None:
        with open(path, "w", encoding="ascii") as file:
            json.dump(value, file, indent=4)
