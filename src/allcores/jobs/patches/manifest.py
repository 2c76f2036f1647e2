"""The manifest: for each patch of the output, in its order, where it comes from.

Its columns: ``file`` (the image's name), ``scale``, ``row`` and ``column`` (of the patch's top left pixel in the
scaled image; for pairs in the larger one), ``mode`` (the augmentation), ``number`` (the patch's within the image). It
is worked out from the plan and the records; nothing about single patches has to be kept or sent meanwhile.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from ..result_file import ResultFile
from .arrays import Array
from .augment import modes_for
from .grid import grids
from .journal import Record
from .plan import PlannedImage
from .recipe import Recipe

__all__ = ["COLUMNS", "Origins", "manifest_file", "origins"]

COLUMNS = ("file", "scale", "row", "column", "mode", "number")

_FORMULA = ("=", "+", "-", "@")
_ROWS_A_GROUP = 1 << 20  # of Parquet; arbitrary: some MB


class Origins(NamedTuple):
    """Where an image's patches come from, an array for each column."""

    image: PlannedImage
    scale: Array
    row: Array
    column: Array
    mode: Array
    number: Array


def origins(image: PlannedImage, record: Record, recipe: Recipe, patches: int | None = None) -> Origins:
    """Where the patches of one image come from.

    Args:
        image, record: the image and what became of it.
        recipe: what was cut.
        patches: how many of its patches are in the output, if not all.
    """
    scales, rows, columns = [], [], []
    for grid in grids(record.height, record.width, recipe):
        starts = grid.times(recipe.factor or 1)
        scales.append(np.full(grid.windows, grid.scale))
        rows.append(np.repeat(np.array(starts.rows, np.int32), len(grid.columns)))
        columns.append(np.tile(np.array(starts.columns, np.int32), len(grid.rows)))
    kept = np.ones(record.windows, bool)
    if record.flags:
        kept = np.unpackbits(np.frombuffer(record.flags, np.uint8), count=record.windows).astype(bool)
    windows = np.repeat(np.flatnonzero(kept), recipe.copies)
    numbers = windows * recipe.copies + np.tile(np.arange(recipe.copies), int(kept.sum()))
    modes = modes_for(image.name, record.windows * recipe.copies, recipe)
    part = slice(patches)
    scale, row, column = (np.concatenate(values)[windows][part] for values in (scales, rows, columns))
    return Origins(image, scale, row, column, modes[numbers][part], numbers[part])


@contextmanager
def manifest_file(path: str, found: Iterable[Origins]) -> Iterator[Callable[[], None]]:
    """Write the manifest; yields what gives it its name.

    Args:
        path: ends in ``.csv`` or ``.parquet``.
        found: for each image in order.

    Raises:
        ResultFileError: it cannot be written.
    """
    write = _write_csv if path.lower().endswith(".csv") else _write_parquet
    with ResultFile(path) as file:
        write(file, found)
        yield file.commit


def _write_csv(file: ResultFile, found: Iterable[Origins]) -> None:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for image, *columns in found:
        name = image.name
        if name.startswith(_FORMULA):  # a spreadsheet would take it for a formula
            name = f"./{name}"
        writer.writerows((name, *values) for values in zip(*(column.tolist() for column in columns), strict=True))


def _write_parquet(file: ResultFile, found: Iterable[Origins]) -> None:
    import pyarrow
    import pyarrow.parquet

    types = (pyarrow.float64(), pyarrow.int32(), pyarrow.int32(), pyarrow.int8(), pyarrow.int64())
    # Names of which not every byte is UTF-8 would be refused as text.
    file_type = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    schema = pyarrow.schema(list(zip(COLUMNS, (file_type, *types), strict=True)))
    with pyarrow.parquet.ParquetWriter(file.as_binary(), schema) as writer:
        for group in _groups(found):
            names = pyarrow.array([_utf8(origin.image.name) for origin in group], pyarrow.string())
            index = np.repeat(np.arange(len(group), dtype=np.int32), [len(origin.number) for origin in group])
            arrays = [pyarrow.DictionaryArray.from_arrays(index, names)]
            for position, kind in enumerate(types, start=1):
                arrays.append(pyarrow.array(np.concatenate([origin[position] for origin in group]), kind))
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _groups(found: Iterable[Origins]) -> Iterator[list[Origins]]:
    group: list[Origins] = []
    rows = 0
    for origin in found:
        group.append(origin)
        rows += len(origin.number)
        if rows >= _ROWS_A_GROUP:
            yield group
            group, rows = [], 0
    if group:
        yield group


def _utf8(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")
