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
from typing import Any, NoReturn

from allcores import __version__

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
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name must not end a program in ASCII
    try:
        with _ending_orderly():
            options = _parser(command).parse_args(given)
            code: int = options.run(options)
            sys.stdout.flush()
            return code
    except KeyboardInterrupt:
        sys.stderr.write(f"allcores {command}: interrupted\n")
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader has seen enough. Python would flush once more at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + _SIGPIPE


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="allcores",
        description="Run Python functions, and whole jobs, on all the cores there are.",
        epilog="allcores COMMAND --help tells more about a command.",
    )
    _add_version(parser)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (module_name, summary) in _COMMANDS.items():
        subparser = commands.add_parser(name, help=summary)
        if name == command:
            module = import_module(module_name)
            _add_version(subparser)
            subparser.set_defaults(run=module.run)
            module.add_arguments(subparser)
    return parser


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
