"""Lines and characters of text files, exactly as Python's text mode has them, on all cores.

    from allcores.jobs.count import FileFailure, Totals, count_paths

    totals = Totals()
    for row in count_paths(["docs", "notes.txt"]):
        totals.add(row)
        print(row.path, row.reason if isinstance(row, FileFailure) else row.lines)

The same job from the shell is ``allcores count docs notes.txt``.
"""

from .files import count_file
from .job import count_paths, count_selection
from .kernel import InvalidText
from .rows import FileCount, FileFailure, Row, Totals
from .selection import DEFAULT_INCLUDE, Found, Selection

__all__ = [
    "DEFAULT_INCLUDE",
    "FileCount",
    "FileFailure",
    "Found",
    "InvalidText",
    "Row",
    "Selection",
    "Totals",
    "count_file",
    "count_paths",
    "count_selection",
]
