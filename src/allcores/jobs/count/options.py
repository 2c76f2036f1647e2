"""The arguments of ``allcores count``."""

from __future__ import annotations

import argparse

from .decoding import UTF_8, text_encoding
from .files import AUTO, ERRORS
from .job import ENGINES
from .report import GROUPINGS, SORT_KEYS
from .selection import DEFAULT_INCLUDE

__all__ = ["add_arguments"]

_DESCRIPTION = """\
Count the lines and characters of text files, on all cores.

Lines are those of Python's readlines(): LF, CRLF and a lone CR end a line, and a last line without an end
counts. Characters are decoded characters without line ends; a leading UTF-8 byte-order mark is none."""

_EXAMPLES = """\
examples:
  allcores count docs                             every .txt and .10w file below docs
  allcores count src --include '*.py' --by-dir    other names; sums for each folder
  allcores count . --all --gitignore --top 20     any name that git does not ignore; the 20 longest
  allcores count old --encoding gb18030           another encoding; auto guesses it file by file
  allcores count README.md docs -o counts.csv     one row a file, as CSV
  find . -name '*.log' -print0 | allcores count --files-from - -0

exit code:
  0  every file was counted, or left out as binary
  1  some could not be counted and are named on standard error, nothing matched,
     or the result could not be written
  2  wrong usage
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser its description, arguments and examples."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        help="a file, counted whatever its name; a folder, looked through to the bottom; or an address that fsspec "
        "understands, such as s3://bucket/folder",
    )
    _add_selection(parser.add_argument_group("which files"))
    _add_reading(parser.add_argument_group("how they are read"))
    _add_output(parser.add_argument_group("what comes out"))
    _add_work(parser.add_argument_group("how it is done"))
    parser.set_defaults(usage_error=parser.error)


def _add_selection(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--files-from",
        metavar="FILE",
        help="read more paths from FILE, one a line, or from standard input if it is -",
    )
    add("-0", "--null", action="store_true", help="in that list, paths end with a NUL, as find -print0 writes them")
    add(
        "--include",
        metavar="GLOB",
        action="append",
        type=_pattern,
        help="below folders, count files whose names match; with a slash in it, files whose paths below the folder do; "
        f"may be repeated (default: {' '.join(DEFAULT_INCLUDE)})",
    )
    add(
        "--exclude",
        metavar="GLOB",
        action="append",
        type=_pattern,
        default=[],
        help="leave out files and folders whose names, or paths, match; overrules everything else; may be repeated",
    )
    add("--all", action="store_true", help="below folders, count files of any name")
    add("--hidden", action="store_true", help="also take names that begin with a dot")
    add("--gitignore", action="store_true", help="leave out what .gitignore files say")
    add("--follow", action="store_true", help="follow links below folders; each folder is looked through once")


def _add_reading(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--encoding",
        metavar="NAME",
        type=_encoding,
        default=UTF_8,
        help="utf-8 (the default), utf-16, gb18030, big5, shift-jis, latin-1, or any other that Python knows; auto "
        "takes files that are valid UTF-8 as such, guesses the encoding of others, and says what it guessed",
    )
    add(
        "--errors",
        choices=ERRORS,
        default="strict",
        help="bytes that are wrong in the encoding: strict (the default) fails the file, replace counts one U+FFFD, "
        "ignore counts nothing",
    )
    add("--binary", action="store_true", help="also count files with a NUL near the start, which are no text")


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--sort", metavar="KEY", choices=SORT_KEYS, help="path (the default), lines, characters, bytes or files")
    add("--top", metavar="N", type=_positive, help="only the N largest, by lines if nothing else is said")
    sums = group.add_mutually_exclusive_group()
    for name, grouping in (("--by-dir", "folder"), ("--by-ext", "ending")):
        assert grouping in GROUPINGS
        sums.add_argument(
            name, dest="by", action="store_const", const=grouping, help=f"sums for each {grouping} instead of files"
        )
    add(
        "--format",
        choices=("table", "text", "csv", "jsonl", "parquet"),
        help="of what is printed, or of FILE (default: a table on a terminal, else text; for FILE, by its name)",
    )
    add(
        "-o",
        "--output",
        metavar="FILE",
        help="write to FILE instead: as CSV, JSON Lines or Parquet if it ends in .csv, .jsonl or .parquet, else as "
        "text; all or nothing",
    )


def _add_work(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "-j",
        "--jobs",
        metavar="N",
        type=_positive,
        help="use N workers (default: one a core); the result is the same for any number",
    )
    add("--engine", choices=ENGINES, help="what workers are (default: what is best for the work)")


def _encoding(text: str) -> str:
    try:
        return text if text == AUTO else text_encoding(text)
    except LookupError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _pattern(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("an empty pattern matches nothing")
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


_positive.__name__ = "number"  # argparse says: invalid number value: '0'
