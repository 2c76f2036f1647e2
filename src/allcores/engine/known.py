"""What a worker has been given: functions, shared objects, the main module's globals, large buffers."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pickle import loads

from allcores.engine.citizenship import Reporting
from allcores.engine.shared import Unavailable, objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.engine.by_value import MainState
    from allcores.engine.out_of_band import OutOfBand
    from allcores.engine.parcels import Parcel

__all__ = ["Known"]


class Known:
    """Loads what comes, and remembers what has come.

    Attributes:
        functions: functions and shared objects, by number.
        columns: by function number, the column that its last results would fit; see `channel.COLUMNS`.
        mains: by function number, the main module's globals that it came with.
        reporting: how warnings are to be filtered.

    Args:
        side: the socket for descriptors of large buffers.
    """

    def __init__(self, side: socket.socket) -> None:
        self._side = side
        self._out_of_band: OutOfBand | None = None
        self.functions: dict[int, Callable[..., Any]] = objects
        self.columns: dict[int, int] = {}
        self.mains: dict[int, MainState] = {}
        self.reporting: Reporting | None = None
        self._main = 0  # the function whose globals were put in place last
        self._came: dict[str, Any] = {}  # globals that have been put there since

    def introduce(self, introduced: list[tuple[int, Any]]) -> None:
        """Unpickle functions and shared objects; one that cannot be raises the reason for each task."""
        for number, blob in introduced:
            self._take_main()
            try:
                self.functions[number] = self.load(blob)
            except BaseException as error:
                self.functions[number] = Unavailable(error)
            if self.reporting is not None and self.reporting.filters:
                self.reporting.catch_up()  # with what loading it has imported
            main = self._take_main()
            if main is not None:
                self.mains[number] = main
                self._main = number

    def forget(self, numbers: list[int]) -> None:
        """These functions and shared objects will not be used again."""
        for number in numbers:
            self.functions.pop(number, None)
            self.columns.pop(number, None)
            self.mains.pop(number, None)

    def _take_main(self) -> MainState | None:
        """The globals of the main module that have come with what was loaded last; they are in place."""
        by_value: Any = sys.modules.get("allcores.engine.by_value")
        if by_value is None:
            return None
        self._came = by_value.came
        main: MainState | None = by_value.MainState.taken()
        if main is not None:
            self._main = 0
        return main

    def restore_main(self, function_id: int) -> None:
        """Let a function find the main module as it was when it was sent, whatever has come since."""
        if self._main == function_id and not self._came:
            return
        self._take_main()
        main = self.mains.get(function_id)
        if main is not None:
            main.restore()
            self._main = function_id

    def load(self, blob: Any) -> Any:
        """Unpickle a pickle, or what stands for a parcel."""
        return loads(blob) if type(blob) is bytes else self.apart.open(blob)()

    @property
    def apart(self) -> OutOfBand:
        """The large buffers of the channel."""
        if self._out_of_band is None:
            from allcores.engine.out_of_band import OutOfBand
            from allcores.engine.segments import Segments

            self._out_of_band = OutOfBand(self._side, Segments())
        return self._out_of_band

    def send_apart(self, parcel: Parcel) -> Any:
        """Send what is large of a result; returns what stands for it on the wire."""
        return self.apart.pack(parcel)

    def notice(self) -> bytes:
        """What the parent should know about large buffers by now; empty for nothing."""
        return self._out_of_band.notice() if self._out_of_band is not None else b""
