"""Running ``allcores`` as a program, as a shell would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

COMMAND = [sys.executable, "-m", "allcores"]


def allcores(
    *arguments: str,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    stdin: str | bytes | None = None,
    environment: dict[str, str] | None = None,
    umask: int = -1,
    preexec_fn: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        stdout=stdout,
        stderr=stderr,
        env={**os.environ, **(environment or {})},
        timeout=50,
        check=False,
        umask=umask,
        preexec_fn=preexec_fn,
    )
    output, errors = (
        None if data is None else data.decode("utf-8", "surrogateescape") for data in (done.stdout, done.stderr)
    )
    return subprocess.CompletedProcess(done.args, done.returncode, output or "", errors or "")


def make(name: str | bytes, content: str | bytes = "line\n") -> None:
    """Write a file, and make its folder."""
    folder = os.path.dirname(name)
    if folder:
        os.makedirs(folder, exist_ok=True)
    with open(name, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def without_time(output: str) -> list[str]:
    """The lines of an output, but for the one that is never the same."""
    return [line for line in output.splitlines() if not line.startswith("time: ")]
