"""A lane that is a local process: its life, what is sent to it and what it says."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

from allcores.engine import channel as ch
from allcores.engine.barrier import barrier
from allcores.engine.batch import Batch, ItemsBatch
from allcores.engine.citizenship import take_log, take_warning
from allcores.engine.codec import Codec
from allcores.engine.complaints import complain
from allcores.engine.frames import NO_SIGNAL, FrameReader, frame
from allcores.engine.lane import Death, Lane
from allcores.engine.outcome import Failure, unpack_stream
from allcores.engine.reactor import READABLE, WRITABLE, Timer
from allcores.engine.scheduler import Scheduler
from allcores.engine.worker import Setup
from allcores.lanes.control import ControlBlock
from allcores.lanes.encoding import Encoder
from allcores.lanes.family import resident
from allcores.lanes.large import LargeBuffers
from allcores.lanes.oom import oom_kills
from allcores.lanes.output import Output
from allcores.lanes.start.starter import Starter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.lanes.encoding import Hooks

__all__ = ["ProcessLane"]

#: A worker that a signal has stopped is waited for this long, in seconds, for somebody to continue it.
STOPPED_FOR = 5.0

_NOW = socket.MSG_DONTWAIT

#: Sockets that keep messages apart; macOS (untested) has no SOCK_SEQPACKET here.
_MESSAGES = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM


class ProcessLane(Lane):
    """A worker process, its channel and its control block.

    Who holds `_reading` may read the channel: the reactor's thread while it handles an event, or a thread that has
    borrowed the lane to run one task by itself. Any thread may write; what the socket does not take at once is
    kept and sent by the reactor, so that nobody ever waits for a worker to read.

    Args:
        starter: makes the process.
        codec: pickles for it.
        large: the pool's shared memory.
        setup, hooks: what it is to be told first.
    """

    __slots__ = (
        "_armed",
        "_borrower",
        "_codec",
        "_control",
        "_death",
        "_encoder",
        "_eof",
        "_frames",
        "_hooks",
        "_large",
        "_next",
        "_next_half",
        "_note",
        "_oom_kills",
        "_outbox",
        "_outputs",
        "_reading",
        "_setup",
        "_setup_failure",
        "_socket",
        "_starter",
        "_stopped",
        "_writing",
        "kill_wanted",
        "name",
        "stopping",
    )

    def __init__(
        self,
        scheduler: Scheduler,
        number: int,
        *,
        starter: Starter,
        codec: Codec,
        large: LargeBuffers,
        setup: Setup,
        hooks: Hooks,
    ) -> None:
        super().__init__(scheduler, number)
        self.name = setup.name
        self.stopping = False
        self.kill_wanted: float | None = None
        self._starter = starter
        self._codec = codec
        self._large = large
        self._setup = setup
        self._hooks = hooks
        self._encoder: Encoder = None  # type: ignore[assignment]  # until it starts, like the next
        self._socket: socket.socket = None  # type: ignore[assignment]
        self._reading = threading.Lock()
        self._writing = threading.RLock()
        self._outbox = bytearray()
        self._outputs: list[Output] = []
        self._armed = False
        self._borrower = 0
        self._eof = False
        self._death: Death | None = None
        self._setup_failure: Failure | None = None
        self._stopped: Timer | None = None
        self._note = ""
        self._oom_kills = oom_kills()
        self._next = 1
        self._next_half = 0

    # Life

    def start(self) -> None:
        theirs: list[int] = []
        try:
            self._socket, end = socket.socketpair()
            theirs.append(end.detach())
            self._control = ControlBlock()
            theirs.append(self._control.fd)
            side, end = socket.socketpair(socket.AF_UNIX, _MESSAGES)
            theirs.append(end.detach())
            self._encoder = Encoder(self._codec, side, self._large.segments, self._large.used)
            for name in ("stdout", "stderr"):
                read, write = os.pipe()
                theirs.append(write)
                self._outputs.append(Output(name, read))
            self._frames = FrameReader(self._socket)
            self._armed = True
            self.scheduler.reactor.watch(self._socket.fileno(), self._on_event)
            for output in self._outputs:
                self.scheduler.reactor.watch(output.fd, partial(self._on_output, output))
            self._starter.start(self, theirs)
        except BaseException:
            self._close()
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        self._write(self._encoder.setup(self._setup, self._hooks))
        self._count_beside()

    def started(self, pid: int) -> None:
        """The starter has made the process."""
        self.pid = pid
        if self.kill_wanted is not None:
            self._starter.kill(self, self.kill_wanted)

    def exited(self, death: Death) -> None:
        """The process has ended. Called in the reactor's thread."""
        death.pid = self.pid
        self._death = death
        try:
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes a thread that has borrowed the lane
        except OSError:
            pass
        if self._reading.acquire(blocking=False):
            self._finish()

    def _finish(self) -> None:
        """Take in what the worker has left, then report its end. `_reading` is held, for good."""
        death = self._death
        assert death is not None
        try:
            self._read(until_empty=True)
            if self.batches:
                batch = self.batches[0]
                self._take_written(batch, self._control.written(batch))
        except Exception:  # a stream that an interrupted reader has left in the middle of a frame
            complain("allcores: the last words of a worker could not be read")
        self._close()
        death.stderr = self._outputs[1].tail
        death.note = self._note or self._suspect_kernel(death)
        if self._stopped is not None:
            self._stopped.cancel()
        if self._setup_failure is not None:
            death.setup = self._setup_failure
        self.scheduler.lane_ended(self, death)
        with self.scheduler.lock:
            self._control.close()

    def _suspect_kernel(self, death: Death) -> str:
        """What to say of a worker that nobody here has killed."""
        if death.exitcode != -signal.SIGKILL or self.kill_wanted is not None:
            return ""
        if self._oom_kills is not None and (oom_kills() or 0) > self._oom_kills:
            return "the kernel's out-of-memory killer has struck since it was started, and very likely it"
        return "if nobody killed it on purpose, it may have been the kernel, for want of memory"

    def _close(self) -> None:
        """Close every descriptor."""
        if self._socket is not None:
            self.scheduler.reactor.unwatch(self._socket.fileno())
            self._socket.close()
        if self._encoder is not None:
            self._encoder.close()
        for output in self._outputs:
            self.scheduler.reactor.unwatch(output.fd)
            output.close()

    def stopped(self, is_stopped: bool) -> None:
        """The process has been stopped by a signal, or continued. Called in the reactor's thread."""
        if self._stopped is not None:
            self._stopped.cancel()
            self._stopped = None
        if is_stopped:
            when = time.monotonic() + STOPPED_FOR
            self._stopped = self.scheduler.reactor.call_at(when, self._give_up_stopped)

    def _give_up_stopped(self) -> None:
        self._note = (
            f"it had been stopped by a signal for {STOPPED_FOR:g} s, and was killed so that nobody waits for it"
        )
        self.kill()

    def stop(self) -> None:
        self.stopping = True
        self._write(frame(ch.STOP))

    def kill(self, grace: float = 0.0) -> None:
        self.kill_wanted = grace
        if self.pid is not None and self._death is None:
            self._starter.kill(self, grace)

    # Sending

    def admit(self, batch: Batch) -> None:
        batch.first = self._next
        # The number behind the last task is the claim of a worker that is done.
        self._next += batch.count + 1
        batch.half = self._next_half
        self._next_half ^= 1
        batch.sent = time.monotonic()

    def forget(self, number: int) -> None:
        if self._encoder is not None:
            self._encoder.forget(number)

    def send(self, batch: Batch) -> None:
        if not self._armed:
            self._arm(True)
        data = self._encode(batch)
        if data:
            self._write(data)
            self._count_beside()

    def _encode(self, batch: Batch) -> bytes:
        """The frame for a batch; empty where there can be none, which is settled then."""
        try:
            return self._encoder.encode(batch)
        except Exception as error:  # no memory, say; whoever dispatches may be innocent of these tasks
            with self.scheduler.lock:
                count = batch.withdrawn - batch.settled
            self.scheduler.settlement.settle(batch, [Failure(error)] * count, True)
            self.scheduler.batch_over(self, batch, 0)
            return b""

    def _count_beside(self) -> None:
        self.bytes_in += self._encoder.beside
        self._encoder.beside = 0

    def tend(self, trim: bool, idle: bool) -> None:
        if self._encoder is None:
            return
        data = (self._encoder.forgets() if idle else b"") + self._encoder.notice(trim)
        if data:
            if not self._borrower:
                self._arm(True)  # the worker has something to say to that
            self._write(data)

    def _write(self, data: bytes) -> None:
        with self._writing:
            self.bytes_in += len(data)
            if self._outbox:
                self._outbox += data
                return
            try:
                sent = self._socket.send(data, _NOW | NO_SIGNAL)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # the worker is gone; its end is reported elsewhere
            if sent < len(data):
                self._outbox += memoryview(data)[sent:]
                self._update_events()

    def _flush(self) -> None:
        with self._writing:
            try:
                sent = self._socket.send(memoryview(self._outbox)[: 1 << 20], _NOW | NO_SIGNAL)
            except BlockingIOError:
                return
            except OSError:
                sent = len(self._outbox)
            del self._outbox[:sent]
            if not self._outbox:
                self._update_events()

    def _arm(self, armed: bool) -> None:
        """Whether the reactor is to hear of what comes from the worker."""
        with self._writing:
            self._armed = armed
            self._update_events()

    def _update_events(self) -> None:
        events = (READABLE if self._armed and not self._eof else 0) | (WRITABLE if self._outbox else 0)
        try:
            self.scheduler.reactor.change(self._socket.fileno(), events)
        except (OSError, ValueError):
            pass  # closed meanwhile

    # Receiving

    def borrow(self) -> bool:
        if self._death is not None:
            return False
        # Before the lock is taken: an exception may strike between any two lines.
        self._borrower = threading.get_ident()
        if self._reading.acquire(blocking=False):
            return True
        self._borrower = 0
        return False

    def give_up(self) -> None:
        if self._borrower == threading.get_ident():
            self._borrower = 0
            try:
                self._reading.release()
            except RuntimeError:
                pass  # it had just been released
        self._note = "an exception had struck the thread that was talking to it, so it was replaced"
        self.scheduler.reactor.call_soon(self.kill)
        if self._death is not None:
            self.scheduler.reactor.call_soon(self._finish_late)

    def exchange(self, batch: Batch) -> None:
        over = False
        try:
            if self._armed:
                self._arm(False)
            data = self._encode(batch)
            if data:
                self._write(data)
                while not over and self._frames.fill():
                    self._handle_frames()
                    over = batch not in self.batches
        except OSError:
            pass
        self._reading.release()
        self._borrower = 0
        if self._encoder.beside:
            self._count_beside()
        if not over or self.batches:
            self._arm(True)
        if self._death is not None:
            self.scheduler.reactor.call_soon(self._finish_late)

    def _finish_late(self) -> None:
        if self._reading.acquire(blocking=False):
            self._finish()

    def _on_event(self, events: int) -> None:
        if events & WRITABLE:
            self._flush()
        if not events & ~WRITABLE:
            return
        if self._reading.acquire(blocking=False):
            try:
                self._read()
            finally:
                self._reading.release()
        else:
            self._arm(False)  # who has borrowed the lane reads, and wants no company
            if self._reading.acquire(blocking=False):  # but has just given it back
                self._reading.release()
                self._arm(True)

    def _read(self, until_empty: bool = False) -> None:
        try:
            while self._frames.fill(_NOW):
                self._handle_frames()
                if not until_empty:
                    return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._eof = True
        with self._writing:
            self._update_events()

    def _handle_frames(self) -> None:
        if self._control.printed():
            self._pass_on_output()
        while (received := self._frames.next()) is not None:
            kind, sequence, count, _, body = received
            self.bytes_out += ch.HEADER.size + len(body)
            if kind == ch.RESULTS:
                self._take_results(sequence, count, body)
            elif kind == ch.READY:
                self.scheduler.lane_ready(self)
            elif kind == ch.BROKEN:
                self._setup_failure = self._read_failure(body)
            elif kind in (ch.LOG, ch.WARNING):
                self._take_report(kind, body)
            elif kind == ch.NOTICE:
                self._encoder.apart.take_notice(body)
                self._large.used()
            elif kind == ch.UNREADABLE:
                self._take_unreadable()

    @staticmethod
    def _take_report(kind: int, body: memoryview) -> None:
        try:
            if kind == ch.LOG:
                take_log(body)
            else:
                take_warning(body)
        except BaseException:  # the program's own handlers; what follows in the channel must be read all the same
            complain("allcores: a worker's log record or warning could not be handled")

    def _pass_on_output(self) -> None:
        """What tasks have printed appears before their results do."""
        for output in self._outputs:
            output.drain(flush=True)

    def _on_output(self, output: Output, _: int) -> None:
        if not output.drain():
            self.scheduler.reactor.unwatch(output.fd)

    @staticmethod
    def _read_failure(body: memoryview) -> Failure:
        values, _ = unpack_stream(body, True)
        failure = values[0]
        assert isinstance(failure, Failure)
        return failure

    def _take_results(self, sequence: int, count: int, body: memoryview) -> None:
        elapsed, position, flags = ch.REPORT.unpack_from(body)
        batch = self.batches[0]
        boxed = bool(flags & ch.BOXED)
        if position > batch.consumed:
            self._take_from_half(batch, position, flags >> ch.COLUMN_SHIFT, boxed)
        if count:
            values, failures = unpack_stream(body[ch.REPORT.size :], boxed, self._open)
            if batch.half < 0 and not failures and self.scheduler.task_over(self, batch, values[0], elapsed):
                return
            self.scheduler.settlement.settle(batch, values, failures)
        if flags & ch.LAST and batch.doomed is None:  # a lane that is being ended gets no more work
            self.scheduler.batch_over(self, batch, elapsed)

    def _take_from_half(self, batch: Batch, position: int, column: int, boxed: bool) -> None:
        self.bytes_out += position - batch.consumed
        with self._control.part(batch, position) as stream:
            if column:
                values, failures = stream.cast(ch.COLUMNS[column]).tolist(), False  # type: ignore[call-overload]
            else:
                values, failures = unpack_stream(stream, boxed, self._open)
        batch.consumed = position
        self.scheduler.settlement.settle(batch, values, failures)

    def _open(self, wire: tuple[Any, ...]) -> Callable[[], Any]:
        """Take in a result of which large parts came apart."""
        self._large.used()
        if len(wire) > 2:
            self.bytes_out += wire[3]
        return self._encoder.apart.open(wire)

    def _take_unreadable(self) -> None:
        batch = self.batches[0]
        assert isinstance(batch, ItemsBatch)
        if batch.doomed is not None:
            return
        with self.scheduler.lock:
            batch.call.singly = True
        self.scheduler.batch_over(self, batch, 0)

    def abandon(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._encoder is not None:
            self._encoder.close()
        for output in self._outputs:
            if output.fd >= 0:
                os.close(output.fd)

    # Hostages

    def begun(self, batch: Batch) -> int:
        return self._control.begun(batch)

    def finished(self, batch: Batch) -> bool:
        return self._control.finished(batch)

    def withdraw(self) -> None:
        self._control.forbid()
        for batch in self.batches:
            batch.withdrawn = min(batch.withdrawn, max(self.begun(batch), batch.settled))

    def resume(self) -> None:
        self._control.allow()

    def collect(self) -> None:
        if not self._reading.acquire(blocking=False):
            return
        try:
            if not self.batches or self._death is not None:
                return
            batch = self.batches[0]
            written = self._control.written(batch)
            barrier()
            # Frames that the worker sent before that moment tell of outcomes that come before what is in the half.
            self._read(until_empty=True)
            if self.batches and self.batches[0] is batch:
                self._take_written(batch, written)
        finally:
            self._reading.release()

    def _take_written(self, batch: Batch, written: tuple[int, int]) -> None:
        position, column = written
        if position > batch.consumed:
            self._take_from_half(batch, position, column, True)

    def memory(self) -> int:
        return resident(self.pid) if self.pid is not None else 0

    def running_since(self) -> float | None:
        return self._control.running_since()
