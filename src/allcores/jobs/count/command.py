"""The command ``allcores count``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from typing import NoReturn

from ..result_file import ResultFile, ResultFileError
from .formats import text_total, writer_for
from .job import count_selection
from .rows import Totals
from .screen import Screen, complain
from .selection import DEFAULT_INCLUDE, Selection

__all__ = ["add_arguments", "run"]

_DESCRIPTION = """\
Count the lines and characters of UTF-8 text files, on all cores.

Lines are those of Python's readlines(): LF, CRLF and a lone CR end a line, and a last line without an end
counts. Characters are decoded characters without line ends; a leading byte-order mark is none."""

_EXAMPLES = """\
examples:
  allcores count docs                           every .txt and .10w file below docs
  allcores count src --include '*.py'           other names; --include may be repeated
  allcores count README.md docs -o counts.csv   one row a file, and the totals, as CSV

exit code:
  0  every file was counted
  1  some could not be counted and are named on standard error, nothing matched,
     or the result could not be written
  2  wrong usage
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser its description, arguments and examples."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="a file, counted whatever its name, or a folder, looked through to the bottom",
    )
    parser.add_argument(
        "--include",
        metavar="GLOB",
        action="append",
        type=_name_pattern,
        help=f"below folders, count the files whose names match; may be repeated (default: {_either(DEFAULT_INCLUDE)})",
    )
    parser.add_argument("--hidden", action="store_true", help="also count names that begin with a dot")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write one row a file, and the totals, to FILE: as CSV or JSON Lines if it ends in .csv or "
        ".jsonl, else as text; all or nothing",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=_positive,
        help="use N workers (default: one a core); the result is the same for any number",
    )
    parser.set_defaults(usage_error=parser.error)


def run(options: argparse.Namespace) -> int:
    """Do what the command line asks for; returns the exit code."""
    try:
        with _result_file(options) or nullcontext() as output:
            return _count(options, output)
    except ResultFileError as error:
        complain(str(error))
        return 1


def _result_file(options: argparse.Namespace) -> ResultFile | None:
    """Open the result before anything is counted: an hour later would be late to learn that it cannot be."""
    usage_error: Callable[[str], NoReturn] = options.usage_error
    if options.output is None:
        return None
    if any(_same_file(options.output, path) for path in options.paths):
        usage_error(f"{options.output} is to be counted: the result would overwrite it")
    try:
        writer_for(options.output)
        return ResultFile(options.output)
    except (ValueError, ResultFileError) as error:
        usage_error(str(error))


def _count(options: argparse.Namespace, output: ResultFile | None) -> int:
    started = time.perf_counter()
    selection = Selection(
        options.paths,
        include=options.include or DEFAULT_INCLUDE,
        hidden=options.hidden,
        exclude=output.paths if output else (),
    )
    writer = writer_for(output.path)(output) if output else None
    totals = Totals()
    with (
        Screen(rows=writer is None) as screen,
        closing(count_selection(selection, processes=options.jobs)) as rows,
    ):
        for row in rows:
            totals.add(row)
            screen.show(row)
            if writer:
                writer.row(row)

    if not totals.files and not totals.failed:
        complain(_nothing_matched(selection))
        return 1
    if writer and output:
        writer.total(totals)
        output.commit()
    sys.stdout.write(_summary(totals, selection, time.perf_counter() - started, output))
    return 1 if totals.failed else 0


def _summary(totals: Totals, selection: Selection, seconds: float, output: ResultFile | None) -> str:
    lines = [text_total(totals)]
    if selection.left_out:
        lines.append(f"left out: {_left_out(selection)}\n")
    lines.append(f"time: {seconds:.3f} s\n")
    if output:
        lines.append(f"written: {output.path}\n")
    return "".join(lines)


def _nothing_matched(selection: Selection) -> str:
    """What was looked for, what is there, and what might be typed next."""
    lines = [f"no file matches {_either(selection.include)} below {', '.join(selection.paths)}"]
    if endings := selection.unmatched_endings.most_common(5):
        there = [f"{count} {ending or 'without an ending'}" for ending, count in endings]
        more = selection.unmatched_endings.total() - sum(count for _, count in endings)
        lines.append(f"there are: {', '.join(there)}{f', {more} others' if more else ''}")
        if common := next((ending for ending, _ in endings if ending), None):
            lines.append(f"to count those, say --include '*{common}'")
    elif not selection.left_out:
        lines.append(f"there are no files at all in the {selection.folders} folders there")
    if selection.left_out:
        lines.append(f"left out: {_left_out(selection)}")
    return "\n  ".join(lines)


def _left_out(selection: Selection) -> str:
    kinds = "; ".join(f"{kind}: {count}" for kind, count in sorted(selection.left_out.items()))
    hidden = any(kind.startswith("hidden") for kind in selection.left_out)
    return f"{kinds} (--hidden counts what is hidden)" if hidden else kinds


def _either(patterns: tuple[str, ...]) -> str:
    return " or ".join(f"'{pattern}'" for pattern in patterns)


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _name_pattern(text: str) -> str:
    if "/" in text:
        raise argparse.ArgumentTypeError(f"{text!r} has a slash; it is names that are matched, not paths")
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


_positive.__name__ = "number of workers"  # argparse says: invalid number of workers value: '0'
