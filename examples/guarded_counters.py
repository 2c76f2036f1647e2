"""Counters that several processes raise: without a lock some of the steps are lost, with one none is.

`counter.value += 1` reads, adds and writes. When two processes read the same number, both write the same one back. A
`Lock` lets one process at a time do all three. The lock and the counters are plain arguments of the pool's tasks.

Run it, with another number of steps if you like:

    python examples/guarded_counters.py
    python examples/guarded_counters.py 1000

`multiprocessing` would have to hand the lock and the counters to an initializer of the pool, and keep them in globals.
"""

import sys

from allcores import Lock, Pool, Value


def raise_unguarded(counter, steps):
    """Raise the counter, whoever else does so at the same time."""
    for _ in range(steps):
        counter.value += 1


def raise_guarded(counter, lock, steps):
    """Raise the counter while no other process does."""
    for _ in range(steps):
        with lock:
            counter.value += 1


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    lock = Lock()
    unguarded = Value("q", 0, lock=False)
    guarded = Value("q", 0, lock=False)

    with Pool(4) as pool:
        pool.starmap(raise_unguarded, [(unguarded, steps)] * 4)
        pool.starmap(raise_guarded, [(guarded, lock, steps)] * 4)

    print(f"Without a lock: {4 * steps - unguarded.value} of {4 * steps} steps are lost")
    print(f"With a lock:    {4 * steps - guarded.value} of {4 * steps} steps are lost")
