"""A buffer of eight places between two tasks that fill it and two that empty it.

One semaphore counts the places that are free, another those that are filled: who finds none waits. A lock guards the
buffer's ends. This is the classic way to let a fast producer wait for slow consumers, so that memory stays small. All
of them are plain arguments of the pool's tasks.

Run it, with another number of items if you like:

    python examples/bounded_buffer.py
    python examples/bounded_buffer.py 100
"""

import sys

from allcores import Array, Lock, Pool, Semaphore

PLACES = 8


class Buffer:
    """Numbers on their way from one process to another.

    Everything in it is shared, so each process that is passed the buffer has the same one.
    """

    def __init__(self):
        self.numbers = Array("q", PLACES, lock=False)
        self.ends = Array("q", [0, 0], lock=False)  # how many were put, and taken
        self.guard = Lock()

    def put(self, number):
        """Add a number at one end."""
        with self.guard:
            self.numbers[self.ends[0] % PLACES] = number
            self.ends[0] += 1

    def take(self):
        """Take the number that has been there longest."""
        with self.guard:
            self.ends[1] += 1
            return self.numbers[(self.ends[1] - 1) % PLACES]


def produce(buffer, free, filled, numbers):
    """Put numbers into the buffer, each as soon as there is a place for it."""
    for number in numbers:
        free.acquire()
        buffer.put(number)
        filled.release()


def consume(buffer, free, filled, count):
    """Take so many numbers out of the buffer, each as soon as it is there, and add them up."""
    total = 0
    for _ in range(count):
        filled.acquire()
        total += buffer.take()
        free.release()
    return total


if __name__ == "__main__":
    items = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    buffer, free, filled = Buffer(), Semaphore(PLACES), Semaphore(0)

    with Pool(4) as pool:
        for part in (range(0, items, 2), range(1, items, 2)):
            pool.apply_async(produce, (buffer, free, filled, part))
        halves = [items // 2, items - items // 2]
        totals = [pool.apply_async(consume, (buffer, free, filled, half)) for half in halves]
        total = sum(result.get() for result in totals)

    print(f"{items} numbers went through {PLACES} places; they add up to {total}, as they should: {sum(range(items))}")
