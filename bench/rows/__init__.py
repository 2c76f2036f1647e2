"""The rows: one small module for each family of work.

To add a row, write a module with a `measure(peer, options)` function and a `Row`, and put the row in `ALL`.
Nothing here, nor in the modules below, imports more at its top than the bare interpreter has loaded already
(so no dataclasses, no typing): the start-up rows would measure a peer whose imports had been done for it.
"""

from bench.rows import arrays, bulk, busy, growth, idle, lone, mutexes, patches, shared, start, streams, tiny, wakeups

ALL = (
    tiny.FLOOD,
    tiny.UNORDERED,
    lone.LONE,
    bulk.MAP,
    start.START,
    start.SECOND,
    idle.IDLE,
    arrays.ARGUMENT,
    arrays.RESULT,
    shared.SHARE,
    streams.ENDLESS,
    streams.SLOW,
    busy.SPEEDUP,
    busy.HOSTAGE,
    growth.GROWTH,
    mutexes.UNCONTENDED,
    mutexes.CONTENDED,
    wakeups.EVENT,
    wakeups.CONDITION,
    wakeups.BARRIER,
    patches.AUGMENTED,
    patches.PLAIN,
    patches.MANY,
    patches.CROPPED,
)
BY_NAME = {row.name: row for row in ALL}
