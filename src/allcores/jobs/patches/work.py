"""What a worker does with a bundle: read, decode, cut, write; and report on each image in a few bytes."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from .arrays import Array
from .cut import aligned, cut
from .decode import Decoded, decode
from .errors import UnalignedPair, UndecodableImage, reason_of
from .grid import windows_in
from .headers import open_image, read_header
from .journal import Record
from .outputs.base import Output, Sink
from .plan import Bundle, PlannedImage
from .recipe import Recipe
from .steady import subdue

__all__ = ["Stopped", "Work", "decoded", "keep_memory", "prepare"]

_LARGE_BYTES = 16 << 20  # glibc learns from up to 32 MB


class Stopped(Exception):
    """The run is over, and what this worker was doing is not wanted any more."""


class Work:
    """The task of every worker; called with a bundle, it returns a record for each image.

    Where workers are threads they share this object, and `stop` ends them; a process gets a copy of its own, and is
    ended by its pool.
    """

    def __init__(self, recipe: Recipe, output: Output) -> None:
        self.recipe = recipe
        self.output = output
        self._state = threading.Condition()
        self._running = 0
        self._stopped = False

    def __reduce__(self) -> Any:
        return Work, (self.recipe, self.output)

    def __call__(self, bundle: Bundle) -> list[Record]:
        with self._state:
            if self._stopped:
                raise Stopped
            self._running += 1
        try:
            with self.output.sink(bundle) as sink:
                return [self._cut(image, sink) for image in bundle.images]
        finally:
            with self._state:
                self._running -= 1
                self._state.notify_all()

    def stop(self, patience: float) -> None:
        """End at the next block of patches, and wait so many seconds for that."""
        with self._state:
            self._stopped = True
            self._state.wait_for(lambda: not self._running, patience)

    def rehearse(self, image: PlannedImage) -> None:
        """Decode and cut an image without writing anything: a process that survives this can be trusted with it."""
        try:
            pixels = [decoded(image, which, self.recipe).pixels for which in range(len(image.paths))]
            for _ in cut(aligned(pixels, self.recipe), image.name, self.recipe):
                pass
        except (OSError, ValueError, MemoryError):
            pass  # that is for the record of the real attempt

    def _cut(self, image: PlannedImage, sink: Sink) -> Record:
        try:
            sources = [decoded(image, which, self.recipe) for which in range(len(image.paths))]
            pixels = aligned([source.pixels for source in sources], self.recipe)
        except (UndecodableImage, UnalignedPair) as error:
            return Record(image.number, error=str(error))
        except OSError as error:
            return Record(image.number, error=reason_of(error))
        except MemoryError:
            return Record(image.number, error="there is not enough memory for it")
        height, width = pixels[-1].shape[:2]
        windows = windows_in(height, width, self.recipe)
        changes = tuple(dict.fromkeys(change for source in sources for change in source.changes))
        record = Record(image.number, height, width, windows, changes=changes)
        if not sink.begin(image, windows * self.recipe.copies):
            return record._replace(fits=False)
        kept: list[Array] = []
        for block in cut(pixels, image.name, self.recipe):
            if self._stopped:
                raise Stopped
            if len(block.numbers):
                sink.put(block.numbers, block.patches)
            if block.kept is not None:
                kept.append(block.kept)
        if not kept:
            return record._replace(kept=windows)
        flags = np.concatenate(kept)
        return record._replace(kept=int(flags.sum()), flags=np.packbits(flags).tobytes())


def decoded(image: PlannedImage, which: int, recipe: Recipe) -> Decoded:
    """Read and decode an image's file, or its partner's.

    Raises:
        OSError, UndecodableImage: it cannot be done.
    """
    path, orientation = image.paths[which], image.orientations[which]
    try:
        file, state = open_image(path)
        with file:
            if state != image.states[which] and (header := read_header(file)):
                orientation = header.orientation  # the file has changed since the plan was made
            file.seek(0)
            data = file.read()
        return decode(data, orientation=orientation, color=recipe.color, depth=recipe.depth)
    except (OSError, UndecodableImage) as error:
        if which:
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            raise UndecodableImage(f"its partner {path}: {reason}") from error
        raise


def prepare() -> None:
    """A worker process's first step."""
    subdue()
    keep_memory()


def keep_memory() -> None:
    """Let arrays of some hundred kilobytes, which come and go with every block, reuse memory.

    The C library of Linux asks the system for each of them, and the system hands it over page by page, which takes
    longer than filling it; unless a larger one has been freed before. So one is.
    """
    np.empty(_LARGE_BYTES, np.uint8)
