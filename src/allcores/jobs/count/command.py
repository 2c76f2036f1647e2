"""The command ``allcores count``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import closing, nullcontext

from ..result_file import ResultFile, ResultFileError
from ..standard_output import output_path, write_utf_8
from .files import AUTO, Reading
from .formats import CsvWriter, JsonLinesWriter, TableWriter, TextWriter, format_of, quoted
from .job import count_batches
from .options import add_arguments
from .report import Groups, Largest
from .rows import Totals
from .screen import Screen, complain
from .selection import DEFAULT_INCLUDE, Selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .formats import RowWriter

__all__ = ["add_arguments", "run"]

_ANY_NAME = ("*",)
_FOR_PROGRAMS = ("csv", "jsonl")


def run(options: argparse.Namespace) -> int:
    """Do what the command line asks for; returns the exit code."""
    _check(options)
    try:
        with _result_file(options) or nullcontext() as output, Screen() as screen:
            return _count(options, output, screen)
    except ResultFileError as error:
        complain(str(error))
        return 1


def _check(options: argparse.Namespace) -> None:
    """Refuse what argparse cannot know to be wrong."""
    usage_error: Callable[[str], NoReturn] = options.usage_error
    if options.files_from is not None:
        options.paths += _read_list(options)
    elif options.null:
        usage_error("-0 is about the list that --files-from reads")
    elif not options.paths:
        usage_error("the following arguments are required: PATH")
    if options.sort == "files" and not options.by:
        usage_error("--sort files is for sums: it needs --by-dir or --by-ext")
    if options.output == "-":
        usage_error("without -o, rows go to standard output; --format says how")
    if options.output is None and options.format == "parquet":
        usage_error("Parquet is written to a file: -o FILE.parquet")
    if (output := output_path()) and any(_same_file(output, path) for path in options.paths):
        usage_error(f"{output} is to be counted: it is where standard output goes")


def _read_list(options: argparse.Namespace) -> list[str]:
    usage_error: Callable[[str], NoReturn] = options.usage_error
    try:
        if options.files_from == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(options.files_from, "rb") as file:
                data = file.read()
    except OSError as error:
        usage_error(f"cannot read {options.files_from}: {error.strerror}")
    if not options.null:
        return [os.fsdecode(path) for path in data.split(b"\n") if path]
    # Nobody writes an empty line between two NULs to be kind to the eye: an empty name there is one that got lost.
    return [os.fsdecode(path) for path in data.removesuffix(b"\0").split(b"\0")] if data else []


def _result_file(options: argparse.Namespace) -> ResultFile | None:
    """Open the result before anything is counted: an hour later would be late to learn that it cannot be."""
    usage_error: Callable[[str], NoReturn] = options.usage_error
    if options.output is None:
        return None
    if os.path.exists(options.output) and any(_same_file(options.output, path) for path in options.paths):
        usage_error(f"{options.output} is to be counted: the result would overwrite it")
    try:
        options.format = options.format or format_of(options.output)
        return ResultFile(options.output)
    except (ValueError, ResultFileError) as error:
        usage_error(str(error))


def _count(options: argparse.Namespace, output: ResultFile | None, screen: Screen) -> int:
    started = time.perf_counter()
    writer = _writer(options, output, screen)
    selection = Selection(
        options.paths,
        include=_ANY_NAME if options.all else options.include or DEFAULT_INCLUDE,
        exclude=options.exclude,
        hidden=options.hidden,
        gitignore=options.gitignore,
        follow=options.follow,
        skip=[*(output.paths if output else ()), *filter(None, (output_path(),))],
    )
    totals = Totals()
    report = _report(options)
    reading = Reading(options.encoding, options.errors, options.binary)
    batches = count_batches(selection, reading, processes=options.jobs, engine=options.engine, progress=screen.progress)
    with closing(batches):
        for rows in batches:
            if rows:
                totals.add_all(rows)
                screen.tell(rows)
                (report.take if report else writer.rows)(rows)
            screen.tick()
    screen.close()

    if not totals.files and not totals.failed and not totals.binary:
        complain(_nothing_matched(selection))
        return 1
    if isinstance(report, Groups):
        writer.groups(options.by, report.groups())
    elif report:
        writer.rows(report.rows())
    writer.total(totals)
    if output:
        output.commit()
        TextWriter(screen.write).total(totals)
    _summarize(selection, time.perf_counter() - started, output, options.format, screen)
    return 1 if totals.failed else 0


def _report(options: argparse.Namespace) -> Groups | Largest | None:
    key = options.sort or ("lines" if options.top else "path")
    if options.by:
        return Groups(options.by, key, options.top)
    return None if key == "path" and not options.top else Largest(key, options.top)


def _writer(options: argparse.Namespace, output: ResultFile | None, screen: Screen) -> RowWriter:
    write = output.write if output else screen.write
    guessed = options.encoding == AUTO
    if options.format is None:
        options.format = "table" if sys.stdout.isatty() else "text"
    if output is None and options.format in _FOR_PROGRAMS:
        write_utf_8()
    if options.format == "table":
        return TableWriter(write, guessed=guessed)
    if options.format == "csv":
        return CsvWriter(write)
    if options.format == "jsonl":
        return JsonLinesWriter(write)
    if options.format == "parquet":
        from .parquet import MissingParquet, ParquetWriter

        assert output is not None
        try:
            return ParquetWriter(output.as_binary())
        except MissingParquet as error:
            options.usage_error(str(error))
    # Without a file, failures are told on standard error only.
    return TextWriter(write, guessed=guessed, failures=output is not None)


def _summarize(selection: Selection, seconds: float, output: ResultFile | None, format: str, screen: Screen) -> None:
    # What programs read has standard output for itself.
    for_programs = output is None and format in _FOR_PROGRAMS
    if left_out := _left_out(selection):
        (sys.stderr.write if for_programs else screen.write)(f"left out: {left_out}\n")
    if not for_programs:
        screen.write(f"time: {seconds:.3f} s\n")
    if output:
        screen.write(f"written: {output.path}\n")


def _nothing_matched(selection: Selection) -> str:
    """What was looked for, what is there, and what might be typed next."""
    tally, include = selection.tally, selection.rules.include.patterns
    if not selection.paths:
        return "the list of paths is empty"
    where = ", ".join(map(quoted, selection.paths[:5])) + (", …" if len(selection.paths) > 5 else "")
    lines = [f"no file matches {' or '.join(map(repr, include))} below {where}"]
    if endings := tally.unmatched_endings.most_common(5):
        there = [f"{count} {ending or 'without an ending'}" for ending, count in endings]
        more = tally.unmatched_endings.total() - sum(count for _, count in endings)
        lines.append(f"there are: {', '.join(there)}{f', {more} others' if more else ''}")
        if common := next((ending for ending, _ in endings if ending), None):
            lines.append(f"to count those, say --include '*{common}'; --all takes any name")
    elif not tally.left_out:
        lines.append(f"there are no files at all in the {tally.folders} folders there")
    if tally.left_out:
        lines.append(f"left out: {_left_out(selection)}")
    return "\n  ".join(lines)


def _left_out(selection: Selection) -> str:
    tally = selection.tally
    kinds = [f"{kind}: {count}" for kind, count in sorted(tally.left_out.items())]
    if any(kind.startswith("hidden") for kind in tally.left_out):
        kinds[-1] += " (--hidden counts what is hidden)"
    if other := tally.unmatched_endings.total():
        kinds.append(f"files with other names: {other} (--all counts them)")
    return "; ".join(kinds)


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False
