"""What single operations cost that happen for every task, each timed alone, many times over."""

import socket
import timeit
from time import thread_time_ns

from allcores.engine.batch import CallsBatch
from allcores.engine.channel import RESULTS
from allcores.engine.frames import frame
from allcores.engine.outcome import unpack_stream
from allcores.engine.running import flush_output
from allcores.results import SingleResult
from bench.profile.rounds import typical
from bench.tasks import same

_NUMBER = 12345

#: The repetitions of a step are timed in so many portions.
_PORTIONS = 10


class Step:
    """An operation.

    Attributes:
        part: the part of `parts` that it belongs to; for the lone call, the kind of work that it is.
        title: in tables.
        statement: what is timed; its names are those of `_names`.
        times: how often it happens for one task.
    """

    def __init__(self, part, title, statement, times=1):
        self.part = part
        self.title = title
        self.statement = statement
        self.times = times


_TAKING_IN = (
    Step("taking the tasks in", "looking at the arguments", "pack(args, {})"),
    Step("taking the tasks in", "finding the function", "function(same)"),
    Step("taking the tasks in", "making the result object", "SingleResult(*fields)"),
    Step("taking the tasks in", "lock of the queue", "with lock: pass"),
)

STEPS = {
    "flood": (
        *_TAKING_IN,
        Step("running the tasks", "the function itself", "same(number)"),
    ),
    "map": (Step("running the tasks", "the function itself", "same(number)"),),
    "lone": (
        Step("system calls", "send and recv, nobody waiting", "one.send(message); other.recv_into(buffer)", 2),
        Step("pickling", "arguments: pack", "pickle.dumps((args, {}), 5)"),
        Step("pickling", "arguments: unpack", "pickle.loads(blob)"),
        Step("pickling", "result: pack", "pickle.dumps(number, 3)[2:-1]"),
        Step("pickling", "result: unpack", "unpack_stream(outcome, False)"),
        Step("objects and frames", "looking at the arguments", "pack(args, {})"),
        Step("objects and frames", "finding the function", "function(same)"),
        Step("objects and frames", "result object", "SingleResult(*fields)"),
        Step("objects and frames", "batch", "CallsBatch([call])"),
        Step("objects and frames", "frames: make", "frame(RESULTS, 1, 1, 0, blob)", 2),
        Step("locks, clock, output", "locks", "with lock: pass", 5),
        Step("locks, clock, output", "clock", "monotonic_ns()", 4),
        Step("locks, clock, output", "flushing what was printed", "flush()"),
        Step("the task", "the function itself", "same(number)"),
    ),
}


def _names(rig):
    """What statements may use: the engine's own objects, in the rig."""
    import pickle
    from time import monotonic_ns

    pool = rig.pool
    scheduler = pool._scheduler
    args = (_NUMBER,)
    known = scheduler.repertoire.function(same)
    payload = pool._lanes.pack(args, {})
    fields = (scheduler, known, pool._policy, pool, payload, args, {}, None, None)
    one, other = socket.socketpair()
    return {
        "CallsBatch": CallsBatch,
        "RESULTS": RESULTS,
        "SingleResult": SingleResult,
        "args": args,
        "blob": pickle.dumps((args, {}), 5),
        "buffer": bytearray(4096),
        "call": SingleResult(*fields),
        "fields": fields,
        "flush": flush_output,
        "frame": frame,
        "function": scheduler.repertoire.function,
        "lock": scheduler.lock,
        "message": bytes(48),
        "monotonic_ns": monotonic_ns,
        "number": _NUMBER,
        "one": one,
        "other": other,
        "outcome": pickle.dumps(_NUMBER, 3)[2:-1],
        "pack": pool._lanes.pack,
        "pickle": pickle,
        "same": same,
        "unpack_stream": unpack_stream,
    }


def steps(rig, work, repeats):
    """Time the steps of a work.

    Args:
        rig: whose objects to use.
        work: its name.
        repeats: how often each step is repeated.

    Returns:
        Nanoseconds a task for each step, in the order of `STEPS`.
    """
    names = _names(rig)
    empty = _time("pass", names, repeats)
    costs = [max(0.0, _time(step.statement, names, repeats) - empty) * step.times for step in STEPS[work]]
    names["one"].close()
    names["other"].close()
    return costs


def _time(statement, names, repeats):
    timer = timeit.Timer(statement, globals=names, timer=thread_time_ns)
    return typical(timer.repeat(_PORTIONS, repeats // _PORTIONS)) * _PORTIONS / repeats
