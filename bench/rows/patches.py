"""Training patches out of images: whole programs, from their start to their end."""

import time

from bench import procfs
from bench.rows.base import Goal, Metric, Row, expect

SECONDS_BETWEEN_LOOKS = 0.02
PATCHES = 596  # of an image of 180 × 180, over all scales
PATCH_BYTES = 40 * 40
CROPS = 20  # of an image of 1080 × 1440


def measurer(operation):
    """A measure that cuts n small images into one array, and looks whether it has the size that it must have."""

    def measure(peer, options):
        from bench.patching import images

        folder, size = images.small_grey(options["n"]), options["n"] * PATCHES * PATCH_BYTES
        program = getattr(peer, operation)
        return measure_program(
            lambda place: program(folder, place / "out.npy", options["workers"]),
            lambda place: expect((place / "out.npy").stat().st_size // PATCH_BYTES, size // PATCH_BYTES),
        )

    return measure


def measure_crops(peer, options):
    """Cut n large images into a folder of PNG files."""
    from bench.patching import images

    folder = images.large_color(options["n"])
    return measure_program(
        lambda place: peer.crops(folder, place / "out", options["workers"]),
        lambda place: expect(sum(path.is_file() for path in (place / "out").rglob("*.png")), options["n"] * CROPS),
    )


def measure_program(command, check):
    """Time a program, and run it again to see what memory it takes: looking would slow it down."""
    return {"whole": run(command, check, lambda process: process.wait()), "memory": peak_memory(command, check)}


def run(command, check, wait):
    """Run a program in an empty folder; the seconds that it took."""
    import pathlib
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory(prefix="allcores-bench-") as folder:
        place = pathlib.Path(folder)
        arguments = command(place)
        began = time.perf_counter()
        with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as process:
            wait(process)
        seconds = time.perf_counter() - began
        expect(process.returncode, 0)
        check(place)
    return seconds


def peak_memory(command, check):
    """The most that a program and its descendants have in memory, in MB; pages that they share are counted once."""
    peak = 0

    def watch(process):
        nonlocal peak
        while process.poll() is None:
            peak = max(peak, procfs.family_memory(process.pid))
            time.sleep(SECONDS_BETWEEN_LOOKS)

    run(command, check, watch)
    return peak / procfs.MB


WHOLE = Metric("whole", "the whole program", "s")
MEMORY = Metric("memory", "peak memory of all its processes", "MB")
LITTLE_MEMORY = Goal("under 200 MB over all processes", "memory", 200)
AHEAD = Goal("ahead of one vectorised process", "whole", 1, "vectorised")
ABOUT = (
    "{n:,} images of 180 × 180, each into 596 patches as in the DnCNN paper. No program waits until the disk has them. "
    "Memory is sampled in a second run."
)

AUGMENTED = Row(
    name="patches",
    title="Patches, augmented at random",
    about=ABOUT,
    operations=("patches",),
    measure=measurer("patches"),
    metrics=(WHOLE, MEMORY),
    subject="patches",
    size=400,
    quick_size=8,
    goals=(Goal("at least 12 × the tutorial's way", "whole", 12, "tutorial-patches"), LITTLE_MEMORY),
)

PLAIN = Row(
    name="plain-patches",
    title="Patches, not augmented",
    about=ABOUT,
    operations=("plain_patches",),
    measure=measurer("plain_patches"),
    metrics=(WHOLE, MEMORY),
    subject="patches",
    size=400,
    quick_size=8,
    goals=(LITTLE_MEMORY,),
)

MANY = Row(
    name="many-patches",
    title="Patches of many images, not augmented",
    about=ABOUT,
    operations=("plain_patches",),
    measure=measurer("plain_patches"),
    metrics=(WHOLE, MEMORY),
    subject="patches",
    size=4_000,
    quick_size=8,
    most_rounds=2,
    goals=(AHEAD, LITTLE_MEMORY),
)

CROPPED = Row(
    name="crops",
    title="Crops of large images, a PNG file each",
    about="{n:,} images of 1080 × 1440 in colours, in crops of 480 × 480 every 240. Memory is sampled in a second run.",
    operations=("crops",),
    measure=measure_crops,
    metrics=(WHOLE, MEMORY),
    subject="patches",
    size=24,
    quick_size=1,
)
