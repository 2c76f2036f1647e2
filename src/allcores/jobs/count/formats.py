"""How rows are written: text, CSV, JSON Lines, and a table for people. Parquet is in a module of its own.

File names may hold line feeds, quotes and bytes that are no UTF-8; Python has the latter as lone surrogates
(`os.fsencode` gives the bytes back). Each format has its own way to let any name be read back:

text   an odd name stands as a JSON string, in quotes; any name that itself begins with a quote counts as odd
CSV    the standard's quoting; bytes that are no UTF-8 are written as they are (read with
       ``errors="surrogateescape"``); a relative name that a spreadsheet would take for a formula gets ``./`` in
       front: the same file, a harmless name
JSONL  JSON's escapes, lone surrogates included

A hundred thousand rows are written in a tenth of a second, so they come in lists, and what is odd is looked for
once in each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence

from .report import Group
from .rows import BinaryFile, FileCount, Row, Totals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class RowWriter(Protocol):
        """A format: writes lists of rows, or else of groups, and in the end the totals."""

        def rows(self, rows: Sequence[Row]) -> None:
            """Write the rows of some files."""

        def groups(self, name: str, groups: Sequence[Group]) -> None:
            """Write sums; `name` tells what their keys are: a folder, an ending."""

        def total(self, totals: Totals) -> None:
            """Write the end. Formats that programs read have no line for the totals: it would be counted as a file."""


__all__ = [
    "COLUMNS",
    "CsvWriter",
    "JsonLinesWriter",
    "TableWriter",
    "TextWriter",
    "format_of",
    "quoted",
]

COLUMNS = ("path", "lines", "characters", "bytes", "encoding", "note", "error")

# What would break a line of text, its reading, or the terminal that shows it. Patterns are compiled when they are
# first used: a run uses few of them.
_CONTROLS = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]| lines: | error: "
_ODD = rf'^"|{_CONTROLS}'
_ODD_IN_JSON = r"[\x80-\x9f\u2028\u2029\ud800-\udfff]"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Write = Callable[[str], object]
"""Takes some more text."""


class TextWriter:
    """``PATH lines: N characters: M``, or ``PATH error: REASON``; with the encoding if it was guessed."""

    def __init__(self, write: Write, *, guessed: bool = False, failures: bool = True) -> None:
        self._write = write
        self._guessed = guessed
        self._failures = failures

    def rows(self, rows: Sequence[Row]) -> None:
        plain: Any = rows
        if self._guessed or set(map(type, rows)) != {FileCount} or _may_be_odd([row[0] for row in plain]):
            self._write("".join(map(self._line, rows)))
        else:
            self._write("".join([f"{row[0]} lines: {row[1]} characters: {row[2]}\n" for row in plain]))

    def _line(self, row: Row) -> str:
        if isinstance(row, FileCount):
            encoding = f" encoding: {row.encoding}" if self._guessed else ""
            return f"{quoted(row.path)} lines: {row.lines} characters: {row.characters}{encoding}\n"
        return f"{quoted(row.path)} error: {row.reason}\n" if self._failures else ""

    def groups(self, name: str, groups: Sequence[Group]) -> None:
        for group in groups:
            key = quoted(group.key or "no ending")
            self._write(f"{key} lines: {group.lines} characters: {group.characters} files: {group.files}\n")

    def total(self, totals: Totals) -> None:
        # What follows the characters keeps it from reading like a file's row.
        binary = f" binary: {totals.binary}" if totals.binary else ""
        self._write(
            f"total lines: {totals.lines} characters: {totals.characters}"
            f" files: {totals.files} failed: {totals.failed}{binary}\n"
        )


class TableWriter:
    """Columns for people: the numbers, and then, as wide as it may be, the name. Failures are told elsewhere."""

    def __init__(self, write: Write, *, guessed: bool = False) -> None:
        self._write = write
        self._guessed = guessed
        self._is_begun = self._is_grouped = False

    def rows(self, rows: Sequence[Row]) -> None:
        lines = []
        for row in rows:
            if isinstance(row, FileCount):
                encoding = f"{row.encoding:<14}  " if self._guessed else ""
                lines.append(f"{row.lines:>13,}  {row.characters:>15,}  {encoding}{quoted(row.path)}\n")
        if lines:
            self._begin("path")
            self._write("".join(lines))

    def groups(self, name: str, groups: Sequence[Group]) -> None:
        self._is_grouped, self._guessed = True, False
        self._begin(name)
        for group in groups:
            key = quoted(group.key or "(none)")
            self._write(f"{group.lines:>13,}  {group.characters:>15,}  {group.files:>9,}  {key}\n")

    def total(self, totals: Totals) -> None:
        self._begin("path")
        if self._is_grouped:
            rest = f"{totals.files:>9,}  total"
        else:
            rest = " " * (16 * self._guessed) + f"total of {totals.files:,} file{'s' * (totals.files != 1)}"
        self._write(f"{totals.lines:>13,}  {totals.characters:>15,}  {rest}\n")
        if totals.failed or totals.binary:
            self._write(f"not counted: {totals.failed:,} failed, {totals.binary:,} binary\n")

    def _begin(self, name: str) -> None:
        if not self._is_begun:
            self._is_begun = True
            middle = f"{'encoding':<14}  " * self._guessed + f"{'files':>9}  " * self._is_grouped
            self._write(f"{'lines':>13}  {'characters':>15}  {middle}{name}\n")


class CsvWriter:
    """One header, commas and CRLF, as RFC 4180 has it."""

    def __init__(self, write: Write) -> None:
        import csv

        self._writer = csv.writer(_Output(write))
        self._is_begun = False

    def rows(self, rows: Sequence[Row]) -> None:
        self._begin(COLUMNS)
        self._writer.writerows(
            (_harmless(row.path), *row[1:], None)
            if isinstance(row, FileCount)
            else (_harmless(row.path), None, None, None, None, None, row.reason)
            for row in rows
        )

    def groups(self, name: str, groups: Sequence[Group]) -> None:
        self._begin((name, *Group._fields[1:]))
        self._writer.writerows((_harmless(group.key), *group[1:]) for group in groups)

    def total(self, totals: Totals) -> None:
        self._begin(COLUMNS)

    def _begin(self, columns: Iterable[str]) -> None:
        if not self._is_begun:
            self._is_begun = True
            self._writer.writerow(columns)


class JsonLinesWriter:
    """Each row an object with the path and either the counts or an ``"error"``.

    Beside ``"lines"`` and ``"characters"`` stand ``"bytes"``, ``"encoding"`` and, if there is one, a ``"note"``;
    beside the error of a binary file, ``"binary": true``.
    """

    def __init__(self, write: Write) -> None:
        from json import dumps
        from json.encoder import encode_basestring

        self._write = write
        self._dumps = dumps
        self._encode: Callable[[str], str] = encode_basestring

    def rows(self, rows: Sequence[Row]) -> None:
        self._write("".join(map(self._line, rows)))

    def _line(self, row: Row) -> str:
        path = self._string(row.path)
        if isinstance(row, FileCount):
            note = f', "note": {self._string(row.note)}' if row.note else ""
            return (
                f'{{"path": {path}, "lines": {row.lines}, "characters": {row.characters}, '
                f'"bytes": {row.bytes}, "encoding": "{row.encoding}"{note}}}\n'
            )
        binary = ', "binary": true' if isinstance(row, BinaryFile) else ""
        return f'{{"path": {path}, "error": {self._string(row.reason)}{binary}}}\n'

    def groups(self, name: str, groups: Sequence[Group]) -> None:
        for group in groups:
            self._write(self._dumps({name: group.key, **dict(zip(Group._fields[1:], group[1:], strict=True))}) + "\n")

    def total(self, totals: Totals) -> None:
        pass

    def _string(self, text: str) -> str:
        # Text as it is, unless it has bytes that are no UTF-8, or what some take for the end of a line.
        return self._encode(text) if text.isascii() or not re.search(_ODD_IN_JSON, text) else self._dumps(text)


class _Output:
    """What the csv module writes to."""

    def __init__(self, write: Write) -> None:
        self.write = write


_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
# Names that promise a format which text would break.
_NOT_WRITTEN = {".json", ".tsv", ".xls", ".xlsx", ".ods", ".feather", ".arrow"}


def format_of(path: str) -> str:
    """The format that a result file's ending asks for; text unless it asks for another.

    Raises:
        ValueError: the ending asks for a format that cannot be written.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending in _NOT_WRITTEN:
        raise ValueError(f"no {ending} is written; let the name end in .csv, .jsonl, .parquet or .txt")
    return _FORMATS.get(ending, "text")


def quoted(text: str) -> str:
    """A path, or a JSON string of it where it would break a line of text, or not be seen."""
    if text and not re.search(_ODD, text):
        return text
    import json

    return json.dumps(text)


def _may_be_odd(names: list[str]) -> bool:
    """Whether a name may have to be quoted; quick to say no, which is what it nearly always says."""
    together = " ".join(names)
    return not together.isprintable() or any(map(together.__contains__, ('"', " lines: ", " error: ")))


def _harmless(path: str) -> str:
    return os.path.join(os.curdir, path) if path.startswith(_FORMULA) else path
