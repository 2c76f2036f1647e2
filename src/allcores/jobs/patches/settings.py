"""Where the patches go, and how a run behaves: the options that the patches themselves do not depend on."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .errors import RecipeError
from .formats import FORMATS
from .requirements import require

__all__ = ["ENGINES", "JOURNAL", "MANIFESTS", "ON_ERROR", "PART", "SHEETS", "Settings"]

ENGINES = ("threads", "processes")
ON_ERROR = ("skip", "stop")
MANIFESTS = (".csv", ".parquet")
SHEETS = (".png", ".jpg", ".jpeg")

# What is beside an output while it is being made, and after a run that was killed.
PART = ".part"
JOURNAL = ".part.journal"


@dataclass(frozen=True)
class Settings:
    """How a run behaves.

    Attributes:
        target: the output.
        format: its format.
        on_error: ``"skip"`` images that cannot be cut, or ``"stop"`` at the first one.
        trim_to: of what the number of patches is to be a multiple.
        chunk: rows of a chunk of Zarr and HDF5, patches of an archive of WebDataset; None for a number that suits.
        manifest, preview: files to write beside the output, if any.
        resume: whether to go on where an interrupted run ended, and to leave what is done if this one is interrupted.
        durable: whether to wait until the output is on the disk.
        processes: how many workers; None for one a core.
        engine: what they are: ``"threads"`` or ``"processes"``.

    Raises:
        RecipeError: naming the option that cannot be, and what could.
        MissingPackage: a Parquet manifest needs a package that is not installed.
    """

    target: str
    format: str
    on_error: str = "skip"
    trim_to: int = 1
    chunk: int | None = None
    manifest: str | None = None
    preview: str | None = None
    resume: bool = False
    durable: bool = False
    processes: int | None = None
    engine: str = "threads"

    def __post_init__(self) -> None:
        _choice("format", self.format, FORMATS)
        _choice("on_error", self.on_error, ON_ERROR)
        _choice("engine", self.engine, ENGINES)
        for name in ("trim_to", "chunk", "processes"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
                raise RecipeError(f"{name} must be a whole number from 1, not {value!r}")
        _check_file("a manifest", self.manifest, MANIFESTS)
        _check_file("a preview", self.preview, SHEETS)
        files = [os.path.realpath(path) for path in (self.target, self.manifest, self.preview) if path is not None]
        if len(set(files)) < len(files):
            raise RecipeError("the output, the manifest and the preview must be different files")
        if self.manifest and self.manifest.lower().endswith(".parquet"):
            require("A Parquet manifest", "parquet", "pyarrow")


def _choice(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise RecipeError(f"{name} must be one of {', '.join(known)}, not {value!r}")


def _check_file(kind: str, path: str | None, endings: tuple[str, ...]) -> None:
    """Refuse now what could not be written at the end of the run."""
    if path is None:
        return
    if not path.lower().endswith(endings):
        raise RecipeError(f"{path}: {kind} is written as {' or '.join(endings)}")
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise RecipeError(f"{path}: there is no such folder")
    if os.path.isdir(path):
        raise RecipeError(f"{path} is a folder")
