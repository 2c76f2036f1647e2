"""allcores and its peers, measured side by side.

``python -m bench`` runs every row and writes ``docs/benchmarks.md``; ``--help`` says how to run a part.

A *row* (``bench/rows``) is one kind of work, such as a flood of tiny tasks. A *peer* (``bench/peers.py``) is
one library behind a small common interface. The runner (``bench/runner.py``) gives every peer of every round
its own fresh interpreter, so that none disturbs another and a hang costs one time limit; ``bench/one.py`` is
what runs in there. ``bench/report.py`` turns the outcome, plain data, into tables.
"""
