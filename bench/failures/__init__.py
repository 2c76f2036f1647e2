"""How pools and locks fail, side by side: ``python -m bench.failures``.

A *case* (``cases/``) is one row of the list of known failures, such as a worker that is killed. A *library*
(``libraries.py``) is one pool, and its locks if it has any, behind a small common interface. Every case runs with
every library in a fresh interpreter (``inside.py``), with a limit in time; past it the outcome is a hang. The runner
(``runner.py``) also looks from outside at what a program leaves behind. ``table.py`` turns the outcomes, plain data,
into a table.
"""
