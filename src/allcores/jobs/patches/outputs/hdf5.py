"""An HDF5 file with one chunked dataset, ``patches``, and for pairs a second one, ``pairs``.

The HDF5 library lays out the chunks, which are not compressed, and tells where in the file they are; workers then
write into them directly, without the library and its lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import h5py
import numpy as np

from ..arrays import Array
from ..errors import OutputError
from ..recipe import Recipe
from .rows import Extent, RowOutput, Track

__all__ = ["Hdf5Output"]

_VERSION = "v110"  # the first with a quick index of chunks
_CHUNK_BYTES = 1 << 20  # as much as the library keeps in memory of each dataset, unless told otherwise


class Hdf5Output(RowOutput):
    """What h5py reads."""

    def __init__(self, target: str, recipe: Recipe, chunk: int | None = None) -> None:
        super().__init__(target, recipe, [target])
        (self._part,) = self.parts.values()
        self._chunks = [chunk or max(1, _CHUNK_BYTES // track.row_bytes) for track in self.tracks]
        self._offsets: list[Array] = []

    def allocate(self, rows: int) -> None:
        with self._file("w") as file:
            for track, chunk in zip(self.tracks, self._chunks, strict=True):
                layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                layout.set_chunk((chunk, *track.shape))
                layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
                layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
                layout.set_obj_track_times(False)  # the same patches, the same bytes
                space = h5py.h5s.create_simple((rows, *track.shape), (h5py.h5s.UNLIMITED, *track.shape))
                kind = h5py.h5t.py_create(np.dtype(self.recipe.dtype), logical=True)
                h5py.h5d.create(file.id, track.name.encode(), kind, space, layout)
        self._find_chunks(rows)

    def reopen(self) -> None:
        super().reopen()
        with self._file("r") as file:
            rows = len(file[self.tracks[0].name])
        self._find_chunks(rows)

    def extents(self, track: Track, first: int, rows: int) -> Iterator[Extent]:
        chunk, offsets = self._chunks[track.number], self._offsets[track.number]
        while rows:
            number, inside = divmod(first, chunk)
            count = min(rows, chunk - inside)
            yield Extent(self._part, int(offsets[number]) + inside * track.row_bytes, count)
            first, rows = first + count, rows - count

    def resize(self, rows: int) -> None:
        with self._file("r+") as file:
            for track in self.tracks:
                dataset = file[track.name]
                if len(dataset) != rows:
                    dataset.resize(rows, axis=0)
        self._find_chunks(rows)
        self._clear_end(rows)

    @contextmanager
    def _file(self, mode: str) -> Iterator[h5py.File]:
        try:
            with h5py.File(self._part, mode, libver=_VERSION) as file:
                yield file
        except (OSError, RuntimeError) as error:  # the library's own way of telling that a disk is full
            raise OutputError(self.target, str(error)) from error

    def _clear_end(self, rows: int) -> None:
        """Chunks are whole also where the dataset ends; what lies beyond (rows that were moved) becomes zero."""
        for track, chunk, offsets in zip(self.tracks, self._chunks, self._offsets, strict=True):
            if used := rows % chunk:
                with open(self._part, "r+b") as file:
                    file.seek(int(offsets[-1]) + used * track.row_bytes)
                    file.write(bytes((chunk - used) * track.row_bytes))

    def _find_chunks(self, rows: int) -> None:
        self._offsets = []
        with self._file("r") as file:
            for track, chunk in zip(self.tracks, self._chunks, strict=True):
                dataset, origin = file[track.name].id, (0,) * len(track.shape)
                offsets = [dataset.get_chunk_info_by_coord((row, *origin)).byte_offset for row in range(0, rows, chunk)]
                self._offsets.append(np.array(offsets, np.int64))
