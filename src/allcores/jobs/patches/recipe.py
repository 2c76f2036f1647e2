"""What is cut out of an image, and how: the options that the patches themselves depend on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import RecipeError

__all__ = ["CHANNEL_AXES", "EDGES", "MAX_PIXELS", "MODES", "Recipe", "modes_of"]

MODES = range(8)
"""Augmentations: mode 2k + f rotates by k quarter turns counter-clockwise, then reverses the rows if f is 1."""

MAX_PIXELS = 178_956_970
"""What Pillow, too, takes for an attempt to exhaust the memory."""

EDGES = ("drop", "shift", "pad")
CHANNEL_AXES = ("none", "last", "first")


@dataclass(frozen=True)
class Recipe:
    """How patches are cut.

    Attributes:
        patch: length of a patch's sides, in pixels.
        stride: pixels from one patch to the next, both ways.
        scales: an image of h × w pixels is scaled to ``int(h * scale)`` × ``int(w * scale)`` for each of them.
        modes: the augmentations that each window is given; None for random ones.
        times: how many random augmentations each window is given.
        color: red, green and blue instead of grey.
        depth: bits of a sample, 8 or 16.
        edge: what becomes of pixels at the right and the bottom that the grid does not reach: ``"drop"`` leaves them
            out, ``"shift"`` adds a window that ends with the image, ``"pad"`` mirrors the image until the grid fits.
        min_std: windows with a smaller standard deviation, in levels of the output, are skipped.
        seed: what random augmentations depend on, together with an image's name and a patch's number.
        factor: how many times smaller the partners of pairs are; 0 where there are no pairs.
        channel_axis: where in a patch's shape the colours are: ``"none"`` for grey without such an axis, ``"last"`` or
            ``"first"``.
        max_pixels: an image that has more, at its largest scale, is refused: few bytes can stand for very many pixels.

    Raises:
        RecipeError: naming the option that cannot be, and what could.
    """

    patch: int = 40
    stride: int = 10
    scales: tuple[float, ...] = (1.0, 0.9, 0.8, 0.7)
    modes: tuple[int, ...] | None = None
    times: int = 1
    color: bool = False
    depth: int = 8
    edge: str = "drop"
    min_std: float = 0.0
    seed: int = 0
    factor: int = 0
    channel_axis: str = "none"
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        for name in ("patch", "stride", "times", "max_pixels"):
            _whole(name, getattr(self, name), least=1)
        _whole("factor", self.factor, least=0)
        _whole("seed", self.seed, least=None)
        _require(bool(self.scales), "scales must name at least one scale")
        for scale in self.scales:
            sound = not isinstance(scale, bool) and math.isfinite(scale) and 0 < scale <= 100
            _require(sound, f"a scale must be above 0 and at most 100, not {scale!r}")
        _require(self.depth in (8, 16), f"depth must be 8 or 16 bits, not {self.depth!r}")
        _require(self.edge in EDGES, f"edge must be one of {', '.join(EDGES)}, not {self.edge!r}")
        _require(math.isfinite(self.min_std) and self.min_std >= 0, f"min_std must be 0 or more, not {self.min_std!r}")
        axes = CHANNEL_AXES[1:] if self.color else CHANNEL_AXES
        _require(self.channel_axis in axes, f"channel_axis must be {' or '.join(axes)}, not {self.channel_axis!r}")
        if self.modes is not None:
            _require(bool(self.modes), "augment must name at least one mode")
            for mode in self.modes:
                _require(mode in MODES, f"an augmentation is a number from 0 to 7, not {mode!r}")
            _require(len(set(self.modes)) == len(self.modes), "an augmentation is named twice")
            _require(self.times == 1, "times is for random augmentations only: without, every copy would be the same")
        if self.factor:
            self._check_pairs()

    def _check_pairs(self) -> None:
        for name, length in (("patch", self.patch), ("stride", self.stride)):
            aligned = length % self.factor == 0
            _require(aligned, f"{name} must be a multiple of the scale factor {self.factor}, not {length}")
        scalable = self.factor == 1 or self.scales == (1.0,)
        _require(scalable, "pairs of different sizes cannot be scaled and stay aligned: let scales be 1")

    @property
    def copies(self) -> int:
        """How many patches a window gives."""
        return self.times if self.modes is None else len(self.modes)

    @property
    def sides(self) -> tuple[int, ...]:
        """The sides of a patch, and of its partner where there are pairs."""
        return (self.patch, self.patch // self.factor) if self.factor else (self.patch,)

    @property
    def channels(self) -> int:
        """How many samples a pixel has."""
        return 3 if self.color else 1

    def shape(self, side: int) -> tuple[int, ...]:
        """The shape of a patch with sides of so many pixels."""
        axis = self.channel_axis
        before, after = (self.channels,) * (axis == "first"), (self.channels,) * (axis == "last")
        return (*before, side, side, *after)

    @property
    def window_bytes(self) -> int:
        """What a window takes up before it is copied: a patch, and its partner if there are pairs."""
        return sum(side * side for side in self.sides) * self.channels * self.depth // 8

    @property
    def dtype(self) -> str:
        """The type of a sample, as NumPy calls it."""
        return f"uint{self.depth}"


def modes_of(augment: str | Iterable[int]) -> tuple[int, ...] | None:
    """What `Recipe.modes` is for ``"none"``, ``"random"``, ``"all"``, ``"0,3,5"`` or a list of numbers.

    Raises:
        RecipeError: it is none of these.
    """
    words = {"none": (0,), "random": None, "all": tuple(MODES)}
    if not isinstance(augment, str):
        return tuple(augment)
    if augment in words:
        return words[augment]
    try:
        return tuple(int(mode) for mode in augment.split(","))
    except ValueError:
        raise RecipeError(f"augment must be none, random, all, or modes such as 0,3,5; not {augment!r}") from None


def _whole(name: str, value: object, least: int | None) -> None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    bound = "" if least is None else f" from {least}"
    _require(
        is_whole and (least is None or value >= least),  # type: ignore[operator]
        f"{name} must be a whole number{bound}, not {value!r}",
    )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RecipeError(message)
