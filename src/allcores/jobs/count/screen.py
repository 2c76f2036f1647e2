"""What a person at a terminal sees while files are being counted.

If standard error is a terminal and the count takes longer than a moment, it shows a progress bar: how many bytes
and files are done, since how many there will be is not known before the last folder has been listed. Whatever is
printed meanwhile wipes the bar and draws it anew.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from ..standard_output import writing_output
from .formats import quoted
from .progress import Progress
from .rows import BinaryFile, FileCount, Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import NoReturn, TextIO

    from tqdm import tqdm

__all__ = ["Screen", "complain"]

# A count that is over within this time shows no bar.
_SECONDS_WITHOUT_BAR = 0.7


def complain(text: str) -> None:
    """One line on standard error, under the command's name."""
    sys.stderr.write(f"allcores count: {text}\n")
    sys.stderr.flush()


class Screen:
    """Prints, and shows how far the count is.

    Attributes:
        progress: what the bar shows.
    """

    def __init__(self) -> None:
        self.progress = Progress()
        self._bar: tqdm[NoReturn] | None = None
        self._bar_from = time.monotonic() + _SECONDS_WITHOUT_BAR if sys.stderr.isatty() else float("inf")

    def write(self, text: str) -> None:
        """Print on standard output."""
        with writing_output():
            self._print(text, sys.stdout)

    def tell(self, rows: Iterable[Row]) -> None:
        """Name on standard error the files that were not counted, and those of which there is something to say."""
        lines = []
        for row in filter(_is_remarkable, rows):
            if not isinstance(row, FileCount):
                kind = "left out as " if isinstance(row, BinaryFile) else ""
                lines.append(f"allcores count: {quoted(row.path)}: {kind}{row.reason}\n")
            else:
                lines.append(f"allcores count: {quoted(row.path)}: {row.note}\n")
        if lines:
            with writing_output():
                sys.stdout.flush()  # what came first shows first
            self._print("".join(lines), sys.stderr)
            sys.stderr.flush()

    def tick(self) -> None:
        """Bring the bar up to date; often, for it takes little time."""
        if self._bar is None:
            if time.monotonic() < self._bar_from:
                return
            self._bar = _progress_bar()
        self._bar.set_postfix_str(f"{self.progress.files:,} files", refresh=False)
        self._bar.update(self.progress.bytes - self._bar.n)

    def close(self) -> None:
        """Wipe the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._bar_from = float("inf")

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _print(self, text: str, stream: TextIO) -> None:
        if self._bar is None:
            stream.write(text)
        else:
            with self._bar.external_write_mode(file=stream):
                stream.write(text)
                stream.flush()


def _is_remarkable(row: Row) -> bool:
    return not isinstance(row, FileCount) or row.note is not None


def _progress_bar() -> tqdm[NoReturn]:
    from tqdm import tqdm

    return tqdm(desc="counting", unit="B", unit_scale=True, leave=False, file=sys.stderr)
