"""Telling of errors that are nobody's outcome, such as a callback's."""

from __future__ import annotations

import sys

__all__ = ["complain"]


def complain(text: str, *arguments: object) -> None:
    """Log the exception that is being handled, to the logger ``allcores``.

    Args:
        text: what went wrong, with ``%``-placeholders.
        arguments: what to put into them.
    """
    try:
        import logging

        logging.getLogger("allcores").exception(text, *arguments)
    except BaseException:  # the program's logging fails, and must not take the pool along
        try:
            import traceback

            traceback.print_exc(file=sys.__stderr__)
        except Exception:
            pass
