"""A folder of PNG files: one folder for each image, called after it (`PlannedImage.key`), a file for each patch.

Names are the patches' numbers within the image, so no image's files depend on another's. For pairs, there is such a
tree below ``patches`` and one below ``pairs``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..arrays import Array
from ..errors import OutputError
from ..plan import Bundle, PlannedImage
from ..recipe import Recipe
from .base import Output, Share, remove
from .encoded import encoded, roles_of

__all__ = ["PngOutput"]


class PngOutput(Output):
    """One file a patch."""

    is_folder = True

    def __init__(self, target: str, recipe: Recipe) -> None:
        super().__init__(target, recipe, [target])
        (self._part,) = self.parts.values()

    def create(self, patches: int) -> None:
        os.makedirs(self._part)

    @contextmanager
    def sink(self, bundle: Bundle) -> Iterator[PngSink]:
        yield PngSink(self)

    def trim(self, patches: int, shares: Sequence[Share]) -> None:
        for share in shares:
            for image, written, kept in zip(share.bundle.images, share.written, share.kept, strict=True):
                if kept < written:
                    self._trim_image(image, kept)

    def folders(self, image: PlannedImage) -> list[str]:
        """Where an image's patches are, and their partners."""
        roles = roles_of(self.recipe) if self.recipe.factor else ("",)
        return [os.path.join(self._part, role, *image.key.split("/")) for role in roles]

    def _trim_image(self, image: PlannedImage, count: int) -> None:
        for folder in self.folders(image):
            if count == 0:
                remove(folder)
                continue
            # Numbers with more digits than the others are longer, and come later.
            for name in sorted(os.listdir(folder), key=lambda name: (len(name), name))[count:]:
                os.unlink(os.path.join(folder, name))


class PngSink:
    """Writes patches into the folder of the image that has been begun."""

    def __init__(self, output: PngOutput) -> None:
        self._output = output
        self._folders: list[str] = []

    def begin(self, image: PlannedImage, patches: int) -> bool:
        self._folders = self._output.folders(image)
        for folder in self._folders:
            remove(folder)  # what an earlier attempt has left
        return True

    def put(self, numbers: Array, patches: Sequence[Array]) -> None:
        try:
            for folder in self._folders:
                os.makedirs(folder, exist_ok=True)
            for name, files in encoded(numbers, patches):
                for folder, data in zip(self._folders, files, strict=True):
                    with open(os.path.join(folder, f"{name}.png"), "wb") as file:
                        file.write(data)
        except OSError as error:
            raise OutputError.of(self._output.target, error) from error
