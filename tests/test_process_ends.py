"""How a `Process` ends, of itself, by others, and with its parent."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from allcores import Process, WorkerDied
from process_tasks import (
    ENDS,
    METHODS,
    PATHS,
    SOON,
    each_method,
    end,
    run_program,
    start_family,
    started,
)

pytestmark = pytest.mark.timeout(90)

WaitUntil = Callable[..., None]


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# How it ends


@pytest.mark.parametrize(
    ("method", "how"),
    [*((method, how) for method in ("fork", "forkserver") for how in ENDS), ("spawn", "exit(3)"), ("spawn", "SIGKILL")],
)
def test_exit_codes(method: str, how: str, capfd: pytest.CaptureFixture[str]) -> None:
    code, error = ENDS[how]
    with started(end, how, method=method) as process:
        outcome = process.exception(SOON)
        process.join(SOON)
        assert process.exitcode == code
        assert error == (None if outcome is None else type(outcome).__name__)
        if isinstance(outcome, WorkerDied):
            assert (outcome.pid, outcome.exitcode, outcome.task) == (process.pid, code, "end")
            assert outcome.signal == (-code if code < 0 else None)
            told = f"{process.name} (pid {process.pid}) "
            told += f"was ended by {how}" if code < 0 else f"exited with code {code}"
            assert str(outcome) == f"{told} before end had come to its end"
    if method == "forkserver":
        return  # it prints where the server did as it was started
    printed = capfd.readouterr().err
    assert ("what it was\n" in printed) == (how == "exit(text)")
    assert ("Traceback" in printed and "KeyError: 'what was raised'" in printed) == (how == "raise")


@each_method
def test_terminate_and_kill(method: str) -> None:
    for name, code in (("terminate", -signal.SIGTERM), ("kill", -signal.SIGKILL)):
        with started(time.sleep, 60, method=method) as process:
            getattr(process, name)()
            process.join(SOON)
            assert process.exitcode == code


@each_method
@pytest.mark.parametrize(("name", "stubborn"), [("terminate", False), ("kill", True)])
def test_the_whole_tree_ends(method: str, name: str, stubborn: bool, tmp_path: Path, wait_until: WaitUntil) -> None:
    path = tmp_path / "family"
    with started(start_family, str(path), stubborn, method=method) as process:
        wait_until(lambda: path.exists() and path.read_text().endswith("\n"), SOON)
        shell = psutil.Process(int(path.read_text().split()[1]))
        wait_until(lambda: len(shell.children()) == 2, SOON)
        family = [shell, *shell.children()]
        getattr(process, name)(tree=True)
        process.join(SOON)
        assert process.exitcode == (-signal.SIGKILL if stubborn else -signal.SIGTERM)
        wait_until(lambda: not any(map(runs, family)), SOON)
        getattr(process, name)(tree=True)  # does no harm now


def test_join_does_not_wait_for_what_the_process_has_forked() -> None:
    def fork() -> int:
        other = os.fork()
        if other == 0:
            time.sleep(3)
            os._exit(0)
        return other

    with started(fork) as process:
        other = process.result(SOON)
        try:
            process.join(SOON)
            assert runs(psutil.Process(other))
            assert process.exitcode == 0
        finally:
            os.kill(other, signal.SIGKILL)


@pytest.mark.parametrize("how", ["waitpid", "ignored"])
def test_a_process_that_somebody_else_has_waited_for_is_over(how: str) -> None:
    old = signal.signal(signal.SIGCHLD, signal.SIG_IGN if how == "ignored" else signal.SIG_DFL)
    try:
        with started(end, "_exit(7)") as process:
            if how == "waitpid":
                os.waitpid(process.pid or 0, 0)
            with pytest.raises(WorkerDied, match="ended, and somebody else was told how") as caught:
                process.result(SOON)
            assert caught.value.exitcode is None
            process.join(SOON)
            assert not process.is_alive()
            assert process not in multiprocessing.active_children()
        with started(end, "return") as process:
            if how == "waitpid":
                os.waitpid(process.pid or 0, 0)
            assert process.result(SOON) == "value"
            process.join(SOON)
    finally:
        signal.signal(signal.SIGCHLD, old)


@each_method
def test_many_threads_are_told_the_same_end(method: str) -> None:
    """The standard class tells one of them that it runs, or that its exit code is 255."""
    for _ in range(5 if method != "spawn" else 1):
        codes: list[Any] = []

        def ask(process: Process, codes: list[Any] = codes) -> None:
            process.join()
            codes.append((process.exitcode, process.is_alive()))

        with started(end, "_exit(7)", method=method) as process:
            threads = [threading.Thread(target=ask, args=(process,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(SOON)
            assert codes == [(7, False)] * 8


# Daemons, and the end of the program

_DAEMONS = """
import allcores, ctypes, os, signal, subprocess, sys, threading, time
def nap(): time.sleep(600)
def hold_the_interpreter(): ctypes.PyDLL(None).sleep(600)
def ignore(): [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; time.sleep(600)
def stop(): os.kill(os.getpid(), signal.SIGSTOP)
processes = []
def start(target, method):
    processes.append(allcores.Process(target=target, daemon=True, context=method))
    processes[-1].start()
for method in METHODS:
    for target in (hold_the_interpreter, ignore, stop):
        start(target, method)
    thread = threading.Thread(target=start, args=(nap, method))
    thread.start()
    thread.join()
print(*(process.pid for process in processes), flush=True)
"""


def test_daemons_are_gone_when_their_parent_was_killed(tmp_path: Path, wait_until: WaitUntil) -> None:
    source = _DAEMONS.replace("METHODS", repr(METHODS)) + "time.sleep(600)\n"
    program = subprocess.Popen([sys.executable, "-c", source], env={**os.environ, "PYTHONPATH": PATHS},
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    daemons: list[psutil.Process] = []
    try:
        assert program.stdout is not None
        daemons = [psutil.Process(int(pid)) for pid in program.stdout.readline().split()]
        assert len(daemons) == 4 * len(METHODS)
        time.sleep(0.5)
        assert all(map(runs, daemons))
        program.kill()
        program.wait()
        wait_until(lambda: not any(map(runs, daemons)), 3)
        program.stdout.read()  # comes to its end: nobody holds the pipe
    finally:
        for process in (program, *daemons):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        program.communicate()


def test_what_daemons_have_started_as_daemons_goes_with_them(tmp_path: Path, wait_until: WaitUntil) -> None:
    """A process without a parent that is a daemon, and a daemon of its own."""
    path = tmp_path / "pids"

    def outer() -> None:
        inner = Process(target=time.sleep, args=(600,), daemon=True)
        inner.start()
        path.write_text(f"{inner.pid}\n")
        time.sleep(600)

    with started(outer) as process:
        wait_until(lambda: path.exists() and path.read_text().endswith("\n"), SOON)
        inner = psutil.Process(int(path.read_text()))
        assert runs(inner)
        process.kill()
        process.join()
        wait_until(lambda: not runs(inner), 3)


def test_daemons_stay_while_their_parent_has_dropped_them(wait_until: WaitUntil) -> None:
    reading, writing = multiprocessing.Pipe(duplex=False)
    process = Process(target=lambda: (time.sleep(0.3), writing.send("alive")), daemon=True, context="fork")
    process.start()
    del process
    gc.collect()
    with reading, writing:
        assert reading.poll(SOON)
        assert reading.recv() == "alive"
    wait_until(lambda: not multiprocessing.active_children(), SOON)


def test_a_program_joins_its_processes_and_ends_its_daemons(tmp_path: Path) -> None:
    done = run_program(
        """
import allcores, os, time
def slow(): time.sleep(0.3); print("came to its end")
for method in ("fork", "forkserver", "spawn"):
    allcores.Process(target=slow, context=method).start()
    allcores.Process(target=time.sleep, args=(600,), context=method, daemon=True).start()
""",
        tmp_path,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "came to its end\n" * 3)


@pytest.mark.parametrize("waiting", ["process.join()", "process.result()", "asyncio.run(wait(process))"])
def test_ctrl_c_ends_the_program_and_its_processes(waiting: str) -> None:
    source = f"""
import allcores, asyncio, os, sys, time
async def wait(process): return await process
def nap():
    print(os.getpid(), flush=True)
    time.sleep(600)
process = allcores.Process(target=nap)
process.start()
{waiting}
"""
    program = subprocess.Popen(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": PATHS},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert program.stdout is not None
    daemon = psutil.Process(int(program.stdout.readline()))
    time.sleep(0.2)
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does
    _, errors = program.communicate(timeout=SOON)
    assert program.returncode in (-signal.SIGINT, 130, 1)
    assert "KeyboardInterrupt" in errors
    assert not runs(daemon)
