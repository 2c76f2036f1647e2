"""The command line: finds the command, and leaves the shell a sensible exit code.

Each command is a module with ``add_arguments(parser)`` and ``run(options) -> int``. Only the one that is
named gets imported, so that none makes another's start slower.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper

from allcores import __version__

from .jobs.standard_output import StandardOutputError, give_up_output, open_what_is_closed, writing_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["main"]

_COMMANDS = {
    "count": ("allcores.jobs.count.command", "count the lines and characters of text files"),
    "patches": ("allcores.jobs.patches.command", "cut training patches out of images"),
}
_SIGPIPE = 13  # Windows' signal module has no such name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit code.

    Args:
        arguments: what follows the program's name; left out, `sys.argv` has it.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    command = given[0] if given else ""
    open_what_is_closed()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name must not end a program in ASCII
    try:
        with _ending_orderly():
            options = _parse(command, given)
            code: int = options.run(options)
            with writing_output():
                sys.stdout.flush()
            return code
    except KeyboardInterrupt:
        sys.stderr.write(f"allcores {command}: interrupted\n")
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader has seen enough
        give_up_output()
        return 128 + _SIGPIPE
    except StandardOutputError as error:
        give_up_output()
        sys.stderr.write(f"allcores {command}: {error}\n")
        return 1


def _parse(command: str, given: list[str]) -> argparse.Namespace:
    parser = _parser(command)
    options, stray = parser.parse_known_args(given)
    # Paths may stand before and after options; argparse takes those that follow one another, and leaves the others.
    if stray and (not hasattr(options, "paths") or any(word.startswith("-") for word in stray)):
        parser.error(f"unrecognized arguments: {' '.join(stray)}")
    if stray:
        options.paths += stray
    return options


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="allcores",
        formatter_class=_formatter,
        description="Run Python functions, and whole jobs, on all the cores there are.",
        epilog="allcores COMMAND --help tells more about a command.",
    )
    _add_version(parser)
    commands = parser.add_subparsers(metavar="COMMAND", required=True, prog="allcores")
    for name, (module_name, summary) in _COMMANDS.items():
        subparser = commands.add_parser(name, help=summary, formatter_class=_formatter)
        if name == command:
            module = import_module(module_name)
            _add_version(subparser)
            subparser.set_defaults(run=module.run)
            module.add_arguments(subparser)
    return parser


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Texts as they are written, as wide as the terminal is.

    Left to itself argparse asks shutil for the width, also where no help is wanted, and that imports three compressors.
    """
    try:
        columns = int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (OSError, ValueError):
        columns = 80
    return argparse.RawDescriptionHelpFormatter(prog, width=columns - 2)


def _add_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", action="version", version=f"allcores {__version__}")


@contextmanager
def _ending_orderly() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack, so that everything is cleaned up, instead of ending it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before: dict[int, Any] = {}
    for name in ("SIGTERM", "SIGHUP"):
        if (number := getattr(signal, name, None)) and signal.getsignal(number) is signal.SIG_DFL:
            before[number] = signal.signal(number, _exit_for)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_for(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
