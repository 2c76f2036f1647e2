"""Measure one row with one peer, in this process, and write the numbers to a file as JSON.

The runner starts this as ``python bench/one.py OUTPUT ROW PEER workers=2 n=1000 …``: plain words rather than
JSON, because parsing JSON would import modules that the start-up rows want the peer to import.
"""

import sys

from bench import peers, rows


def main(arguments):
    """Measure, then write; a file that was not written means that the measurement did not end well."""
    output, name, slug, *words = arguments
    options = {key: int(value) for key, _, value in (word.partition("=") for word in words)}
    row = rows.BY_NAME[name]
    try:
        outcome = {"values": row.measure(peers.BY_SLUG[slug](), options)}
    except peers.Unable as reason:
        outcome = {"unable": str(reason)}

    import json

    with open(output, "w", encoding="utf-8") as file:
        json.dump(outcome, file)
    if row.is_abandoned:
        import os

        os._exit(0)  # some peers would finish everything that they have drawn before they let the interpreter go


# Peers that start workers by spawning import this file again in each.
if __name__ == "__main__":
    main(sys.argv[1:])
