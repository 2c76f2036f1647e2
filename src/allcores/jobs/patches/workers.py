"""Where bundles are cut: in this thread, in threads, or in processes.

Nearly all of the work is done in OpenCV, NumPy and the system, which let go of Python's lock meanwhile. So threads are
as quick as processes, start at once and share one copy of the libraries: they are the default. Sixteen processes take
up 260 MB, sixteen threads not much more than one. (With very many workers and very small images the rest of the work,
some tenths of a millisecond an image, will make threads wait for each other; on two cores that does not show.)

A thread that crashes, in a decoder that a damaged file has led astray, takes the program with it: nobody should cut
images from strangers in threads. A process that dies costs that image only: the images of its bundle are tried one by
one, and then the others are cut.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

from allcores.cpu import cpu_count
from allcores.errors import WorkerDied

from .journal import Record
from .plan import Bundle, PlannedImage
from .steady import subdued
from .work import Work, keep_memory, prepare

if TYPE_CHECKING:
    from allcores.pool import Pool

__all__ = ["cut_bundles", "is_death"]

_DEATH = "not cut: "


def cut_bundles(
    work: Work, bundles: Sequence[Bundle], *, processes: int | None, engine: str
) -> Generator[list[Record], None, None]:
    """Cut bundles; yields the records of each, in order.

    Args:
        work: the workers' task.
        bundles: what to cut.
        processes: how many workers; None for one a core.
        engine: what they are: ``"threads"`` or ``"processes"``.
    """
    workers = max(1, min(processes or cpu_count(), len(bundles)))
    if engine == "threads":
        keep_memory()
        with subdued():
            yield from _cut_in_threads(work, bundles, workers)
    else:
        from allcores.pool import Pool

        with Pool(workers, initializer=prepare, preload=[Work.__module__], name="patches") as pool:
            yield from _cut_in_processes(pool, work, bundles)


def is_death(record: Record) -> bool:
    """Whether it is for want of a worker that an image gave no patches: another run may have more luck."""
    return record.error is not None and record.error.startswith(_DEATH)


def _cut_in_threads(work: Work, bundles: Sequence[Bundle], workers: int) -> Iterator[list[Record]]:
    if workers == 1:
        yield from map(work, bundles)
        return
    from allcores.pool import Pool

    with Pool(workers, engine="threads", name="patches") as pool:
        yield from pool.imap(work, bundles)


def _cut_in_processes(pool: Pool, work: Work, bundles: Sequence[Bundle]) -> Iterator[list[Record]]:
    results = pool.imap(work, bundles)
    for bundle in bundles:
        try:
            records = next(results)
        except WorkerDied:
            records = _cut_survivors(pool, work, bundle)
        yield records


def _cut_survivors(pool: Pool, work: Work, bundle: Bundle) -> list[Record]:
    """Cut a bundle on which a worker has died, without the images that kill."""
    records: dict[int, Record] = {}
    survivors: list[PlannedImage] = []
    for image in bundle.images:
        try:
            pool.apply(work.rehearse, (image,))
            survivors.append(image)
        except WorkerDied as death:
            records[image.number] = _epitaph(image, death)
    try:
        cut = pool.apply(work, (Bundle(bundle.number, survivors),))
    except WorkerDied as death:
        cut = [_epitaph(image, death) for image in survivors]
    records.update((record.number, record) for record in cut)
    return [records[image.number] for image in bundle.images]


def _epitaph(image: PlannedImage, death: WorkerDied) -> Record:
    return Record(image.number, error=_DEATH + str(death).partition("\n")[0])
