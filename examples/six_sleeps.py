"""Six tasks of one second each: one after the other, and on a pool of five workers.

One after the other they take six seconds. Five workers do five at once, and the sixth when the first of them
is free again: two seconds. (A sleeping task uses no core, so this works on any machine; tasks that calculate
gain as much as there are cores.)

Run it, with another number of seconds if you like:

    python examples/six_sleeps.py
    python examples/six_sleeps.py 0.2

With `import multiprocessing` in place of the import below it does the same.
"""

import sys
import time

import allcores as multiprocessing


def nap(seconds):
    """Sleep and say for how long."""
    time.sleep(seconds)
    return seconds


if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    tasks = [seconds] * 6

    began = time.perf_counter()
    naps = [nap(task) for task in tasks]
    print(f"One after the other: {len(naps)} naps in {time.perf_counter() - began:.1f} seconds")

    began = time.perf_counter()
    with multiprocessing.Pool(5) as pool:
        naps = pool.map(nap, tasks)
    print(f"On a pool of five:   {len(naps)} naps in {time.perf_counter() - began:.1f} seconds")
