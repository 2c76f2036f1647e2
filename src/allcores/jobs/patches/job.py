"""The job: plan, allocate, let workers cut and write, settle what headers did not keep, finish, commit.

    Sources -> make_plan -> Output.create -> Pool.imap(Work) -> records -> settle -> trim -> manifest -> commit
    (headers)               (sparse)         (workers write)    (journal)  (mostly nothing to do)

The parent sees no patch: workers write them where the plan says, and report a few bytes for each image. Images come
out in the order of the plan, whatever the order in which workers finish. A worker that dies costs the image that it
was cutting: its bundle is cut again, image by image.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing

from .errors import ImageError, NoPatches, OutputError
from .formats import ENCODED_FORMATS
from .journal import Journal, Record
from .outputs import make_output
from .outputs.base import Share
from .outputs.rows import RowOutput
from .plan import Plan, PlannedImage
from .settings import JOURNAL, Settings
from .settle import is_settled, settle
from .summary import Failure, Summary
from .work import Work
from .workers import cut_bundles, is_death

__all__ = ["Job"]

# Some milliseconds of work: enough that handing out tasks costs nothing, little enough to share them out evenly.
_BUNDLE_BYTES = 4 << 20
_ENCODED_BUNDLE_BYTES = 1 << 20  # a PNG of a small patch takes some ten times as long as the patch itself
# How many patches an archive has, unless told otherwise; its last image may bring some more.
_SHARD_PATCHES = 10_000
_PATIENCE = 5.0  # seconds that a stopped thread may take to finish its block


class Job:
    """One run.

    Args:
        plan: what there is to cut.
        settings: where to, and how.
        summary: to be completed.
        on_image: called with each image's share of the promised patches when it is through, and with the failure, if it
            is one; in the order of the images.

    Raises:
        OutputError: the target cannot be written, or must not be replaced.
    """

    def __init__(
        self, plan: Plan, settings: Settings, summary: Summary, on_image: Callable[[int, Failure | None], None]
    ) -> None:
        self.plan = plan
        self.settings = settings
        self.summary = summary
        self._on_image = on_image
        self._output = make_output(settings.target, settings.format, plan.recipe, settings.chunk)
        self._output.check()
        self._work = Work(plan.recipe, self._output)
        self._bundles = list(plan.bundles(self._bundle_patches()))

    def run(self) -> Summary:
        """Make the output.

        Raises:
            OutputError: it cannot be written.
            ImageError: an image cannot be cut, and the run was to stop then.
            NoPatches: there is no patch.
        """
        target = os.path.realpath(self.settings.target)
        digest = self.plan.digest(self.settings.format, self.settings.chunk, self._bundle_patches())
        if not os.path.lexists(target + JOURNAL):
            self._check_parts()
        journal = Journal(target + JOURNAL, digest)
        is_over = False
        try:
            self._begin(journal)
            self._make(journal)
            is_over = True
        except (ImageError, NoPatches):
            is_over = True
            raise
        except OSError as error:
            raise OutputError.of(self.settings.target, error) from error
        finally:
            self._work.stop(_PATIENCE)
            is_kept = self.settings.resume and not journal.is_empty and not is_over
            if not is_kept:
                self._output.discard()
            journal.close(remove=not is_kept)
        return self.summary

    def _begin(self, journal: Journal) -> None:
        """Make the parts, or take up those that an interrupted run has left."""
        is_resumed = self.settings.resume and not journal.is_empty and self._is_reopened()
        journal.begin(anew=not is_resumed)
        if not is_resumed:
            self._output.discard()
            self._output.create(self.plan.patches)

    def _is_reopened(self) -> bool:
        try:
            self._output.reopen()
        except (OSError, OutputError, ValueError):
            return False  # somebody has removed it, or it was killed in the middle of being laid out
        return True

    def _check_parts(self) -> None:
        """A part without a journal is not ours."""
        for part in self._output.parts.values():
            if os.path.lexists(part):
                raise OutputError(self.settings.target, f"{part} is in the way, and nothing tells where it comes from")

    def _make(self, journal: Journal) -> None:
        plan, settings = self.plan, self.settings
        records = self._cut_all(journal)
        if isinstance(self._output, RowOutput) and journal.settled is None:
            records = self._settle(self._output, records, journal)
        self._sum_up(records)
        counts = self._trim(records)
        with ExitStack() as beside:
            commits = []
            if settings.manifest:
                from .manifest import manifest_file, origins

                parts = zip(plan.images, records, counts, strict=True)
                found = (origins(image, record, plan.recipe, count) for image, record, count in parts if count)
                commits.append(beside.enter_context(manifest_file(settings.manifest, found)))
            if settings.preview:
                from .preview import preview_file

                sheet = preview_file(settings.preview, plan.images, records, counts, plan.recipe)
                commits.append(beside.enter_context(sheet))
            self._output.commit(settings.durable)
            for commit in commits:
                commit()
        self.summary.paths += [path for path in (settings.manifest, settings.preview) if path]

    def _settle(self, output: RowOutput, records: list[Record], journal: Journal) -> list[Record]:
        """Move rows to where they belong, if headers have promised wrongly."""
        images, copies = self.plan.images, self.plan.recipe.copies
        if is_settled(images, records, copies):
            return records
        journal.forget()
        settled = settle(images, records, output, copies, self._work)
        for image, before, record in zip(images, records, settled, strict=True):
            if record.error is not None and before.error is None:
                self._report(image._replace(patches=0), record)
        if not any(map(is_death, settled)):
            journal.settle(settled)
        return settled

    def _cut_all(self, journal: Journal) -> list[Record]:
        """The record of every image, in order."""
        records: list[Record] = []
        with closing(self._records(journal)) as found:
            for image, record in self._in_order(found):
                records.append(record)
                self._report(image, record)
        return records

    def _report(self, image: PlannedImage, record: Record) -> None:
        failure = Failure(image.paths[0], record.error) if record.error is not None else None
        self._on_image(image.patches, failure)
        if failure is not None:
            self.summary.failures.append(failure)
            if self.settings.on_error == "stop":
                raise ImageError(failure)

    def _in_order(self, records: Iterator[Record]) -> Iterator[tuple[PlannedImage, Record]]:
        """Records with their images; those that were known to fail take their places among them."""
        for image in self.plan.images:
            if image.error is not None:
                yield image, Record(image.number, error=image.error)
            else:
                yield image, next(records)

    def _records(self, journal: Journal) -> Generator[Record, None, None]:
        """What became of the images of all bundles, in order."""
        if journal.settled is not None:
            self.summary.resumed = sum(len(bundle.images) for bundle in self._bundles)
            yield from (record for record in journal.settled if self.plan.images[record.number].error is None)
            return
        known = dict(journal.done)
        missing = [bundle for bundle in self._bundles if bundle.number not in known]
        settings = self.settings
        with closing(cut_bundles(self._work, missing, processes=settings.processes, engine=settings.engine)) as fresh:
            for bundle in self._bundles:
                if bundle.number in known:
                    self.summary.resumed += len(bundle.images)
                    yield from known[bundle.number]
                    continue
                records = next(fresh)
                if not any(map(is_death, records)):
                    journal.add(bundle.number, records)
                yield from records

    def _sum_up(self, records: Sequence[Record]) -> None:
        summary, recipe = self.summary, self.plan.recipe
        for image, record in zip(self.plan.images, records, strict=True):
            if record.error is not None:
                continue
            if record.windows == 0:
                summary.small.append(image.name)
            summary.images += record.kept > 0
            summary.flat += record.windows - record.kept
            summary.patches += record.kept * recipe.copies
            summary.changes.update(record.changes)

    def _trim(self, records: Sequence[Record]) -> list[int]:
        """Complete the parts with as many patches as are to stay; returns how many of each image those are."""
        summary, recipe = self.summary, self.plan.recipe
        summary.trimmed = summary.patches % self.settings.trim_to
        summary.patches -= summary.trimmed
        if not summary.patches:
            raise NoPatches(_why_nothing(summary, self.settings.trim_to), summary)
        written = [record.kept * recipe.copies for record in records]
        counts = []
        left = summary.patches
        for count in written:
            counts.append(min(count, left))
            left -= counts[-1]
        shares = []
        for bundle in self._bundles:
            numbers = [image.number for image in bundle.images]
            shares.append(
                Share(bundle, [written[number] for number in numbers], [counts[number] for number in numbers])
            )
        self._output.trim(summary.patches, shares)
        summary.dtype = recipe.dtype
        summary.shape = recipe.shape(recipe.patch)
        summary.paths += self._output.names
        return counts

    def _bundle_patches(self) -> int:
        """How many patches a task cuts: an archive's, where those are written."""
        recipe, chunk = self.plan.recipe, self.settings.chunk
        if self.settings.format == "webdataset":
            return chunk or _SHARD_PATCHES
        size = _BUNDLE_BYTES if self.settings.format not in ENCODED_FORMATS else _ENCODED_BUNDLE_BYTES
        return max(1, size // recipe.window_bytes)


def _why_nothing(summary: Summary, trim_to: int) -> str:
    if summary.trimmed:
        return f"there are only {summary.trimmed} patches, fewer than {trim_to}"
    if summary.flat:
        return f"all {summary.flat} windows are too flat"
    if summary.small:
        return f"every image is smaller than a patch: {', '.join(summary.small[:3])}"
    return "no image could be cut"
