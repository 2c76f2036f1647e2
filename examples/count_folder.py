"""The lines and the characters of every text file in a folder, counted on all cores.

One function counts one file; `imap` runs it over all of them and yields the results in the order of the
files, each as soon as it is there. Characters are counted without the ends of lines.

Run it on a folder of your own, or without one on the sources of Python's standard library:

    python examples/count_folder.py
    python examples/count_folder.py ~/notes

With `import multiprocessing` in place of the import below it does the same. (For the whole job, with
subfolders, unreadable files and a result file, there is the command `allcores count`.)
"""

import os
import pathlib
import sys

import allcores as multiprocessing

ENDINGS = {".txt", ".md", ".rst", ".py"}


def count(path):
    """The name of a file, its number of lines and its number of characters."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.readlines()
    return path.name, len(lines), sum(len(line.rstrip("\n")) for line in lines)


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.__file__))
    paths = sorted(path for path in folder.iterdir() if path.suffix in ENDINGS and path.is_file())

    total_lines = total_characters = 0
    with multiprocessing.Pool() as pool:
        for name, lines, characters in pool.imap(count, paths):
            print(f"{name}: lines: {lines} characters: {characters}")
            total_lines += lines
            total_characters += characters
    print(f"{len(paths)} files, {total_lines} lines, {total_characters} characters")
