"""What has been done so far, beside the part: so that a run can go on where another was killed.

A line of JSON for each bundle that is complete, or one for all, under a first line that tells which plan it is for. A
line is written after the patches that it is about, and the page cache outlives every process; but not the machine, so
a journal of an earlier boot counts for nothing. The file is also the lock: two runs do not write the same output at
once.
"""

from __future__ import annotations

import base64
import json
import os
from typing import Any, NamedTuple, TextIO

from .errors import OutputError

try:
    import fcntl
except ImportError:  # Windows (untested): nothing there keeps two runs apart
    fcntl = None  # type: ignore[assignment]

__all__ = ["Journal", "Record"]

_BOOT = "/proc/sys/kernel/random/boot_id"


class Record(NamedTuple):
    """What became of one image.

    Attributes:
        number: its number in the plan.
        height, width: its size, upright; for pairs its partner's.
        windows: how many it has.
        kept: how many of them gave patches; less where flat ones were skipped.
        changes: what had to be done to its pixels.
        error: why it gave no patches.
        fits: False if it has more patches than there was room for, and none have been written.
        flags: one bit for each window, set if it is kept; empty if all are.
    """

    number: int
    height: int = 0
    width: int = 0
    windows: int = 0
    kept: int = 0
    changes: tuple[str, ...] = ()
    error: str | None = None
    fits: bool = True
    flags: bytes = b""


class Journal:
    """The journal of an output.

    Args:
        path: where it is kept.
        digest: the plan's.

    Attributes:
        done: the records of complete bundles by their numbers: those of an earlier run with the same plan, and further
            ones as they are added.
        settled: the records of all images, once every patch is where it belongs.

    Raises:
        OutputError: another run is writing this output, or the journal cannot be written.
    """

    def __init__(self, path: str, digest: str) -> None:
        self._path = path
        self._head = {"allcores patches": 1, "plan": digest, "boot": _boot()}
        self.done: dict[int, list[Record]] = {}
        self.settled: list[Record] | None = None
        try:
            self._file = self._open()
        except OSError as error:
            raise OutputError.of(path, error) from error
        head, *lines = self._file.read().splitlines(keepends=True) or [""]
        self._length = len(head)  # of what counts; all of it is ASCII
        if _parsed(head) == self._head:
            self._take(lines)

    def begin(self, *, anew: bool) -> None:
        """Begin the journal, or go on after the bundles that are done already."""
        if anew:
            self.done.clear()
            self.settled = None
            self._length = 0
        self._file.truncate(self._length)
        if anew:
            self._write(self._head)

    def add(self, number: int, records: list[Record]) -> None:
        """A bundle is complete."""
        self.done[number] = records
        self._write([number, *map(_row, records)])

    def forget(self) -> None:
        """From here on nothing counts any more: patches are being moved about."""
        self.begin(anew=True)

    def settle(self, records: list[Record]) -> None:
        """All images are complete, and every patch is where it belongs."""
        self.settled = records
        self._write({"settled": list(map(_row, records))})

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that a later run could go on from."""
        return not self.done and self.settled is None

    def close(self, *, remove: bool) -> None:
        """Let go of the output; and leave no journal, if it is complete or given up."""
        if remove:
            os.unlink(self._path)
        self._file.close()

    def _open(self) -> TextIO:
        while True:
            file = open(self._path, "a+", encoding="ascii")
            if not _locked(file):
                file.close()
                raise OutputError(self._path, "another run is writing this output")
            if os.path.exists(self._path) and os.path.samestat(os.fstat(file.fileno()), os.stat(self._path)):
                file.seek(0)
                return file
            file.close()  # the run that had it has just removed it

    def _take(self, lines: list[str]) -> None:
        for line in lines:
            entry = _parsed(line) if line.endswith("\n") else None
            if entry is None:
                return  # the last line may have been cut off
            if isinstance(entry, dict):
                self.settled = [_record(row) for row in entry["settled"]]
            else:
                number, *rows = entry
                self.done[number] = [_record(row) for row in rows]
            self._length += len(line)

    def _write(self, value: object) -> None:
        try:
            self._file.write(json.dumps(value) + "\n")
            self._file.flush()
        except OSError as error:
            raise OutputError.of(self._path, error) from error


def _locked(file: TextIO) -> bool:
    """Lock a file for as long as it is open; False if somebody else has."""
    if fcntl:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # a file system without locks
    return True


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _row(record: Record) -> list[object]:
    *values, flags = record
    return [*values, base64.b64encode(flags).decode()]


def _record(row: list[Any]) -> Record:
    *values, flags = row
    record = Record._make([*values, base64.b64decode(flags)])
    return record._replace(changes=tuple(record.changes))


def _boot() -> str:
    """What tells this boot of the machine from others."""
    try:
        with open(_BOOT, encoding="ascii") as file:
            return file.read().strip()
    except OSError:  # not on Linux
        import psutil

        return str(int(psutil.boot_time()))
