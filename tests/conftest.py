"""What all tests share: pools of each engine, and the check that a test leaves nothing behind."""

from __future__ import annotations

import gc
import multiprocessing.resource_tracker
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from allcores import Pool

# A shell that starts the tests in the background has SIGINT ignored, and programs started here would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ENGINES = ("processes", "threads", "serial")

#: Seconds that a test's workers, threads and descriptors may take to go away.
PATIENCE = 3.0

#: Descriptors that the standard library keeps for good: its source of randomness, and its heap of shared memory.
_KEPT = ("/dev/urandom", "/dev/shm/pym-", "/tmp/pym-")

#: Threads that may outlive a test: the one that ends a template which no pool has used for a while, and tqdm's own.
_LINGERING = ("allcores-linger", "tqdm_monitor")


def _templates() -> dict[int, int]:
    """The template processes of this process that may linger, and the descriptors by which it holds them."""
    module = sys.modules.get("allcores.lanes.start.template")
    if module is None:
        return {}
    return {template._pid: template._control.fileno() for template in list(module._templates.values())}


def _servers() -> dict[int, int]:
    """What `multiprocessing` keeps for good: resource tracker and forkserver, and the descriptors that hold them."""
    tracker: Any = multiprocessing.resource_tracker._resource_tracker
    found = {tracker._pid: tracker._fd}
    module = sys.modules.get("multiprocessing.forkserver")
    if module is not None:
        found[module._forkserver._forkserver_pid] = module._forkserver._forkserver_alive_fd
    return found


def _processes() -> dict[int, str]:
    """What descends from this process, zombies apart; neither templates nor multiprocessing's servers."""
    allowed = {*_templates(), *_servers()}
    found = {}
    for pid in _descendants(os.getpid()):
        try:
            process = psutil.Process(pid)
            if pid not in allowed and process.status() != psutil.STATUS_ZOMBIE:
                found[pid] = " ".join(process.cmdline())[:200]
        except psutil.NoSuchProcess:
            continue
    return found


def _descendants(pid: int) -> list[int]:
    """The processes that descend from one. psutil looks at every process of the machine for that."""
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    except OSError:
        pass  # it has just ended
    return found + [deeper for child in found for deeper in _descendants(child)]


def _threads() -> dict[int, str]:
    return {thread.ident or 0: thread.name for thread in threading.enumerate() if thread.name not in _LINGERING}


def _descriptors() -> dict[int, str]:
    """Open descriptors and what they are; but for those of templates and of multiprocessing's servers."""
    allowed = {*_templates().values(), *_servers().values()}
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the one that listed the folder
        if int(name) not in allowed and not target.startswith(_KEPT):
            found[int(name)] = target
    return found


_LOOKS: dict[str, Callable[[], dict[int, str]]] = {
    "processes": _processes,
    "threads": _threads,
    "descriptors": _descriptors,
}


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """After each test no worker, no thread and no descriptor is left that was not there before it."""
    before = {kind: look() for kind, look in _LOOKS.items()}
    yield
    give_up = time.monotonic() + PATIENCE
    left = _left(before)
    while left and time.monotonic() < give_up:
        gc.collect()  # what a test has dropped may stand in a cycle
        time.sleep(0.01)
        left = _left(before)
    assert not left, f"the test has left behind: {left}"


def _left(before: dict[str, dict[int, str]]) -> dict[str, dict[int, str]]:
    left = {}
    for kind, look in _LOOKS.items():
        new = {key: name for key, name in look().items() if before[kind].get(key) != name}
        if new:
            left[kind] = new
    return left


@pytest.fixture(scope="session", autouse=True)
def no_template_left() -> Iterator[None]:
    """At the end of the session the template process, too, goes away by itself."""
    yield
    give_up = time.monotonic() + 2.0 + PATIENCE
    while (left := {**_processes(), **_templates()}) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not left, f"still there after the last pool has ended: {left}"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of each engine in turn."""
    name: str = request.param
    return name


@pytest.fixture
def pool(engine: str) -> Iterator[Pool]:
    """A pool of two, on each engine in turn."""
    with Pool(2, engine=engine) as pool:
        yield pool
    join(pool)


@pytest.fixture
def processes() -> Iterator[Pool]:
    """A pool of two worker processes, for what makes no sense on other engines."""
    with Pool(2) as pool:
        yield pool
    join(pool)


@pytest.fixture
def one() -> Iterator[Pool]:
    """A pool of one worker process."""
    with Pool(1) as pool:
        yield pool
    join(pool)


def join(pool: Pool) -> None:
    """Join a pool; where that hangs, fail this test and let the others run."""
    joining = threading.Thread(target=pool.join, daemon=True)
    joining.start()
    joining.join(10)
    assert not joining.is_alive(), "Pool.join hangs"


def wait_until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until something is so, and fail if it is not within a few seconds."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"not within {seconds} s"
        time.sleep(0.005)


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., None]:
    """`wait_until(condition, seconds=5)`."""
    return wait_until
