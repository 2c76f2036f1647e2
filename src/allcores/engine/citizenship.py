"""What makes a worker a good citizen: its log records and warnings are heard, its libraries share the cores."""

from __future__ import annotations

import os
import pickle
import sys
import warnings
from collections.abc import Callable

from allcores.engine.channel import WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["THREAD_VARIABLES", "Reporting", "limit_threads", "take_log", "take_warning"]

#: What tells the numeric libraries, when they are loaded, how many threads to use.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

#: Sends a frame of a kind; False where that cannot be.
_Send = Callable[[int, bytes], bool]


class Reporting:
    """How loggers and warnings are set up in the program, for workers to do alike.

    Attributes:
        levels: the level of each logger that has one, by name; the root's is ``""``.
        filters: `warnings.filters`, with module and name in the place of each category.
    """

    __slots__ = ("filters", "levels")

    def __init__(self, levels: dict[str, int], filters: list[tuple[Any, ...]]) -> None:
        self.levels = levels
        self.filters = filters

    @classmethod
    def here(cls) -> Reporting:
        """As it is in this process now."""
        levels = {}
        if "logging" in sys.modules:
            import logging  # waits, should another thread be importing it

            levels = _levels(logging)
        filters = []
        for action, message, category, module, line in list(warnings.filters):
            if isinstance(category, type):
                filters.append((action, message, (category.__module__, category.__qualname__), module, line))
        try:
            pickle.dumps(filters)
        except Exception:  # somebody has put something odd there
            filters = []
        return cls(levels, filters)

    def install(self, send: _Send) -> None:
        """Set this process up alike, with everything going to `send`."""
        import logging

        from allcores.engine.forwarder import Forwarder

        for name, level in self.levels.items():
            logging.getLogger(name or None).setLevel(level)
        root = logging.getLogger()
        for handler in list(root.handlers):  # inherited by a fork; the program's own are the ones that count
            root.removeHandler(handler)
        root.addHandler(Forwarder(send))
        if self.filters:
            warnings.filters[:] = []  # type: ignore[index]
            self.catch_up()

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: Any = None,
            line: str | None = None,
        ) -> None:
            try:
                body = pickle.dumps((message, category, filename, lineno))
                pickle.loads(body)
            except Exception:
                body = pickle.dumps((str(message), UserWarning, filename, lineno))
            if not send(WARNING, body):
                as_before(message, category, filename, lineno, file, line)

        as_before = warnings.showwarning
        warnings.showwarning = show

    def catch_up(self) -> None:
        """Install the filters whose categories are there now.

        Importing a library for the sake of a filter would be too dear: while it is not imported it does not warn.
        """
        there = []
        waiting = []
        for each in self.filters:
            action, message, (home, name), module, line = each
            category = getattr(sys.modules.get(home), name, None)
            if category is None:
                waiting.append(each)
            else:
                there.append((action, message, category, module, line))
        if there:
            self.filters = waiting
            warnings.filters[:0] = there  # type: ignore[index]
            warnings._filters_mutated()  # type: ignore[attr-defined]


def _levels(logging: Any) -> dict[str, int]:
    root = logging.getLogger()
    levels = {"": root.level}
    for name, logger in list(root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and logger.level != logging.NOTSET:
            levels[name] = logger.level
    return levels


def take_log(body: bytes | memoryview) -> None:
    """Give a worker's log record to the handlers of this process."""
    import logging

    record = logging.makeLogRecord(pickle.loads(body))
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def take_warning(body: bytes | memoryview) -> None:
    """Show a worker's warning in this process, where whoever records warnings finds it."""
    message, category, filename, lineno = pickle.loads(body)
    warnings.showwarning(message, category, filename, lineno)


def limit_threads(count: int) -> None:
    """Let the numeric libraries of this process use `count` threads each.

    Libraries that are loaded later read the environment, where a number that the user has set stands as it is.
    Those loaded already are told through threadpoolctl, where that is installed.
    """
    if not count or "OMP_NUM_THREADS" in os.environ:  # which all of them heed
        return
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, str(count))
    if "numpy" in sys.modules or "scipy" in sys.modules:
        try:
            from threadpoolctl import threadpool_limits
        except ImportError:
            return
        threadpool_limits(count)
