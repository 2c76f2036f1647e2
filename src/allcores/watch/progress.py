"""Progress bars that count completed tasks."""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["progress_bar"]


def progress_bar(total: int | None, wanted: Any, name: str) -> tuple[Callable[[int], None], Callable[[], None]]:
    """Show a bar, in a terminal or a notebook.

    Args:
        total: how many tasks there are; None while that is not known.
        wanted: True for an ordinary bar, or a dict of options for tqdm.
        name: what stands before the bar.

    Returns:
        What to call with each number of tasks that are done, and what to call at the end.
    """
    from tqdm.auto import tqdm

    options = {"desc": name, "unit": "task", **(wanted if isinstance(wanted, dict) else {})}
    bar = tqdm(total=total, **options)

    def advance(count: int) -> None:
        bar.update(count)

    return advance, bar.close
