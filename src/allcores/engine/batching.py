"""How many tasks travel together.

A batch should last about `TARGET`: long enough that the way there and back is small beside it, short enough that
lanes end together and that progress is seen. So its size follows from what a task of the function has been seen
to cost. A function not seen yet goes singly; near the end of the work batches shrink, each lane getting a share of
what is left (guided self-scheduling, Polychronopoulos and Kuck, 1987).
"""

from __future__ import annotations

from allcores.engine.channel import HALF_SIZE
from allcores.engine.functions import Function

__all__ = ["learn", "may_prefetch", "size_of_batch", "size_of_window", "weigh"]

#: Nanoseconds that a batch should last. A parent whose own thread computes gives up the interpreter lock every
#: 5 ms; two batches of this length under way keep a lane busy meanwhile.
TARGET = 2_500_000

#: Batches are never larger, so that their results find room in a half as a column of numbers.
LARGEST = HALF_SIZE // 8

#: Nor heavier, in bytes of arguments, so that a socket's buffer takes most of a batch at once. Arbitrary.
HEAVIEST = 1 << 18

#: Bounds of a stream's window: nanoseconds of work for each lane, bytes, items. Arbitrary.
WINDOW_TIME = 10_000_000
WINDOW_BYTES = 64 << 20
WIDEST = 256

#: A lane gets its next batch ahead of time only if tasks are this short, in nanoseconds: then waiting for it
#: would cost something, and taking it back, should that become necessary, costs next to nothing.
PREFETCH_BELOW = 5_000_000


def size_of_batch(function: Function, waiting: int, lanes: int) -> int:
    """How many tasks to send at once.

    Args:
        function: whose tasks.
        waiting: how many tasks wait, these included.
        lanes: how many lanes there are to share them.
    """
    if not function.cost:
        return 1
    share = -(-waiting // (2 * lanes))
    light = HEAVIEST // function.weight if function.weight else LARGEST
    return max(1, min(TARGET // function.cost, share, light, LARGEST))


def size_of_window(function: Function, lanes: int) -> int:
    """How many items of a stream may be under way between being drawn and being fetched.

    Enough to keep all lanes busy for a while, few where tasks are long or items large.

    Args:
        function: whose tasks.
        lanes: how many lanes there may be.
    """
    least = 2 * lanes + 2
    if not function.cost:
        return least
    light = WINDOW_BYTES // function.weight if function.weight else WIDEST
    return max(least, min(lanes * WINDOW_TIME // function.cost, light, WIDEST))


def may_prefetch(function: Function) -> bool:
    """Whether a busy lane may be given tasks of this function ahead of time."""
    return 0 < function.cost < PREFETCH_BELOW


def learn(function: Function | None, tasks: int, elapsed: int) -> None:
    """Take in that `tasks` tasks took `elapsed` nanoseconds.

    The estimate falls at once and rises slowly: the first task of a worker pays for imports and caches, and must
    not keep the next ones from travelling together.
    """
    if tasks and function is not None:
        seen = max(1, elapsed // tasks)
        known = function.cost
        function.cost = seen if not known or seen < known else (7 * known + 3 * seen) // 10


def weigh(function: Function | None, tasks: int, size: int) -> None:
    """Take in that the arguments of `tasks` tasks took `size` bytes."""
    if function is not None:
        seen = size // tasks
        function.weight = seen if seen > function.weight else (7 * function.weight + seen) // 8
