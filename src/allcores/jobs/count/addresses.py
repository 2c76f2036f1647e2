"""Telling addresses of remote files from paths, without importing what opens them."""

from __future__ import annotations

import os
import re

__all__ = ["is_address"]

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_address(path: str) -> bool:
    """Whether fsspec is to open it: it has a scheme, and no file here has that name."""
    return _ADDRESS.match(path) is not None and not os.path.lexists(path)
