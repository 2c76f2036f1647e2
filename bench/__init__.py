"""allcores and its peers, measured side by side.

``python -m bench`` runs every row and writes ``docs/benchmarks.md``, with the data and a plot beside it; ``--help``
says how to run a part, and how to put the results of several machines on one page.

A *row* (``rows/``) is one kind of work, such as a flood of tiny tasks. A *peer* (``peers/``) is one library behind a
small common interface. The runner (``runner.py``) gives every peer of every round its own fresh interpreter, so that
none disturbs another and a hang costs one time limit; ``one.py`` is what runs in there, and ``processes.py`` sees to
it that nothing of it is left. The outcome is plain data. From there it goes one way: ``results.py`` says what the data
mean (medians, ratios, goals), ``report.py`` puts a row into words, ``page.py`` all of them, ``plot.py`` into a picture.
"""
