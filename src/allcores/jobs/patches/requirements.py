"""Packages that only some people need: looked for when they are, and named with the way to get them."""

from __future__ import annotations

from importlib.util import find_spec

from .errors import MissingPackage

__all__ = ["require"]


# What pip calls the packages whose modules have other names.
_DISTRIBUTIONS = {"cv2": "opencv-python-headless", "PIL": "pillow"}


def require(purpose: str, extra: str, *modules: str) -> None:
    """See to it that modules can be imported, without importing them.

    Args:
        purpose: what needs them, as the subject of a sentence.
        extra: the extra of allcores that brings them.
        modules: names of top-level modules.

    Raises:
        MissingPackage: some are not installed.
    """
    missing = [_DISTRIBUTIONS.get(name, name) for name in modules if find_spec(name) is None]
    if missing:
        raise MissingPackage(f"{purpose} needs {' and '.join(missing)}: pip install 'allcores[{extra}]'")
