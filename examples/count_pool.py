"""Lines and characters of text files, counted the way tutorials do: one task a file, results collected at the end.

One function reads one file with `readlines()`. `apply_async` hands in the files one by one, `close` and `join` wait
for all of them, and `get` brings the results, which go into a file with the totals and the time that it took. It is
the old form on purpose: every file is held in memory as a list of lines, and a file that is not UTF-8 ends it all.

Run it on a folder of texts, and say where the result is to go:

    python examples/count_pool.py texts result.txt

With `import multiprocessing` in place of the import below it does the same. (The whole job, without these costs and
with a name for every file that cannot be read: `allcores count texts -o result.txt`.)
"""

import pathlib
import sys
import time

import allcores as multiprocessing

ENDINGS = {".txt", ".10w"}


def count(path):
    """The name of a file, its number of lines and its number of characters, ends of lines not counted."""
    with open(path, encoding="utf-8") as file:
        lines = file.readlines()
    characters = 0
    for line in lines:
        characters += len(line.rstrip("\n"))
    return path, len(lines), characters


def main(folder, output):
    """Count all texts below a folder and write the result."""
    start = time.time()
    paths = sorted(str(path) for path in pathlib.Path(folder).rglob("*") if path.suffix in ENDINGS and path.is_file())

    pool = multiprocessing.Pool()
    results = []
    for path in paths:
        results.append(pool.apply_async(count, (path,)))
    pool.close()
    pool.join()

    total_lines = total_characters = 0
    with open(output, "w", encoding="utf-8") as file:
        for result in results:
            path, lines, characters = result.get()
            file.write(f"{path} lines: {lines} characters: {characters}\n")
            total_lines += lines
            total_characters += characters
        file.write(f"total lines: {total_lines} characters: {total_characters}\n")
        file.write(f"time: {time.time() - start:.3f} s\n")
    print(f"{len(paths)} files, {total_lines} lines, {total_characters} characters: {output}")


if __name__ == "__main__":
    main(*sys.argv[1:])
