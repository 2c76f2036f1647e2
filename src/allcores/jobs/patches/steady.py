"""Keeping OpenCV's results the same from one machine to another."""

from __future__ import annotations

from types import TracebackType

import cv2

__all__ = ["WithoutIPP"]


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
