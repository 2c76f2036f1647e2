"""Running a fresh interpreter like this one."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["package_home", "spawn_python"]


def package_home() -> str:
    """The folder (or archive) that allcores is imported from."""
    import allcores

    return os.path.dirname(os.path.dirname(os.path.abspath(allcores.__file__)))


def spawn_python(code: str, fds: list[int], environment: dict[str, str]) -> int:
    """Run `code` in a fresh interpreter like this one, in a session of its own.

    Args:
        code: for ``python -c``.
        fds: descriptors that it gets as 3, 4, …
        environment: its variables.

    Returns:
        Its process id.

    Raises:
        OSError: no process could be made, or there is no interpreter to run.
    """
    import fcntl

    if not sys.executable:
        raise OSError("allcores needs sys.executable to start workers, and it is empty in this program")
    # Out of the way of the numbers that they are to get: a descriptor that is its own target would stay closed
    # on exec.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3 + len(fds)) for fd in fds]
    actions: list[Any] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    actions += [(os.POSIX_SPAWN_DUP2, fd, 3 + index) for index, fd in enumerate(high)]
    arguments = [sys.executable, *_interpreter_flags(), "-c", code]
    try:
        try:
            return os.posix_spawn(sys.executable, arguments, environment, file_actions=actions, setsid=True)
        except NotImplementedError:  # an old C library
            return os.posix_spawn(sys.executable, arguments, environment, file_actions=actions, setpgroup=0)
    finally:
        for fd in high:
            os.close(fd)


def _interpreter_flags() -> list[str]:
    """The options of this interpreter that change how code runs."""
    flags = sys.flags
    options = ["-" + "O" * flags.optimize] if flags.optimize else []
    for letter, given in (
        ("B", flags.dont_write_bytecode),
        ("E", flags.ignore_environment and not flags.isolated),
        ("I", flags.isolated),
        ("s", flags.no_user_site and not flags.isolated),
        ("S", flags.no_site),
        ("b" * flags.bytes_warning, flags.bytes_warning),
    ):
        if given:
            options.append(f"-{letter}")
    for filter_ in sys.warnoptions:
        options += ["-W", filter_]
    for name, value in sys._xoptions.items():
        if name not in ("importtime", "frozen_modules"):
            options += ["-X", name if value is True else f"{name}={value}"]
    return options
