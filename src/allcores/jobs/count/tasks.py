"""What a worker does, and how it is asked to.

The functions take and return what can be pickled, and do not fail for a file's sake: the reason is a result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from .decoding import BinaryContent, InvalidText
from .files import Reading, count_content, count_local
from .kernel import BLOCK_SIZE, kernel
from .opening import open_regular, system_reason
from .outcomes import LARGE, Outcome
from .rows import BinaryFile, FileCount, FileFailure, Row
from .walk import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Task", "count_runs", "count_slice", "look_again"]


class Task:
    """Work for a worker, and what to do with what becomes of it.

    Attributes:
        function, arguments: what the worker is to call.
        finish: takes the result; returns the tasks that follow from it.
        lose: takes the reason for which there will be no result; likewise.
    """

    __slots__ = ("arguments", "finish", "function", "lose")

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        finish: Callable[[Any], Iterable[Task]],
        lose: Callable[[str], Iterable[Task]],
    ) -> None:
        self.function = function
        self.arguments = arguments
        self.finish = finish
        self.lose = lose


def count_runs(runs: list[Run], reading: Reading, large: int) -> list[Outcome | Row]:
    """Count files.

    Args:
        runs: where they are.
        reading: how to read them.
        large: files of this size and more are not read; their outcome is `LARGE`.

    Returns:
        For each file, in the same order, an outcome, or a row where an outcome would not do.
    """
    results: list[Outcome | Row] = []
    for run in runs:
        if run.remote:
            results += [_count_remote(address, reading) for address in run.names]
        elif reading.is_utf_8:
            results += kernel.count_files(run.folder, run.names, large, reading.looks_for_nul, BLOCK_SIZE)
        else:
            results += [_count_decoding(path, reading, large) for path in run.paths()]
    return results


def look_again(path: str, reading: Reading, seen: Outcome) -> Row:
    """Count a file that the kernel took for binary or invalid, or find out what is wrong with it."""
    return _row(path, lambda: count_local(path, reading, seen))


def count_slice(path: str, identity: tuple[int, int], start: int, stop: int) -> Outcome | str:
    """Count a part of a large file.

    Args:
        path: the file.
        identity: the device and inode that it had when it was cut up.
        start: where the part begins: between two characters, and not between CR and LF.
        stop: where it ends, likewise, or past the file's end.

    Returns:
        An outcome, or the reason why there is none.
    """
    try:
        descriptor = open_regular(path)
    except OSError as error:
        return system_reason(error)
    try:
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) != identity:
            return "it was replaced by another file while it was read"
        outcome: Outcome = kernel.count_part(descriptor, start, stop, BLOCK_SIZE)
        return outcome
    finally:
        os.close(descriptor)


def _count_decoding(path: str, reading: Reading, large: int) -> Outcome | Row:
    try:
        if (size := os.stat(path).st_size) >= large:
            return LARGE, size, 0, 0, 0, 0
    except OSError as error:
        return FileFailure(path, system_reason(error))
    return _row(path, lambda: count_local(path, reading))


def _count_remote(address: str, reading: Reading) -> Row:
    from .remote import remote_content, remote_reason

    def count() -> FileCount:
        with remote_content(address) as content:
            return count_content(address, content, reading)

    try:
        return _row(address, count)
    except Exception as error:  # which ones there are is up to each file system
        return FileFailure(address, remote_reason(error))


def _row(path: str, count: Callable[[], FileCount]) -> Row:
    try:
        return count()
    except BinaryContent as error:
        return BinaryFile(path, str(error))
    except InvalidText as error:
        return FileFailure(path, str(error))
    except OSError as error:
        return FileFailure(path, system_reason(error))
