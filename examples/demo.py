"""Count the lines of Python's own standard library: one file after the other, and on all cores.

`make demo` runs this. The library's sources are real input that every machine has; a few of its test files
are, on purpose, not UTF-8, and show what happens to such files.
"""

from __future__ import annotations

import os
import platform
import sysconfig
import time

from allcores import Pool, cpu_count
from allcores.jobs.count import FileCount, FileFailure, Totals, count_paths


def standard_library() -> list[str]:
    """Its folders and modules, without the packages that were installed beside it."""
    folder = sysconfig.get_path("stdlib")
    return [
        entry.path
        for entry in os.scandir(folder)
        if entry.name not in {"site-packages", "dist-packages"} and (entry.is_dir() or entry.name.endswith(".py"))
    ]


def count_one_after_the_other(paths: list[str]) -> dict[str, tuple[int, int] | None]:
    """The way of the tutorials: open, readlines, next file. None stands for a file that is not UTF-8."""
    counts: dict[str, tuple[int, int] | None] = {}
    for path in paths:
        try:
            with open(path, encoding="utf-8-sig") as file:
                lines = file.readlines()
        except UnicodeDecodeError:
            counts[path] = None
        else:
            counts[path] = len(lines), sum(len(line.rstrip("\n")) for line in lines)
    return counts


def main() -> None:
    library = standard_library()
    print(f"The standard library of Python {platform.python_version()}:\n")

    with Pool() as pool:
        # Not timed: brings the files into memory, for both ways, and starts the workers.
        rows = list(count_paths(library, include=["*.py"], pool=pool))
        show(rows)
        paths = [row.path for row in rows]

        start = time.perf_counter()
        expected = count_one_after_the_other(paths)
        serial_seconds = time.perf_counter() - start

        start = time.perf_counter()
        rows = list(count_paths(library, include=["*.py"], pool=pool))
        parallel_seconds = time.perf_counter() - start

    counted = {row.path: None if isinstance(row, FileFailure) else (row.lines, row.characters) for row in rows}
    if counted != expected:
        raise SystemExit("The two ways disagree, which must not happen. Please report it.")
    print(f"one after the other, open(…).readlines()  {serial_seconds:6.3f} s")
    print(f"allcores on {cpu_count()} cores                       {parallel_seconds:6.3f} s")
    print(f"{serial_seconds / parallel_seconds:.1f} times as fast, and the same counts for every file")


def show(rows: list[FileCount | FileFailure]) -> None:
    """The first counts, every failure, and the totals."""
    totals = Totals()
    for row in rows:
        totals.add(row)
        if isinstance(row, FileFailure):
            print(f"  {row.path} failed: {row.reason}")
        elif totals.files <= 5:
            print(f"  {row.path} lines: {row.lines} characters: {row.characters}")
        elif totals.files == 6:
            print("  …")
    print(f"\n{totals.files} files, {totals.lines} lines, {totals.characters} characters\n")


if __name__ == "__main__":
    main()
