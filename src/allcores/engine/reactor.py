"""One thread that waits for everything a pool can wait for: sockets, process ends, times.

An idle reactor sleeps in the kernel without a timeout: no wake-ups at all.
"""

from __future__ import annotations

import heapq
import importlib
import itertools
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from allcores.engine.complaints import complain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Reactor", "Timer"]

READABLE = select.EPOLLIN if hasattr(select, "epoll") else select.POLLIN
WRITABLE = select.EPOLLOUT if hasattr(select, "epoll") else select.POLLOUT


class Timer:
    """A function to be called once, at a time.

    Attributes:
        when: in seconds of `time.monotonic`.
    """

    __slots__ = ("cancelled", "function", "when")

    def __init__(self, when: float, function: Callable[[], None]) -> None:
        self.when = when
        self.function = function
        self.cancelled = False

    def cancel(self) -> None:
        """Never call the function."""
        self.cancelled = True


class Reactor:
    """An event loop in a daemon thread of its own, started when it is first needed.

    Every method may be called from any thread. Callbacks run in the reactor's thread, one at a time; one that
    raises is logged and changes nothing else.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.RLock()  # a signal handler may come at any moment
        self._thread: threading.Thread | None = None
        self._soon: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._poller: Any = None
        self._wake_read = self._wake_write = -1
        self._stopping = False

    @property
    def inside(self) -> bool:
        """Whether the caller is the reactor's own thread."""
        return threading.current_thread() is self._thread

    def start(self) -> None:
        """Start the thread, unless it runs."""
        with self._lock:
            if self._thread is not None or self._stopping:
                return
            try:
                self._poller = select.epoll() if hasattr(select, "epoll") else _Poll()
                self._wake_read, self._wake_write = os.pipe()
                os.set_blocking(self._wake_read, False)
                os.set_blocking(self._wake_write, False)
                self._poller.register(self._wake_read, READABLE)
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread = thread
                thread.start()
            except BaseException:
                self._thread = None
                self._close()
                raise

    def stop(self, timeout: float | None = None) -> None:
        """End the thread after the callbacks that wait; from another thread, wait for that.

        Args:
            timeout: seconds to wait at most.
        """
        with self._lock:
            self._stopping = True
            thread = self._thread
        if thread is None:
            return
        self._wake()
        if not self.inside:
            thread.join(timeout)

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call `function` in the reactor's thread, as soon as that can be."""
        self._soon.append(function)
        if not self.inside:
            self._wake()

    def call_at(self, when: float, function: Callable[[], None]) -> Timer:
        """Call `function` at `when`, in seconds of `time.monotonic`."""
        timer = Timer(when, function)
        with self._lock:
            heapq.heappush(self._timers, (when, next(self._numbers), timer))
            first = self._timers[0][2] is timer
        if first and not self.inside:
            self._wake()
        return timer

    def watch(self, fd: int, callback: Callable[[int], None], events: int = READABLE) -> None:
        """Call ``callback(events)`` whenever one of `events` holds for `fd`."""
        self._callbacks[fd] = callback
        self._poller.register(fd, events)
        self._refresh()

    def change(self, fd: int, events: int) -> None:
        """Wait for other events on a watched `fd`; 0 for none."""
        self._poller.modify(fd, events)
        self._refresh()

    def unwatch(self, fd: int) -> None:
        """Stop waiting for `fd`; must come before the descriptor is closed."""
        if self._callbacks.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def abandon(self) -> None:
        """After a fork, in the child: let go of everything without touching what the parent still uses."""
        self._thread = None
        self._stopping = True
        self._close()

    def _refresh(self) -> None:
        if isinstance(self._poller, _Poll) and not self.inside:
            self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"!")
        except OSError:
            pass  # full means that it is awake; closed, that it has ended

    def _run(self) -> None:
        # What ending a pool needs, imported while there is time: at the end of a program that a Ctrl-C has stopped,
        # an import would make CPython forget what it is dying of.
        importlib.import_module("concurrent.futures")
        while True:
            for fd, events in self._poller.poll(self._pause()):
                if fd == self._wake_read:
                    self._drain_wakes()
                    continue
                callback = self._callbacks.get(fd)
                if callback is not None:
                    self._guard(callback, events)
            self._run_due()
            while self._soon:
                self._guard(self._soon.popleft())
            if self._stopping:
                break
        self._close()

    def _pause(self) -> float | None:
        if self._soon:
            return 0
        with self._lock:
            while self._timers and self._timers[0][2].cancelled:
                heapq.heappop(self._timers)
            if not self._timers:
                return None
            # The kernel takes no pause of a month; and one that turns out too short costs nothing.
            return min(max(0.0, self._timers[0][0] - time.monotonic()), 3600.0)

    def _run_due(self) -> None:
        if not self._timers:
            return
        now = time.monotonic()
        while True:
            with self._lock:
                if not self._timers or self._timers[0][0] > now:
                    return
                timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled:
                self._guard(timer.function)

    def _drain_wakes(self) -> None:
        try:
            while len(os.read(self._wake_read, 4096)) == 4096:
                pass
        except OSError:
            pass

    @staticmethod
    def _guard(callback: Callable[..., object], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except BaseException:
            complain("allcores: internal error in %r; please report it", callback)

    def _close(self) -> None:
        self._callbacks.clear()
        for fd in (self._wake_read, self._wake_write):
            if fd >= 0:
                os.close(fd)
        self._wake_read = self._wake_write = -1
        if self._poller is not None:
            self._poller.close()


class _Poll:
    """`select.poll` in the shape of `select.epoll`, for platforms without the latter. Untested."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[int, int] = {}

    def register(self, fd: int, events: int) -> None:
        with self._lock:
            self._events[fd] = events

    modify = register

    def unregister(self, fd: int) -> None:
        with self._lock:
            self._events.pop(fd, None)

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        poll = select.poll()
        with self._lock:
            for fd, events in self._events.items():
                poll.register(fd, events)
        return poll.poll(None if timeout is None else timeout * 1000)

    def close(self) -> None:
        self._events.clear()
