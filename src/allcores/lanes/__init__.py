"""Lanes: where work runs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from allcores.engine.lane import Hook, Lanes

__all__ = ["ENGINES", "make_lanes"]

ENGINES = ("processes", "threads", "serial")


def make_lanes(
    engine: str,
    *,
    name: str,
    initializer: Hook | None,
    finalizer: Hook | None,
    preload: tuple[str, ...] = (),
    context: Any = None,
) -> Lanes:
    """The lanes of an engine.

    Args:
        engine: one of `ENGINES`.
        name: what workers are called after.
        initializer: function and arguments to be called in each worker first, or None.
        finalizer: function and arguments to be called in each worker last, or None.
        preload: modules to import before workers start.
        context: a context of `multiprocessing`, or None.

    Raises:
        TypeError, ValueError: for an engine or context that there is not.
    """
    if engine == "threads":
        from allcores.lanes.threads import ThreadLanes

        return ThreadLanes(name, initializer, finalizer)
    if engine == "serial":
        from allcores.lanes.serial import SerialLanes

        return SerialLanes(initializer, finalizer)
    if engine != "processes":
        raise ValueError(f"engine must be one of {', '.join(map(repr, ENGINES))}, not {engine!r}")

    from allcores.lanes.processes import ProcessLanes
    from allcores.lanes.start import make_starter

    return ProcessLanes(make_starter(context, preload), name, initializer, finalizer)
