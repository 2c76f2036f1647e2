"""OpenCV's settings: the same results on every machine, no threads and no words of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import cv2

__all__ = ["WithoutIPP", "subdue", "subdued"]


class WithoutIPP:
    """While entered, OpenCV does not use Intel's IPP in this thread; then again as it did before.

    Which of OpenCV's functions go through IPP, and with what rounding, depends on the wheel and the processor.
    """

    def __enter__(self) -> None:
        self._before = cv2.ipp.useIPP()
        cv2.ipp.setUseIPP(False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cv2.ipp.setUseIPP(self._before)


def subdue(threads: int = 1, log_level: int = 0) -> tuple[int, int]:
    """Keep OpenCV from starting threads in each of ours, and from writing what failures say anyway.

    Both settings are the process's.

    Returns:
        What they were, as arguments of this function.
    """
    # Older versions have the latter elsewhere, or not at all.
    log = getattr(getattr(cv2, "utils", None), "logging", cv2)
    get_level, set_level = (getattr(log, name, lambda *_: 0) for name in ("getLogLevel", "setLogLevel"))
    before = cv2.getNumThreads(), get_level()
    cv2.setNumThreads(threads)
    set_level(log_level)
    return before


@contextmanager
def subdued() -> Iterator[None]:
    """`subdue` OpenCV, and then leave it as it was before."""
    before = subdue()
    try:
        yield
    finally:
        subdue(*before)
