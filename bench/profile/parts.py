"""What the steps of a task's way cost by themselves: parts that add up to the whole, by the rig.

Parts are measured by the CPU clock of the thread, in calls that each serve a whole batch, so that the measuring costs
next to nothing a task. Inner parts are taken off outer ones. What happens once a task is in `steps`.
"""

import contextlib
import gc
from time import thread_time_ns
from unittest import mock

from allcores.engine.backlog import Backlog
from allcores.engine.frames import FrameReader
from allcores.engine.running import Runner
from allcores.engine.settlement import Settlement
from allcores.engine.worker import Worker
from allcores.lanes.encoding import Encoder
from allcores.lanes.process_lane import ProcessLane

#: Methods that are called once a batch, and the part that each is.
_PARTS = {
    "parent": (
        (FrameReader, "fill", "receiving: recv"),
        (ProcessLane, "_take_from_half", "unpacking results"),
        (Settlement, "settle", "handing results to their calls"),
        (Backlog, "take", "choosing a batch from the queue"),
        (Encoder, "encode", "making its frame, pickling"),
        (ProcessLane, "_write", "sending: send"),
    ),
    "worker": (
        (FrameReader, "fill", "receiving: recv"),
        (Runner, "_apply", "unpickling the batch"),
        (Runner, "_fill_column", "running the tasks"),
        (Runner, "_fill_stream", "running the tasks"),
        (Worker, "_send_frames", "reporting: send"),
    ),
}

TAKING_IN = "taking the tasks in"
REST = {"parent": "everything else", "worker": "unpickling the frame, everything else"}
FETCHING = "fetching the results"
COLLECTION = "garbage collection"


class Stopwatch:
    """Adds up the time spent in parts, each without what is spent in others inside it.

    Attributes:
        spent: nanoseconds by part.
    """

    def __init__(self):
        self.spent = {}
        self._inner = [0]

    @contextlib.contextmanager
    def part(self, title):
        """Whatever is done in this context belongs to the part."""
        began = self._begin()
        try:
            yield
        finally:
            self._end(title, began)

    def timed(self, method, title):
        """The method, whose time is to be the part's."""

        def wrapper(*arguments, **keywords):
            began = self._begin()
            try:
                return method(*arguments, **keywords)
            finally:
                self._end(title, began)

        return wrapper

    def collection(self, phase, _):
        """For `gc.callbacks`."""
        if phase == "start":
            self._collecting = self._begin()
        else:
            self._end(COLLECTION, self._collecting)

    def _begin(self):
        self._inner.append(0)
        return thread_time_ns()

    def _end(self, title, began):
        took = thread_time_ns() - began
        self.spent[title] = self.spent.get(title, 0) + took - self._inner.pop()
        self._inner[-1] += took


@contextlib.contextmanager
def _watched(side, watch):
    """One side has its turn, its parts being timed."""
    with contextlib.ExitStack() as patches:
        for owner, name, title in _PARTS[side]:
            patches.enter_context(mock.patch.object(owner, name, watch.timed(getattr(owner, name), title)))
        yield


def parts(rig, work, n):
    """Do n tasks of a work in the rig.

    Returns:
        For ``"parent"`` and ``"worker"``, nanoseconds a task by part.
    """
    parent, worker = Stopwatch(), Stopwatch()
    gc.callbacks.append(parent.collection)
    try:
        with parent.part(TAKING_IN):
            handed_in = work.submit(rig.pool, n)
        last = handed_in[-1] if isinstance(handed_in, list) else handed_in
        while not last.done:
            with _watched("worker", worker), worker.part(REST["worker"]):
                rig.worker_turn()
            with _watched("parent", parent), parent.part(REST["parent"]):
                rig.parent_turn()
        with parent.part(FETCHING):
            work.fetch(handed_in)
    finally:
        gc.callbacks.remove(parent.collection)
    return {side: _a_task(watch, side, n) for side, watch in (("parent", parent), ("worker", worker))}


def _a_task(watch, side, n):
    """What was spent, in the order in which things happen."""
    order = dict.fromkeys([TAKING_IN, *(title for _, _, title in _PARTS[side]), REST[side], FETCHING, COLLECTION])
    return {title: watch.spent[title] / n for title in order if title in watch.spent}
