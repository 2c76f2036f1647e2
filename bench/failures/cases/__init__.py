"""The cases: each makes a library fail in one way, and says what became of it.

A case gets a library, not opened, and a folder of its own. It returns ``(right, text)``: whether all that can be
saved was saved, and in a few words what happened. What never returns is a hang; what raises is told by its type.
"""

import time
import traceback

from bench.failures.cases import locks, pools
from bench.failures.cases.base import ENDS, INTERRUPTED, KILLED
from bench.failures.libraries import NotOffered

__all__ = ["ALL", "BY_NAME", "ENDS", "INTERRUPTED", "KILLED", "run"]

ALL = (*pools.CASES, *locks.CASES)
BY_NAME = {one.name: one for one in ALL}


def run(name, library, folder):
    """Run a case here; the outcome as plain data."""
    began = time.monotonic()
    try:
        right, text = BY_NAME[name].run(library, folder) or (True, "ended")
    except NotOffered:
        return {"status": "not offered", "right": False, "text": "not offered", "seconds": 0.0}
    except Exception as error:
        right, text = False, type(error).__name__
        traceback.print_exc()
    return {"status": "ended", "right": bool(right), "text": text, "seconds": time.monotonic() - began}
