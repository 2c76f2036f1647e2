"""Which code counts UTF-8: the native kernel where it was compiled, else its twin in Python.

Both are modules with the same functions and the same results; `_native.pyi` describes them. The environment
variable ``ALLCORES_COUNT_KERNEL`` forces a choice: ``python``, or one of the native kernel's ways, ``avx2`` and
``plain``; ``auto`` or nothing takes the fastest there is.
"""

from __future__ import annotations

import os
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["BLOCK_SIZE", "kernel", "kernel_name", "releases_lock"]

# Bytes read at a time. From 128 to 512 KiB all measured alike; below, calls cost; above, caches overflow.
BLOCK_SIZE = 256 * 1024


def _choose(wanted: str) -> tuple[ModuleType, str]:
    if wanted not in ("auto", "python", "avx2", "plain"):
        raise ValueError(f"ALLCORES_COUNT_KERNEL must be auto, python, avx2 or plain, not {wanted!r}")
    if wanted != "python":
        try:
            native = import_module(f"{__package__}._native")
        except ImportError:
            if wanted != "auto":
                raise
        else:
            if wanted != "auto":
                native.use_way(wanted)
            return native, wanted if wanted != "auto" else native.available_ways()[0]
    from . import twin

    return twin, "python"


kernel, kernel_name = _choose(os.environ.get("ALLCORES_COUNT_KERNEL") or "auto")

# Whether files are counted while other threads run Python.
releases_lock = kernel_name != "python"
