"""The logging handler of a worker."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable

from allcores.engine.channel import LOG

__all__ = ["Forwarder"]


class Forwarder(logging.Handler):
    """Sends records to the program, whose handlers deal with them."""

    def __init__(self, send: Callable[[int, bytes], bool]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            attributes = dict(record.__dict__)
            attributes["msg"] = record.getMessage()
            attributes["args"] = None
            if record.exc_info:
                attributes["exc_text"] = logging.Formatter().formatException(record.exc_info)
                attributes["exc_info"] = None
            try:
                body = pickle.dumps(attributes)
            except Exception:
                body = pickle.dumps({name: _picklable(value) for name, value in attributes.items()})
            if not self._send(LOG, body) and logging.lastResort is not None:
                logging.lastResort.handle(record)
        except Exception:
            self.handleError(record)


def _picklable(value: object) -> object:
    try:
        pickle.dumps(value)
    except Exception:
        return repr(value)
    return value
