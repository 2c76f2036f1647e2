"""What a person at a terminal sees while files are being counted.

Rows go to standard output, failures to standard error, and if that is a terminal, a progress bar too. Where
both are the same terminal, the bar has to be wiped and drawn anew around everything that is printed, which
takes longer than counting: rows are then held for a moment and printed together.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, TextIO

from .formats import quoted, text_row
from .rows import FileFailure, Row

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["Screen", "complain"]

_SECONDS_HELD = 0.1


def complain(text: str) -> None:
    """One line on standard error, under the command's name."""
    sys.stderr.write(f"allcores count: {text}\n")
    sys.stderr.flush()


class Screen:
    """Shows rows as they come.

    Args:
        rows: whether to print the rows of files that were counted. Failures are always printed.
    """

    def __init__(self, *, rows: bool) -> None:
        self._rows = rows
        self._bar = _progress_bar() if sys.stderr.isatty() else None
        self._holds = self._bar is not None and sys.stdout.isatty()
        self._held: list[str] = []
        self._held_until = 0.0

    def show(self, row: Row) -> None:
        """Show that one more file is done."""
        if self._bar is not None:
            self._bar.update()
        if isinstance(row, FileFailure):
            self._release()
            self._print(f"allcores count: {quoted(row.path)}: {row.reason}\n", sys.stderr)
        elif not self._rows:
            return
        elif not self._holds:
            sys.stdout.write(text_row(row))
        else:
            self._held.append(text_row(row))
            if time.monotonic() >= self._held_until:
                self._release()

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if kind is None:
            self._release()

    def _release(self) -> None:
        if self._held:
            self._print("".join(self._held), sys.stdout)
            self._held.clear()
            self._held_until = time.monotonic() + _SECONDS_HELD

    def _print(self, text: str, stream: TextIO) -> None:
        if stream is sys.stderr:
            sys.stdout.flush()  # what came first shows first
        if self._bar is None:
            stream.write(text)
        else:
            with self._bar.external_write_mode(file=stream):
                stream.write(text)
        stream.flush()


def _progress_bar() -> tqdm[NoReturn]:
    from tqdm import tqdm

    # How many files there will be is not known before the last folder has been listed.
    return tqdm(desc="counting", unit=" files", leave=False, file=sys.stderr)
