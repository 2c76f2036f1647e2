"""How rows are written: text, CSV or JSON Lines, so that any file name can be read back.

File names may hold line feeds, quotes and bytes that are no UTF-8; Python has the latter as lone surrogates
(`os.fsencode` gives the bytes back). Each format has its own way out:

text   an odd name stands as a JSON string, in quotes; any name that itself begins with a quote counts as odd
CSV    the standard's quoting; bytes that are no UTF-8 are written as they are (read with
       ``errors="surrogateescape"``); a relative name that a spreadsheet would take for a formula, or that
       equals ``total``, gets ``./`` in front: the same file, a harmless name
JSONL  JSON's escapes, lone surrogates included

The last line has the totals, in a form that no file's row can have.
"""

from __future__ import annotations

import json
import os
import re
from typing import Protocol

from .rows import FileFailure, Row, Totals

__all__ = ["CsvWriter", "JsonLinesWriter", "RowWriter", "TextWriter", "quoted", "text_row", "writer_for"]

# What would break a line of text, its reading, or the terminal that shows it.
_ODD = re.compile(r'^"|[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]| lines: | error: ')
_FORMULA = ("=", "+", "-", "@")


class Output(Protocol):
    """What rows are written to."""

    def write(self, text: str, /) -> object:
        """Take some more text."""


class RowWriter(Protocol):
    """A format: writes each row to its output, and in the end the totals."""

    def row(self, row: Row) -> None:
        """Write the row of one file."""

    def total(self, totals: Totals) -> None:
        """Write the last line."""


class TextWriter:
    """``PATH lines: N characters: M``, or ``PATH error: REASON``."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def row(self, row: Row) -> None:
        self._output.write(text_row(row))

    def total(self, totals: Totals) -> None:
        self._output.write(text_total(totals))


class CsvWriter:
    """``path,lines,characters,error`` as RFC 4180 has it: a header, commas, CRLF."""

    def __init__(self, output: Output) -> None:
        import csv

        self._writer = csv.writer(output)
        self._writer.writerow(("path", "lines", "characters", "error"))

    def row(self, row: Row) -> None:
        path = row.path
        if path.startswith(_FORMULA) or path == "total":
            path = os.path.join(os.curdir, path)
        if isinstance(row, FileFailure):
            self._writer.writerow((path, None, None, row.reason))
        else:
            self._writer.writerow((path, row.lines, row.characters, None))

    def total(self, totals: Totals) -> None:
        failed = f"{totals.failed} failed" if totals.failed else None
        self._writer.writerow(("total", totals.lines, totals.characters, failed))


class JsonLinesWriter:
    """``{"path", "lines", "characters"}`` or ``{"path", "error"}``; at last ``{"total": {…}}``."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def row(self, row: Row) -> None:
        if isinstance(row, FileFailure):
            self._write({"path": row.path, "error": row.reason})
        else:
            self._write({"path": row.path, "lines": row.lines, "characters": row.characters})

    def total(self, totals: Totals) -> None:
        self._write({"total": vars(totals)})

    def _write(self, value: dict[str, object]) -> None:
        text = json.dumps(value, ensure_ascii=False)
        if not _is_utf8(text):
            text = json.dumps(value)
        self._output.write(text + "\n")


_WRITERS: dict[str, type[TextWriter] | type[CsvWriter] | type[JsonLinesWriter]] = {
    ".csv": CsvWriter,
    ".jsonl": JsonLinesWriter,
    ".ndjson": JsonLinesWriter,
}
# Names that promise a format which text would break.
_NOT_WRITTEN = {".json", ".parquet", ".tsv", ".xlsx"}


def writer_for(path: str) -> type[TextWriter] | type[CsvWriter] | type[JsonLinesWriter]:
    """The format that a result file's ending asks for; text unless it asks for another.

    Raises:
        ValueError: the ending asks for a format that cannot be written.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending in _NOT_WRITTEN:
        raise ValueError(f"no {ending} is written; let the name end in .csv, .jsonl or .txt")
    return _WRITERS.get(ending, TextWriter)


def text_row(row: Row) -> str:
    """One line of text, its line feed included."""
    if isinstance(row, FileFailure):
        return f"{quoted(row.path)} error: {row.reason}\n"
    return f"{quoted(row.path)} lines: {row.lines} characters: {row.characters}\n"


def text_total(totals: Totals) -> str:
    """The last line of text. What follows the characters keeps it from reading like a file's row."""
    return (
        f"total lines: {totals.lines} characters: {totals.characters} files: {totals.files} failed: {totals.failed}\n"
    )


def quoted(path: str) -> str:
    """The path, or a JSON string of it where it would break a line of text."""
    return json.dumps(path) if _ODD.search(path) else path


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
