"""Every error of this job, in one place.

ValueError
 ├── RecipeError        options that cannot be, or not together
 ├── SourceError        a source that does not exist, or cannot be told from another
 ├── UndecodableImage   a file that is no image, or not a whole one
 └── UnalignedPair      an image and its partner whose sizes do not fit together
ImportError
 └── MissingPackage     a package that this job needs is not installed
Exception
 ├── OutputError        the output cannot be written
 │    └── TargetError   … or must not be: found out before any work was done
 ├── ImageError         an image cannot be cut, and the run was to stop at the first one
 └── NoPatches          there is not one patch, so nothing was written
"""

from __future__ import annotations

from .summary import Failure, Summary

__all__ = [
    "ImageError",
    "MissingPackage",
    "NoPatches",
    "OutputError",
    "RecipeError",
    "SourceError",
    "TargetError",
    "UnalignedPair",
    "UndecodableImage",
    "reason_of",
]


class RecipeError(ValueError):
    """Options that cannot be, or not together; the message names them and what would be right."""


class SourceError(ValueError):
    """A source that does not exist, or that cannot be told from another by its name."""


class UndecodableImage(ValueError):
    """A file that is no image, or not a whole one; the message says which, as far as can be told."""


class UnalignedPair(ValueError):
    """The sizes of an image and its partner do not fit together."""


class MissingPackage(ImportError):
    """A package that this job needs is not installed; the message says how to get it."""


class OutputError(Exception):
    """The output cannot be written; what was there before is untouched."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    @classmethod
    def of(cls, path: str, error: OSError) -> OutputError:
        """For an error of the system."""
        return cls(path, reason_of(error))

    def __str__(self) -> str:
        return f"cannot write {self.path}: {self.reason}"


class TargetError(OutputError):
    """The target cannot be an output, or must not be replaced."""


class ImageError(Exception):
    """An image cannot be cut, and the run was to stop at the first one; nothing was written."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        return f"{self.failure.path}: {self.failure.reason}"


class NoPatches(Exception):
    """There is not one patch, so nothing was written. The summary tells what there was instead."""

    def __init__(self, reason: str, summary: Summary) -> None:
        super().__init__(reason, summary)
        self.reason = reason
        self.summary = summary

    def __str__(self) -> str:
        return self.reason


def reason_of(error: OSError) -> str:
    """A system's error in a few words, without the path."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
