"""Outputs in which every patch has its place from the start: arrays, whatever file format they are wrapped in.

Patches of the same size are rows of an array. When their number is known, the array is laid out, sparse; then each
worker writes its own rows in place, with no lock and nothing passed through the parent. Writes go through the page
cache (`pwrite`) rather than a memory map: as quick, and a full disk is an error there instead of a fatal signal.

If images turn out to have fewer patches than their headers promised, rows are moved up at the end; if more, room is
made and those images are cut again. See `move`.
"""

from __future__ import annotations

import os
import shutil
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..errors import OutputError
from ..plan import Bundle, PlannedImage
from ..recipe import Recipe
from .base import Output, Share

__all__ = ["Extent", "RowOutput", "Shift", "Track"]

_MOVED_AT_ONCE = 8 << 20  # bytes
_PWRITE_FLAGS = os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)


class Track(NamedTuple):
    """One of the arrays: the patches, or their partners."""

    number: int
    name: str
    shape: tuple[int, ...]
    row_bytes: int


class Extent(NamedTuple):
    """Rows that lie together in one file."""

    path: str
    offset: int
    rows: int


class Shift(NamedTuple):
    """Rows and where they are to go."""

    start: int
    target: int
    rows: int


class RowOutput(Output):
    """The rows of one array, or of two for pairs."""

    def __init__(self, target: str, recipe: Recipe, names: Sequence[str]) -> None:
        super().__init__(target, recipe, names)
        sample = np.dtype(recipe.dtype).itemsize
        self.tracks = []
        for number, (name, side) in enumerate(zip(("patches", "pairs"), recipe.sides, strict=False)):
            shape = recipe.shape(side)
            self.tracks.append(Track(number, name, shape, int(np.prod(shape)) * sample))

    # For each format

    @abstractmethod
    def allocate(self, rows: int) -> None:
        """Lay out arrays of so many rows."""

    @abstractmethod
    def extents(self, track: Track, first: int, rows: int) -> Iterator[Extent]:
        """Where rows are, in order."""

    @abstractmethod
    def resize(self, rows: int) -> None:
        """Give the arrays another number of rows; those that both have stay what they are."""

    # For all

    def create(self, patches: int) -> None:
        self._check_room(patches)
        self.allocate(patches)

    @contextmanager
    def sink(self, bundle: Bundle) -> Iterator[RowSink]:
        yield RowSink(self)

    def trim(self, patches: int, shares: Sequence[Share]) -> None:
        self.resize(patches)

    def write(self, track: Track, first: int, rows: Array) -> None:
        """Put rows, one at least, in their places."""
        data = np.ascontiguousarray(rows).data.cast("B")
        for extent in self.extents(track, first, len(rows)):
            size = extent.rows * track.row_bytes
            self._write_bytes(extent, data[:size])
            data = data[size:]

    def read(self, track: Track, first: int, rows: int) -> bytes:
        """Get rows, one after the other."""
        pieces = []
        for extent in self.extents(track, first, rows):
            with open(extent.path, "rb") as file:
                size = extent.rows * track.row_bytes
                file.seek(extent.offset)
                pieces.append(file.read(size))
        return b"".join(pieces)

    def move(self, shifts: Sequence[Shift]) -> None:
        """Move rows that keep their order.

        Rows that go up are moved from the first to the last, then those that go down from the last to the first:
        so nothing is overwritten that has yet to be moved. (A row that goes up never ends where one before it that
        goes down has been, as their order stays; nor the other way round.)
        """
        for shift in shifts:
            if shift.target < shift.start:
                self._copy(shift, is_up=True)
        for shift in reversed(shifts):
            if shift.target > shift.start:
                self._copy(shift, is_up=False)

    def _copy(self, shift: Shift, *, is_up: bool) -> None:
        for track in self.tracks:
            at_once = max(1, _MOVED_AT_ONCE // track.row_bytes)
            firsts = range(0, shift.rows, at_once)
            for first in firsts if is_up else reversed(firsts):
                rows = min(at_once, shift.rows - first)
                data = np.frombuffer(self.read(track, shift.start + first, rows), np.uint8)
                self.write(track, shift.target + first, data.reshape(rows, track.row_bytes))

    def _write_bytes(self, extent: Extent, data: memoryview) -> None:
        try:
            descriptor = os.open(extent.path, _PWRITE_FLAGS, 0o666)
            try:
                offset = extent.offset
                while data:
                    written = os.pwrite(descriptor, data, offset)
                    offset, data = offset + written, data[written:]
            finally:
                os.close(descriptor)
        except OSError as error:
            raise OutputError.of(self.target, error) from error

    def _check_room(self, rows: int) -> None:
        needed = rows * sum(track.row_bytes for track in self.tracks)
        free = shutil.disk_usage(os.path.dirname(next(iter(self.parts)))).free
        # Of images with flat windows nobody knows beforehand how many patches they give.
        if needed > free and not self.recipe.min_std:
            message = f"{needed / 1e9:,.1f} GB are needed, and {free / 1e9:,.1f} GB are free"
            raise OutputError(self.target, message)


class RowSink:
    """Writes an image's patches where the plan has them."""

    def __init__(self, output: RowOutput) -> None:
        self._output = output
        self._next = 0

    def begin(self, image: PlannedImage, patches: int) -> bool:
        self._next = image.first
        return patches <= image.patches

    def put(self, numbers: Array, patches: Sequence[Array]) -> None:
        for track, rows in zip(self._output.tracks, patches, strict=True):
            self._output.write(track, self._next, rows)
        self._next += len(numbers)
