"""`make_patches`: the job as a function."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from types import TracebackType
from typing import TYPE_CHECKING

from .errors import RecipeError
from .formats import ENCODED_FORMATS, format_of
from .pairs import Match, match_pairs, without_pairs
from .recipe import MAX_PIXELS, Recipe, modes_of
from .requirements import require
from .settings import JOURNAL, PART, Settings
from .sources import DEFAULT_INCLUDE, Sources
from .summary import Failure, Summary

if TYPE_CHECKING:
    from .plan import Plan

__all__ = ["make_patches"]

_PAPER_SCALES = (1.0, 0.9, 0.8, 0.7)

_Path = str | os.PathLike[str]


def make_patches(
    sources: _Path | Iterable[_Path],
    target: _Path,
    *,
    format: str | None = None,
    patch: int = 40,
    stride: int = 10,
    scales: Iterable[float] | None = None,
    augment: str | Iterable[int] = "random",
    times: int = 1,
    seed: int = 0,
    color: bool = False,
    depth: int = 8,
    edge: str = "drop",
    min_std: float = 0.0,
    channel_axis: str | None = None,
    pairs: _Path | None = None,
    scale_factor: int = 1,
    include: Iterable[str] = DEFAULT_INCLUDE,
    hidden: bool = False,
    max_pixels: int = MAX_PIXELS,
    on_error: str = "skip",
    trim_to: int = 1,
    chunk: int | None = None,
    manifest: _Path | None = None,
    preview: _Path | None = None,
    resume: bool = False,
    durable: bool = False,
    dry_run: bool = False,
    processes: int | None = None,
    engine: str = "threads",
    progress: bool = False,
    on_failure: Callable[[Failure], object] | None = None,
) -> Summary:
    """Cut training patches out of images, on all cores.

        summary = make_patches("Train400", "train.npy", augment="none")
        patches = numpy.load("train.npy", mmap_mode="r")   # (238400, 40, 40), uint8

    The defaults are those of the DnCNN paper (Zhang et al., "Beyond a Gaussian denoiser", IEEE TIP 2017). The output
    holds the same bytes for any number of workers, and is there whole or not at all. Patches come image by image
    (sorted by the bytes of their names), scale by scale, row by row.

    Args:
        sources: an image, a folder that is looked through to the bottom, or several of these.
        target: the output. The ending of its name says the format: ``.npy``, ``.zarr``, ``.h5`` or ``.hdf5``.
        format: ``"npy"``, ``"zarr"``, ``"hdf5"``, ``"webdataset"`` (a folder of tar archives) or ``"png"`` (a folder of
            PNG files); left out, the ending says it.
        patch: length of a patch's sides, in pixels.
        stride: pixels from one patch to the next.
        scales: an image of h × w pixels is scaled to ``int(h * scale)`` × ``int(w * scale)``, bicubic, for each of
            them; left out, 1, 0.9, 0.8 and 0.7, and only 1 where pairs differ in size.
        augment: ``"none"``, ``"random"`` (one of the eight modes for each patch), ``"all"`` (all eight), or modes such
            as ``"0,3,5"`` or ``[0, 3, 5]``. Mode 2k + f rotates by k quarter turns counter-clockwise, then reverses
            the rows if f is 1.
        times: how many random augmentations each window is given.
        seed: what random augmentations depend on, together with the image's name and the patch's number in it.
        color: red, green and blue, in this order, instead of grey levels.
        depth: bits of a sample, 8 or 16.
        edge: what becomes of pixels at the right and the bottom that the grid does not reach: ``"drop"`` leaves them
            out, ``"shift"`` adds windows that end with the image, ``"pad"`` mirrors the image until the grid fits.
        min_std: windows whose standard deviation is smaller, in levels of the output, are skipped.
        channel_axis: where the colours are in the shape of arrays: ``"none"`` for grey without such an axis, ``"last"``
            or ``"first"``; left out, ``"last"`` with colours.
        pairs: a folder with a partner for each image (degraded, or smaller), from which patches are cut alike.
        scale_factor: how many times smaller partners are.
        include: shell patterns for the names of files below folders, capitals or not; one match is enough.
        hidden: whether to take names below folders that begin with a dot.
        max_pixels: an image that has more, at its largest scale, counts as one that cannot be read.
        on_error: ``"skip"`` goes on without an image that cannot be read, ``"stop"`` ends the run.
        trim_to: leave out patches at the end until their number is a multiple of this.
        chunk: rows of a chunk of Zarr and HDF5, patches of an archive of WebDataset; left out, a number that suits.
        manifest: a file, ``.csv`` or ``.parquet``, that gets each patch's origin.
        preview: an image file that gets a contact sheet.
        resume: go on where an interrupted run of the same kind has ended; and if this one is interrupted, leave what is
            done for the next. A run that was killed can be resumed in any case.
        durable: wait until the output is on the disk before it gets its name, so that it is whole or not there also
            after the machine has lost its power. That may take longer than the rest.
        dry_run: only count; the summary then has what the headers promise.
        processes: how many workers; left out, one a core.
        engine: ``"threads"``, or ``"processes"``, which survive a crash of the decoder.
        progress: whether to show a bar on standard error.
        on_failure: called with each file that gives no patches.

    Returns:
        What was made, and what was not.

    Raises:
        RecipeError: an argument that cannot be, or not together with others (a `ValueError`).
        SourceError: a source that does not exist (a `ValueError`).
        MissingPackage: a package that the job or the output needs is not installed (an `ImportError`).
        OutputError: the output cannot be written.
        ResultFileError: the manifest or the preview cannot be.
        ImageError: with ``on_error="stop"``, the first image that cannot be read.
        NoPatches: there is not one patch; nothing was written.
    """
    target = os.fspath(target)
    settings = Settings(
        target=target,
        format=format_of(target, format),
        on_error=on_error,
        trim_to=trim_to,
        chunk=chunk,
        manifest=None if manifest is None else os.fspath(manifest),
        preview=None if preview is None else os.fspath(preview),
        resume=resume,
        durable=durable,
        processes=processes,
        engine=engine,
    )
    if channel_axis is not None and settings.format in ENCODED_FORMATS:
        raise RecipeError(f"channel_axis is for arrays; {settings.format} has none")
    if pairs is None and scale_factor != 1:
        raise RecipeError("scale_factor is for pairs only")
    recipe = Recipe(
        patch=patch,
        stride=stride,
        scales=tuple(scales if scales is not None else (1.0,) if scale_factor > 1 else _PAPER_SCALES),
        modes=modes_of(augment),
        times=times,
        color=color,
        depth=depth,
        edge=edge,
        min_std=min_std,
        seed=seed,
        factor=0 if pairs is None else scale_factor,
        channel_axis=channel_axis or ("last" if color else "none"),
        max_pixels=max_pixels,
    )
    require("Cutting patches", "images", "numpy", "cv2", "PIL")
    from .job import Job
    from .plan import make_plan

    summary = Summary()
    plan = make_plan(_matches(sources, pairs, scale_factor, include, hidden, settings, summary), recipe)
    if dry_run:
        return _promised(plan, summary)
    with _Bar(plan.patches, progress, on_failure) as bar:
        return Job(plan, settings, summary, bar.advance).run()


def _matches(
    sources: _Path | Iterable[_Path],
    pairs: _Path | None,
    factor: int,
    include: Iterable[str],
    hidden: bool,
    settings: Settings,
    summary: Summary,
) -> list[Match]:
    """The images, with their partners if there are pairs; what is left out goes into the summary."""
    own = [path for path in (settings.target, settings.manifest, settings.preview) if path is not None]
    exclude = [*own, *(path + ending for path in own for ending in (PART, JOURNAL))]
    include = tuple(include)
    paths = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    images = Sources(paths, include=include, hidden=hidden, exclude=exclude)
    partners = Sources([] if pairs is None else [pairs], include=include, hidden=hidden, exclude=exclude)
    matches = without_pairs(images) if pairs is None else match_pairs(images, partners, factor, os.fspath(pairs))
    for each in (images, partners):
        summary.left_out.update(each.left_out)
        summary.unmatched += each.unmatched
        matches += [Match(folder, (folder,), reason) for folder, reason in each.unlisted]
    return matches


def _promised(plan: Plan, summary: Summary) -> Summary:
    """What headers promise; files that fail already are named, the others may fail yet."""
    recipe = plan.recipe
    for image in plan.images:
        if image.error is not None:
            summary.failures.append(Failure(image.paths[0], image.error))
        elif image.patches:
            summary.images += 1
    summary.patches, summary.dtype, summary.shape = plan.patches, recipe.dtype, recipe.shape(recipe.patch)
    return summary


class _Bar:
    """The progress bar, if one is wanted, and what is said beside it."""

    def __init__(self, patches: int, wanted: bool, on_failure: Callable[[Failure], object] | None) -> None:
        self._on_failure = on_failure
        self._bar = None
        if wanted:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=patches, desc="cutting", unit=" patches", unit_scale=True, leave=False)

    def advance(self, patches: int, failure: Failure | None) -> None:
        """An image is through that has promised so many patches."""
        if failure is not None and self._on_failure is not None:
            with self._bar.external_write_mode() if self._bar is not None else nullcontext():
                self._on_failure(failure)
        if self._bar is not None:
            self._bar.update(patches)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
