"""Where the time of allcores goes: ``python -m bench.profile``.

The rows of `bench` say how long a task takes; this says what for. Three views of the same works (``works.py``) are
measured in turn, round after round, so that they can be set against each other:

- a real pool, seen from outside (``accounts.py``): how much of a core each of its threads has used, from the counters
  that the kernel keeps;
- the same engine in one thread (``rig.py``): what the steps of a task's way cost by themselves, with nobody to be
  woken and nothing to be shared. ``parts.py`` says which steps;
- single operations (``steps.py``): what pickling these arguments costs, or these two system calls.

The whole is then the sum of parts, and what is left over has a name: the difference between a pool that runs in
several threads and processes and one that does not. ``lone.py`` follows one `apply` from clock to clock, ``start.py``
the first result of a program. Where they are installed, strace counts system calls (``syscalls.py``) and perf samples
what runs (``samples.py``): neither is needed, and both see the same from the other side.

The parts are named after private functions of the engine, as a profile must be: who renames one, renames it here.
"""
