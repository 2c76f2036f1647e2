"""The storm's wind: kills workers of another process, at random, until that process is gone or says stop."""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import psutil

_SIGNALS = {
    signal.SIGKILL: 50,
    signal.SIGSEGV: 15,
    signal.SIGABRT: 10,
    signal.SIGTERM: 15,
    signal.SIGBUS: 5,
    signal.SIGSTOP: 1,
}


def main(parent: int, seed: int, pause: float, ready: str) -> None:
    """Kill.

    Args:
        parent: whose workers.
        seed: of the random choices.
        pause: seconds between two kills, on average.
        ready: a file; the wind blows as long as it exists.
    """
    chance = random.Random(seed)
    program = psutil.Process(parent)
    killed = 0
    while os.path.exists(ready) and program.is_running():
        time.sleep(chance.expovariate(1 / pause))
        try:
            templates = [child for child in program.children() if "template_main" in " ".join(child.cmdline())]
            if templates and chance.random() < 0.01:
                templates[0].send_signal(signal.SIGKILL)
                continue
            workers = [worker for template in templates for worker in template.children()]
            if workers:
                chosen = chance.choices(list(_SIGNALS), list(_SIGNALS.values()))[0]
                chance.choice(workers).send_signal(chosen)
                killed += 1
        except psutil.Error:
            continue
    print(f"killed {killed}", file=sys.stderr)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
