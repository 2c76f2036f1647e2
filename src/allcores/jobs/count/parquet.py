"""Rows as a Parquet file, by pyarrow.

Parquet's text is UTF-8. A name with bytes that are none has U+FFFD for them in the column ``path``, and stands as
it is, in bytes, in the column ``path_bytes``, which is empty for all others.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from .formats import COLUMNS
from .report import Group
from .rows import FileCount, Row, Totals

__all__ = ["MissingParquet", "ParquetWriter"]

_ROWS_IN_A_GROUP = 64 * 1024
_NUMBERS = {"lines", "characters", "bytes", "files"}


class MissingParquet(Exception):
    """pyarrow, which writes Parquet, is not installed."""

    def __str__(self) -> str:
        return "writing Parquet needs pyarrow: pip install 'allcores[parquet]'"


class ParquetWriter:
    """Writes to a file that takes bytes; some ten thousand rows at a time, so that memory does not grow.

    Args:
        sink: an object with a method `write`.

    Raises:
        MissingParquet: pyarrow is not installed.
    """

    def __init__(self, sink: Any) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise MissingParquet from None
        self._pyarrow = pyarrow
        self._sink = sink
        self._writer: Any = None
        self._schema: Any = None
        self._kept: list[tuple[Any, ...]] = []

    def rows(self, rows: Sequence[Row]) -> None:
        self._begin((*COLUMNS, "path_bytes"))
        for row in rows:
            path, original = _as_utf_8(row.path)
            if isinstance(row, FileCount):
                self._kept.append((path, *row[1:], None, original))
            else:
                self._kept.append((path, None, None, None, None, None, row.reason, original))
        if len(self._kept) >= _ROWS_IN_A_GROUP:
            self._write_kept()

    def groups(self, name: str, groups: Sequence[Group]) -> None:
        self._begin((name, *Group._fields[1:], "path_bytes"))
        for group in groups:
            key, original = _as_utf_8(group.key)
            self._kept.append((key, *group[1:], original))

    def total(self, totals: Totals) -> None:
        self._begin((*COLUMNS, "path_bytes"))
        self._write_kept()
        self._writer.close()

    def _begin(self, columns: tuple[str, ...]) -> None:
        if self._writer is None:
            arrow = self._pyarrow
            kinds = {"path_bytes": arrow.binary(), **dict.fromkeys(_NUMBERS, arrow.int64())}
            self._schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in columns])
            self._writer = arrow.parquet.ParquetWriter(self._sink, self._schema)

    def _write_kept(self) -> None:
        if self._kept:
            columns = [
                self._pyarrow.array(values, field.type)
                for values, field in zip(zip(*self._kept, strict=True), self._schema, strict=True)
            ]
            self._writer.write_table(self._pyarrow.Table.from_arrays(columns, schema=self._schema))
            self._kept.clear()


def _as_utf_8(name: str) -> tuple[str, bytes | None]:
    try:
        name.encode()
    except UnicodeEncodeError:
        original = os.fsencode(name)
        return original.decode("utf-8", "replace"), original
    return name, None
