"""Lines and characters of text files, exactly as Python's text mode has them, on all cores.

    from allcores.jobs.count import FileCount, Totals, count_paths

    totals = Totals()
    for row in count_paths(["docs", "notes.txt"]):
        totals.add(row)
        print(row.path, row.lines if isinstance(row, FileCount) else row.reason)

The same job from the shell is ``allcores count docs notes.txt``.
"""

from .decoding import BinaryContent, InvalidText
from .files import Reading, count_file, make_reading
from .job import count_batches, count_paths, count_selection
from .rows import BinaryFile, FileCount, FileFailure, Row, Totals
from .selection import DEFAULT_INCLUDE, Selection

__all__ = [
    "DEFAULT_INCLUDE",
    "BinaryContent",
    "BinaryFile",
    "FileCount",
    "FileFailure",
    "InvalidText",
    "Reading",
    "Row",
    "Selection",
    "Totals",
    "count_batches",
    "count_file",
    "count_paths",
    "count_selection",
    "make_reading",
]
