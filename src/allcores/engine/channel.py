"""What passes between a parent and one of its workers, byte by byte.

Three ways lead from one to the other, all private to the pair:

- a stream socket, on which frames travel in both directions: a `HEADER`, then a body of the length it names;
- a *control block* of shared memory: a few 8-byte words, then two halves for results;
- a *side* socket, on which nothing travels but descriptors of shared memory for large buffers (see `parcels`).

The words are how parent and worker agree on tasks without a lock. Every task sent to a worker has a sequence
number. The worker stores the number in `CLAIM` before it begins the task, and reads `LIMIT` after that store; a
task whose number has reached the limit is not begun. The parent lowers `LIMIT`, makes the worker see it
(`barrier`), and reads `CLAIM`: every task above the claim is then certain not to have begun and can be given to
somebody else. When a worker dies, `CLAIM` names the task that it died of.

Results of a batch are written to one half as they come into being, so that they survive the death of the worker;
batches use the halves in turn. No more than two batches are under way in a worker, so a half has always been
read before it is written again. In a half stand first, where `FORMAT` says so, numbers of 8 bytes each, as many as
the claim says are done; then a stream (see `outcome`), as long as `WRITTEN` says.
"""

from __future__ import annotations

from struct import Struct

__all__: list[str] = []

#: length of the body, sequence number, count of tasks, kind of frame, flags
HEADER = Struct("<QQIBBxx")

# Frames to a worker.
SETUP = 1  #: a pickled `Setup`: what to do before the first task
BATCH = 2  #: tasks: the body is a pickled `(introduced, mode, function ids, items)`; a parcel may stand for a pickle
CALL = 3  #: one task of a function that the worker knows: `count` is its id, the body `(args, kwds)`
FORGET = 4  #: a pickled list of function ids that will not be used again
STOP = 5  #: run the finalizer and end

# A frame in both directions.
NOTICE = 6  #: about large buffers, see `out_of_band`

# Frames from a worker.
READY = 16  #: the set-up is done
BROKEN = 17  #: the set-up failed: the body is a pickled failure; the worker ends
RESULTS = 18  #: see `REPORT`
LOG = 20  #: a pickled dict of a log record's attributes
WARNING = 21  #: a pickled (message, category, file name, line number)
UNREADABLE = 19  #: the items of this batch cannot be unpickled together; none was begun

#: How a batch's items are to be applied.
MODE_EACH = 0  #: items is one pickle of a list; function(item)
MODE_STAR = 1  #: items is one pickle of a list; function(*item)
MODE_CALLS = 2  #: items is a list of pickles of (args, kwds), each with its own function id
MODE_PLAIN = 3  #: items is a list of tuples of arguments, not pickled apart; function(*item)

# Flags of a batch.
SECOND_HALF = 1  #: write results to the second half
TIMED = 2  #: store the time at which each task begins in `STARTED`

#: Body of RESULTS: nanoseconds spent in tasks, bytes valid in the batch's half, flags. Behind it stands the stream
#: of the header's `count` tasks from its sequence number on; all tasks before that number are in the half.
REPORT = Struct("<QQB7x")
#: Header and report of RESULTS in one.
RESULTS_HEAD = Struct(HEADER.format + REPORT.format[1:])
LAST = 1  #: the batch is over; tasks not reported were not begun
BOXED = 2  #: some results need unboxing
COLUMN_SHIFT = 2  #: behind these bits: what is new in the half, as an index into `COLUMNS`

# The words.
CLAIM = 0
LIMIT = 1
STARTED = 2  #: time.monotonic_ns() at which the claimed task began; 0 between tasks
WRITTEN = 3  #: bytes valid in the half of the batch under way
FORMAT = 4  #: what the half of the batch under way begins with: index into `COLUMNS`
PRINTED = 5  #: how often the worker has written to its standard output or error
NO_LIMIT = 2**63

#: Formats of numbers, for `memoryview.cast`; none for a stream.
COLUMNS = ("", "q", "d")

HALVES_AT = 4096
HALF_SIZE = 256 * 1024
CONTROL_SIZE = HALVES_AT + 2 * HALF_SIZE

#: Marks a worker's ``__main__`` that was made empty, not inherited from the program by fork.
MADE_MAIN = "__allcores_worker__"

#: A result longer than this goes through the socket at once.
LARGE_RESULT = 64 * 1024
