"""The command ``allcores patches``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from ..result_file import ResultFileError
from .api import make_patches
from .errors import ImageError, MissingPackage, NoPatches, OutputError, RecipeError, SourceError, TargetError
from .formats import ENDINGS, FORMATS
from .recipe import CHANNEL_AXES, EDGES, MAX_PIXELS
from .settings import ENGINES, ON_ERROR
from .sources import DEFAULT_INCLUDE

if TYPE_CHECKING:
    from .summary import Failure

__all__ = ["add_arguments", "run"]

_NOT_OF_THE_JOB = {"run", "usage_error"}  # what else the parser puts beside the options

_DESCRIPTION = """\
Cut training patches out of images, on all cores.

The defaults are those of the DnCNN paper: grey levels, each image at scales 1, 0.9, 0.8 and 0.7 (bicubic),
40 x 40 pixels on a grid of stride 10, each patch turned and mirrored at random. The output is the same, byte for
byte, for any number of workers, and it is there whole or not at all."""

_EXAMPLES = """\
examples:
  allcores patches Train400 train.npy                    as in the paper
  allcores patches Train400 train.npy --augment none --trim-to 128
  allcores patches photos crops --format png --color --patch 480 --stride 240 --scales 1 --augment none
  allcores patches HR train.h5 --pairs LR/X2 --scale-factor 2 --patch 96 --stride 48 --color
  allcores patches Train400 train.zarr --manifest train.csv --preview sheet.png

exit code:
  0  every image was cut
  1  some could not be cut and are named on standard error; or there was nothing to cut, or the output
     could not be written
  2  wrong usage
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser its description, arguments and examples."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("sources", metavar="SRC", nargs="+", help="an image, or a folder, looked through to the bottom")
    add("target", metavar="OUT", help=f"the output; {', '.join(ENDINGS)} say its format")
    add("--format", choices=FORMATS, help="the format, if the name of OUT does not say it")
    _add_cutting(parser.add_argument_group("what is cut"))
    _add_input(parser.add_argument_group("what is read"))
    _add_output(parser.add_argument_group("what is written"))
    _add_running(parser.add_argument_group("how it runs"))
    parser.set_defaults(usage_error=parser.error)


def run(options: argparse.Namespace) -> int:
    """Do what the command line asks for; returns the exit code."""
    usage_error: Callable[[str], NoReturn] = options.usage_error
    try:
        return _run(options)
    except (RecipeError, SourceError) as error:
        usage_error(str(error))
    except MissingPackage as error:
        _complain(str(error))
        return 1


def _add_cutting(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--patch", metavar="N", type=int, default=40, help="length of a patch's sides, in pixels (default: 40)")
    add("--stride", metavar="N", type=int, default=10, help="pixels from one patch to the next (default: 10)")
    add(
        "--scales",
        metavar="S,…",
        type=_scales,
        help="scale each image by each of these (default: 1,0.9,0.8,0.7; 1 where pairs differ in size)",
    )
    add(
        "--augment",
        metavar="HOW",
        default="random",
        help="none, random (one mode for each patch), all (eight of them), or modes such as 0,3,5: mode 2k + f rotates "
        "by k quarter turns counter-clockwise, then reverses the rows if f is 1 (default: random)",
    )
    add("--times", metavar="N", type=int, default=1, help="random augmentations of each window (default: 1)")
    add("--seed", metavar="N", type=int, default=0, help="seed of random augmentations (default: 0)")
    add("--color", action="store_true", help="red, green and blue instead of grey")
    add("--depth", type=int, choices=(8, 16), default=8, help="bits of a sample (default: 8)")
    add(
        "--edge",
        choices=EDGES,
        default="drop",
        help="pixels that the grid does not reach: leave them out, add windows that end with the image, or mirror the "
        "image until the grid fits (default: drop)",
    )
    add("--min-std", metavar="S", type=float, default=0.0, help="skip windows with a smaller standard deviation")


def _add_input(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--pairs", metavar="DIR", help="a folder with a partner for each image, from which patches are cut alike")
    add("--scale-factor", metavar="K", type=int, default=1, help="how many times smaller partners are (default: 1)")
    add(
        "--include",
        metavar="GLOB",
        action="append",
        help="below folders, take files whose names match; may be repeated "
        f"(default: {' '.join(pattern[1:] for pattern in DEFAULT_INCLUDE)})",
    )
    add("--hidden", action="store_true", help="also take names that begin with a dot")
    add(
        "--max-pixels",
        metavar="N",
        type=int,
        default=MAX_PIXELS,
        help=f"refuse images of more pixels, at their largest scale (default: {MAX_PIXELS})",
    )
    add("--on-error", choices=ON_ERROR, default="skip", help="go on without an image that cannot be read, or stop")


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--channel-axis", choices=CHANNEL_AXES, help="where the colours are in an array's shape (default: none, or "
        "last with --color)")  # fmt: skip
    add("--trim-to", metavar="N", type=int, default=1, help="make the number of patches a multiple of N")
    add("--chunk", metavar="N", type=int, help="patches in a chunk of Zarr or HDF5, or in an archive of WebDataset")
    add("--manifest", metavar="FILE", help="write each patch's origin to FILE, as .csv or .parquet")
    add("--preview", metavar="FILE", help="draw a contact sheet, as .png or .jpg")


def _add_running(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--resume",
        action="store_true",
        help="go on where an interrupted run ended; if this one is interrupted, keep what is done",
    )
    add("--durable", action="store_true", help="wait until the output is on the disk, in case the power fails")
    add("--dry-run", action="store_true", help="only read headers, and tell how many patches there would be")
    add("-j", "--jobs", dest="processes", metavar="N", type=int, help="use N workers (default: one a core)")
    add(
        "--engine",
        choices=ENGINES,
        default="threads",
        help="what workers are; processes survive crashes of the decoder",
    )


def _run(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    arguments = {name: value for name, value in vars(options).items() if name not in _NOT_OF_THE_JOB}
    arguments["include"] = arguments["include"] or DEFAULT_INCLUDE
    try:
        summary = make_patches(**arguments, progress=sys.stderr.isatty(), on_failure=_show_failure)
    except TargetError as error:
        options.usage_error(str(error))
    except (OutputError, ResultFileError) as error:
        _complain(str(error))
        return 1
    except ImageError:
        _complain("stopped there; nothing was written")
        return 1
    except NoPatches as error:
        _complain(f"nothing was written: {error}")
        for kind in error.summary.skipped():
            sys.stderr.write(f"  {kind}\n")
        return 1
    except KeyboardInterrupt:
        if options.resume:
            _complain("what is done is kept; the same command goes on from there")
        raise
    if options.dry_run:
        sys.stdout.write("nothing is written; this is what headers promise:\n")
    sys.stdout.write(f"{summary}\ntime: {time.perf_counter() - started:.3f} s\n")
    return 1 if summary.failures else 0


def _show_failure(failure: Failure) -> None:
    path = failure.path if failure.path.isprintable() else json.dumps(failure.path)
    _complain(f"{path}: {failure.reason}")


def _complain(text: str) -> None:
    sys.stderr.write(f"allcores patches: {text}\n")
    sys.stderr.flush()


def _scales(text: str) -> tuple[float, ...]:
    return tuple(float(scale) for scale in text.split(","))


_scales.__name__ = "list of scales"  # argparse says: invalid list of scales value: 'large'
