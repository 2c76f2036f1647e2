"""A folder of tar archives as WebDataset reads them: a sample is ``IMAGE/NUMBER.png``, and ``IMAGE/NUMBER.pair.png``.

An archive ("shard") holds some neighbouring images and is written by one worker, without regard to the others.
Archives say nothing about when and by whom they were made: the same patches give the same bytes.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..arrays import Array
from ..errors import OutputError
from ..plan import Bundle, PlannedImage
from ..recipe import Recipe
from ..settings import PART
from .base import Output, Share, remove
from .encoded import encoded

__all__ = ["WebDatasetOutput"]

_ENDINGS = ("png", "pair.png")


class WebDatasetOutput(Output):
    """One archive a bundle."""

    is_folder = True

    def __init__(self, target: str, recipe: Recipe) -> None:
        super().__init__(target, recipe, [target])
        (self._part,) = self.parts.values()

    def create(self, patches: int) -> None:
        os.makedirs(self._part)

    @contextmanager
    def sink(self, bundle: Bundle) -> Iterator[TarSink]:
        try:
            with tarfile.open(self._unfinished(bundle), "w", format=tarfile.PAX_FORMAT) as archive:
                yield TarSink(archive)
        except OSError as error:
            raise OutputError.of(self.target, error) from error

    def trim(self, patches: int, shares: Sequence[Share]) -> None:
        shards = 0
        for share in shares:
            unfinished, kept = self._unfinished(share.bundle), sum(share.kept)
            if not kept:
                remove(unfinished)
                continue
            if os.path.exists(unfinished):
                if kept < sum(share.written):
                    self._cut(unfinished, kept * len(self.recipe.sides))
                os.replace(unfinished, os.path.join(self._part, f"{shards:06d}.tar"))
            shards += 1  # so empty ones leave no gaps

    def _unfinished(self, bundle: Bundle) -> str:
        return os.path.join(self._part, f"{bundle.number:06d}.tar{PART}")

    @staticmethod
    def _cut(shard: str, members: int) -> None:
        with tarfile.open(shard) as archive:
            last = archive.getmembers()[members - 1]
        end = last.offset_data + last.size
        with open(shard, "r+b") as file:
            file.truncate(end)
            file.truncate(end + -end % tarfile.BLOCKSIZE)
            file.seek(0, os.SEEK_END)
            file.write(bytes(2 * tarfile.BLOCKSIZE))
            file.write(bytes(-file.tell() % tarfile.RECORDSIZE))


class TarSink:
    """Adds patches to an archive."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._name = ""

    def begin(self, image: PlannedImage, patches: int) -> bool:
        self._name = image.key
        return True

    def put(self, numbers: Array, patches: Sequence[Array]) -> None:
        for name, files in encoded(numbers, patches):
            for ending, data in zip(_ENDINGS, files, strict=False):
                member = tarfile.TarInfo(f"{self._name}/{name}.{ending}")
                member.size = len(data)
                self._archive.addfile(member, io.BytesIO(data))
        # tarfile remembers every member that it has written, for a listing that nobody asks for
        self._archive.members.clear()  # type: ignore[attr-defined]
