"""Telling of errors that are nobody's outcome, such as a callback's."""

from __future__ import annotations

import logging
import sys
import traceback

__all__ = ["complain"]

_log = logging.getLogger("allcores")


def complain(text: str, *arguments: object) -> None:
    """Log the exception that is being handled, to the logger ``allcores``.

    Args:
        text: what went wrong, with ``%``-placeholders.
        arguments: what to put into them.
    """
    try:
        _log.exception(text, *arguments)
    except BaseException:  # the program's logging fails, and must not take the pool along
        try:
            traceback.print_exc(file=sys.__stderr__)
        except Exception:
            pass
