"""Run one case with one library, in this process, and write what became of it to a file as JSON.

The runner starts this as ``python bench/failures/inside.py FOLDER CASE LIBRARY``.
"""

import json
import os
import sys


def main(arguments):
    """Run, write; then leave without waiting for anything, except where the end is the case."""
    folder, name, slug = arguments
    from bench.failures import cases, libraries

    library = libraries.BY_SLUG[slug]()
    outcome = cases.run(name, library, folder)
    path = os.path.join(folder, "outcome")
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(outcome, file)
    os.rename(path + ".new", path)
    if cases.BY_NAME[name].aftermath is None:
        os._exit(0)
    return library  # keeps the pool until the interpreter ends


# Libraries that start workers by spawning import this file again in each.
if __name__ == "__main__":
    kept = main(sys.argv[1:])
