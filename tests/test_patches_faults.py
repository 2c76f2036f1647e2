"""What goes wrong meanwhile: headers that lie, files that change, workers and runs that are killed, full disks."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from allcores.jobs.patches import ImageError, NoPatches, OutputError, SourceError, make_patches
from allcores.jobs.patches.job import Job
from allcores.jobs.patches.outputs import make_output
from allcores.jobs.patches.outputs.rows import RowOutput, Shift
from allcores.jobs.patches.pairs import without_pairs
from allcores.jobs.patches.plan import PlannedImage, make_plan
from allcores.jobs.patches.recipe import Recipe
from allcores.jobs.patches.settings import Settings
from allcores.jobs.patches.sources import Sources
from allcores.jobs.patches.summary import Summary
from allcores.jobs.patches.work import Work
from patches_reference import noise, plain_patches, save

COMMAND = [sys.executable, "-m", "allcores", "patches"]


def few(quick: list[str], slow: list[str]) -> list[Any]:
    """All of these, of which some are for those who have time: they take the same way through the code."""
    return [*quick, *(pytest.param(each, marks=pytest.mark.slow) for each in slow)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, also the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- promises that are not kept ----------------------------------------------------------------------------

RECIPE = {"patch": 8, "stride": 4, "scales": (1.0, 0.7)}

#: What an image is when its header is read, and when it is decoded: a size, or something that is no image.
SIZES = st.one_of(st.tuples(st.integers(1, 30), st.integers(1, 30)), st.sampled_from(["cut off", "no image", "gone"]))


def put(path: Path, content: Any, seed: int) -> None:
    path.unlink(missing_ok=True)
    if content == "no image":
        path.write_bytes(b"no image")
    elif content == "cut off":
        save(path, noise(20, 20, seed=seed))
        os.truncate(path, 100)
    elif content != "gone":
        save(path, noise(*content, seed=seed))


def job(target: str, kind: str, **options: Any) -> Job:
    """A run whose headers have been read, and nothing else."""
    recipe = Recipe(**RECIPE, modes=(0, 5), **options)
    plan = make_plan(without_pairs(Sources(["images"])), recipe)
    return Job(plan, Settings(target, kind, processes=1, chunk=7), Summary(), lambda patches, failure: None)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contents=st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=6),
    kind=st.sampled_from(["npy", "hdf5", "zarr", "webdataset", "png"]),
    min_std=st.sampled_from([0.0, 72.0]),
)
def test_what_files_are_when_they_are_decoded_is_what_counts(
    here: Path, contents: list[tuple[Any, Any]], kind: str, min_std: float
) -> None:
    """As if the files had never been different: no gap, no patch of old files, none lost."""
    for folder in ("images", "out", "expected"):
        shutil.rmtree(folder, ignore_errors=True)
    for path in ("out", "expected"):
        Path(path).unlink(missing_ok=True)
    os.mkdir("images")
    for number, (before, _) in enumerate(contents):
        put(Path(f"images/{number}.png"), before, number)
    run = job("out", kind, min_std=min_std)
    for number, (before, after) in enumerate(contents):
        if before != "gone":  # else it is no part of the plan
            put(Path(f"images/{number}.png"), after, number + 100)

    summary, fresh = outcome(run), outcome(job("expected", kind, min_std=min_std))
    assert content("out") == content("expected")
    assert (summary is None) == (fresh is None)
    if summary and fresh:
        wrong = [
            number for number, (before, after) in enumerate(contents) if before != "gone" and isinstance(after, str)
        ]
        assert sorted(failure.path for failure in summary.failures) == [f"images/{number}.png" for number in wrong]
        assert summary.patches == fresh.patches


def outcome(run: Job) -> Summary | None:
    """What a run says; None if it finds no patches."""
    try:
        return run.run()
    except NoPatches:
        return None


def content(path: str) -> dict[str, bytes]:
    """A file's bytes, or those of all files in a folder; of HDF5 what the library shows, of archives the samples."""
    root = Path(path)
    if not root.exists():
        return {}
    if shards := sorted(root.rglob("*.tar")):
        assert [shard.name for shard in shards] == [f"{number:06}.tar" for number in range(len(shards))]
        found = {}
        for shard in shards:
            with tarfile.open(shard) as archive:
                found.update({member.name: archive.extractfile(member).read() for member in archive})  # type: ignore
        return found
    if root.is_file():
        data = root.read_bytes()
        if data.startswith(b"\x89HDF"):
            import h5py

            with h5py.File(path) as file:
                return {name: dataset[:].tobytes() + str(dataset.shape).encode() for name, dataset in file.items()}
        return {"": data}
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def test_a_file_that_never_stays_the_same_is_given_up_and_the_rest_is_whole(here: Path) -> None:
    """Each time it is read it has grown. (The reading is real, the growing is done by whoever reads.)"""
    for number in range(3):
        save(Path(f"images/{number}.png"), noise(20, 20, seed=number))
    run = job("out.npy", "npy")

    class Restless(Work):
        size = 20

        def _cut(self, image: PlannedImage, sink: Any) -> Any:
            if image.name == "1.png":
                self.size += 10
                save(Path("images/1.png"), noise(self.size, self.size))
            return super()._cut(image, sink)

    run._work = Restless(run.plan.recipe, run._output)
    summary = run.run()
    assert [(failure.path, failure.reason) for failure in summary.failures] == [
        ("images/1.png", "it keeps changing while it is being read")
    ]
    os.unlink("images/1.png")
    expected = job("expected.npy", "npy")
    expected.run()
    np.testing.assert_array_equal(np.load("out.npy"), np.load("expected.npy"))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8),
    kind=st.sampled_from(["npy", "zarr"]),
)
def test_rows_keep_their_content_wherever_they_are_moved(
    here: Path, pieces: list[tuple[int, int, int]], kind: str
) -> None:
    """Pieces in order, with gaps of any length before and after: a list of lists says what must come out."""
    shutil.rmtree("out.part", ignore_errors=True)
    output = make_output("out", kind, Recipe(patch=1, scales=(1.0,)), chunk=4)
    assert isinstance(output, RowOutput)
    shifts, expected = [], {}
    start = target = 0
    for number, (rows, gap_before, gap_after) in enumerate(pieces):
        start, target = start + gap_before, target + gap_after
        shifts.append(Shift(start, target, rows))
        expected[target] = bytes([number + 1]) * rows
        start, target = start + rows, target + rows
    output.create(max(start, target, 1))
    (track,) = output.tracks
    for number, shift in enumerate(shifts):
        if shift.rows:
            output.write(track, shift.start, np.full((shift.rows, 1, 1), number + 1, np.uint8))
    output.move([shift for shift in shifts if shift.rows])
    for place, data in expected.items():
        assert output.read(track, place, len(data)) == data
    output.discard()


# -- the first error ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_a_run_may_stop_at_the_first_error_and_leaves_nothing(here: Path, engine: str) -> None:
    for number in range(6):
        save(Path(f"images/{number}.png"), noise(60, 60))
    os.truncate("images/3.png", 50)
    with pytest.raises(ImageError, match=r"images/3\.png: the PNG is truncated"):
        make_patches("images", "out.npy", on_error="stop", engine=engine, processes=2)
    assert os.listdir() == ["images"]


# -- workers that die --------------------------------------------------------------------------------------


class Murderous(Work):
    """As if a decoder had crashed on some images."""

    def rehearse(self, image: PlannedImage) -> None:
        self._kill(image)
        super().rehearse(image)

    def _cut(self, image: PlannedImage, sink: Any) -> Any:
        self._kill(image)
        return super()._cut(image, sink)

    def __reduce__(self) -> Any:
        return Murderous, (self.recipe, self.output)

    @staticmethod
    def _kill(image: PlannedImage) -> None:
        if image.name in ("2.png", "5.png"):
            os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize("kind", few(["npy"], ["webdataset"]))
def test_an_image_that_kills_its_worker_costs_itself_only(here: Path, kind: str) -> None:
    for number in range(9):
        save(Path(f"images/{number}.png"), noise(30, 40, seed=number))
    recipe = Recipe(modes=(0,), patch=20)
    chosen = Settings("out", kind, engine="processes", processes=2, chunk=200)
    run = Job(make_plan(without_pairs(Sources(["images"])), recipe), chosen, Summary(), lambda *_: None)
    run._work = Murderous(recipe, run._output)
    failures = run.run().failures
    assert [failure.path for failure in failures] == ["images/2.png", "images/5.png"]
    assert all("SIGSEGV" in failure.reason for failure in failures)
    for name in ("2.png", "5.png"):
        os.unlink(f"images/{name}")
    make_patches("images", "expected", format=kind, augment="none", patch=20, chunk=200)
    found, expected = content("out"), content("expected")
    assert sorted(found.values()) == sorted(expected.values())


# -- runs that are interrupted -----------------------------------------------------------------------------


#: The command, with small tasks, and with a signal to itself when so many of them are done.
INTERRUPTIBLE = """
import os, sys
from allcores.cli import main
from allcores.jobs.patches import job
from allcores.jobs.patches.journal import Journal

number, tasks = int(sys.argv.pop(1)), int(sys.argv.pop(1))
job._BUNDLE_BYTES = job._ENCODED_BUNDLE_BYTES = 100_000
add = Journal.add

def add_and_interrupt(journal, bundle, records):
    global tasks
    add(journal, bundle, records)
    tasks -= 1
    if tasks == 0:
        os.kill(os.getpid(), number)

Journal.add = add_and_interrupt
sys.exit(main())
"""


@pytest.fixture
def work(here: Path) -> list[str]:
    """Work for some twenty tasks."""
    for number in range(20):
        save(Path(f"images/{number:02}.png"), noise(100 + number, 90, seed=number))
    os.truncate("images/05.png", 1000)
    return ["patches", "images", "out", "--stride", "12", "-j", "2"]


def run_until(number: int, tasks: int, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run, with a signal after so many tasks; after 0 there is none."""
    command = [sys.executable, "-c", INTERRUPTIBLE, str(int(number)), str(tasks), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


@pytest.mark.parametrize("kind", few(["npy"], ["webdataset", "zarr", "hdf5", "png"]))
def test_a_run_that_was_killed_is_resumed(work: list[str], kind: str) -> None:
    work += ["--format", kind, *(["--chunk", "100"] if kind == "webdataset" else [])]
    assert run_until(0, 0, work).returncode == 1
    os.rename("out", "uninterrupted")
    assert run_until(signal.SIGKILL, 4, work).returncode == -signal.SIGKILL
    assert sorted(os.listdir()) == ["images", "out.part", "out.part.journal", "uninterrupted"]
    assert run_until(signal.SIGKILL, 3, [*work, "--resume"]).returncode == -signal.SIGKILL
    done = run_until(0, 0, [*work, "--resume"])
    assert done.returncode == 1
    assert "images/05.png: the PNG is truncated" in done.stderr
    resumed = next(line for line in done.stdout.splitlines() if line.startswith("resumed: "))
    assert 7 <= int(resumed.split()[1]) < 20
    assert content("out") == content("uninterrupted")
    assert sorted(os.listdir()) == ["images", "out", "uninterrupted"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["npy", "zarr", "hdf5", "webdataset", "png"])
def test_runs_that_are_killed_at_any_moment_come_to_the_same_end(work: list[str], kind: str) -> None:
    """Killed again and again, a little later each time: while cutting, moving, trimming, or naming the output."""
    work += ["--format", kind, "--min-std", "73", "--trim-to", "100"]
    assert run_until(0, 0, work).returncode == 1
    expected = content("out")
    command = [sys.executable, "-c", INTERRUPTIBLE, "0", "0", *work, "--resume"]
    kills = 0
    for hundredths in range(20, 90, 2):
        if os.path.exists("out"):
            os.rename("out", f"before-{hundredths}")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(hundredths / 100)
        kills += process.poll() is None
        process.kill()
        process.wait()
        if os.path.exists("out"):
            assert content("out") == expected
    assert kills
    shutil.rmtree("out", ignore_errors=True)
    Path("out").unlink(missing_ok=True)
    assert run_until(0, 0, [*work, "--resume"]).returncode == 1
    assert content("out") == expected


@pytest.mark.parametrize("kind", few(["hdf5"], ["npy", "zarr", "webdataset", "png"]))
def test_a_run_that_was_killed_while_being_completed_is_resumed(work: list[str], kind: str) -> None:
    """After rows were moved and before the output has its name: nothing is cut again, and nothing trimmed twice."""
    work += ["--format", kind, "--min-std", "73", "--trim-to", "100"]
    assert run_until(0, 0, work).returncode == 1
    os.rename("out", "uninterrupted")
    dying = "from allcores.jobs.patches.outputs.base import Output\n"
    dying += "Output.commit = lambda self, is_durable: os._exit(9)\n" + INTERRUPTIBLE
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", dying, "0", "0", *work, "--resume"], timeout=50, check=False)
        assert done.returncode == 9
    done = run_until(0, 0, [*work, "--resume"])
    assert "\nresumed: 20 images" in done.stdout
    assert "images/05.png: the PNG is truncated" in done.stderr
    assert content("out") == content("uninterrupted")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_an_interrupted_run_leaves_nothing(work: list[str], number: int, engine: str) -> None:
    done = run_until(number, 4, [*work, "--format", "npy", "--engine", engine])
    assert done.returncode == 128 + number
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert os.listdir() == ["images"]


def test_with_resume_an_interrupted_run_keeps_what_is_done(work: list[str]) -> None:
    work += ["--format", "npy", "--resume"]
    done = run_until(signal.SIGINT, 4, work)
    assert done.returncode == 128 + signal.SIGINT
    assert "what is done is kept; the same command goes on from there" in done.stderr
    assert sorted(os.listdir()) == ["images", "out.part", "out.part.journal"]
    assert "\nresumed: 4 images" in run_until(0, 0, work).stdout
    assert sorted(os.listdir()) == ["images", "out"]


@pytest.mark.parametrize("change", ["options", "image", "boot", "journal"])
def test_what_was_done_under_other_conditions_is_done_again(
    here: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {name: noise(90, 90, seed=number) for number, name in enumerate(["a.png", "b.png"])}
    for name, image in images.items():
        save(Path("images", name), image)
    leave_unfinished()
    options: dict[str, Any] = {"augment": "none"}
    if change == "options":
        options["stride"] = 20
    elif change == "image":
        images["a.png"] = noise(91, 90, seed=7)
        save(Path("images/a.png"), images["a.png"])
    elif change == "boot":
        head, *lines = Path("out.npy.part.journal").read_text().splitlines()
        stale = json.loads(head) | {"boot": "another"}
        Path("out.npy.part.journal").write_text("\n".join([json.dumps(stale), *lines, ""]))
    else:
        Path("out.npy.part.journal").write_text("{")
    spoil("out.npy.part")
    assert make_patches("images", "out.npy", resume=True, **options).resumed == 0
    grid = {"stride": options.get("stride", 10)}
    expected = np.concatenate([plain_patches(image, **grid) for image in images.values()])
    np.testing.assert_array_equal(np.load("out.npy"), expected)
    assert sorted(os.listdir()) == ["images", "out.npy"]


def test_without_resume_what_was_done_is_done_again(here: Path) -> None:
    image = noise(90, 90)
    save(Path("images/a.png"), image)
    save(Path("images/b.png"), image)
    leave_unfinished()
    spoil("out.npy.part")
    assert make_patches("images", "out.npy", augment="none").resumed == 0
    np.testing.assert_array_equal(np.load("out.npy"), np.concatenate([plain_patches(image)] * 2))


def test_a_journal_whose_last_line_was_cut_off_counts_to_there(here: Path) -> None:
    images = [noise(400, 400, seed=number) for number in range(6)]
    for number, image in enumerate(images):
        save(Path(f"images/{number}.png"), image)
    leave_unfinished()
    lines = Path("out.npy.part.journal").read_text().splitlines()
    assert len(lines) > 4
    Path("out.npy.part.journal").write_text("\n".join([*lines[:3], lines[3][:-5]]))
    summary = make_patches("images", "out.npy", augment="none", resume=True)
    assert summary.resumed == 2
    np.testing.assert_array_equal(np.load("out.npy"), np.concatenate([plain_patches(image) for image in images]))


def leave_unfinished() -> None:
    """A run that has done everything but give the output its name, when the power of its process went."""
    script = """
import os
from allcores.jobs.patches import make_patches
from allcores.jobs.patches.outputs.base import Output
Output.commit = lambda self, is_durable: os._exit(0)
make_patches("images", "out.npy", augment="none", processes=1)
"""
    subprocess.run([sys.executable, "-c", script], timeout=50, check=True)
    assert os.path.exists("out.npy.part.journal")


def spoil(part: str) -> None:
    """Nothing of the part may be believed."""
    size = os.path.getsize(part)
    with open(part, "r+b") as file:
        file.write(b"\xaa" * size)


def test_two_runs_do_not_write_the_same_output(here: Path) -> None:
    save(Path("images/a.png"), noise(60, 60))
    held, go_on = threading.Event(), threading.Event()

    def hold(failure: Any) -> None:
        held.set()
        go_on.wait(20)

    Path("images/bad.png").write_bytes(b"no image")
    first = threading.Thread(target=make_patches, args=("images", "out.npy"), kwargs={"on_failure": hold})
    first.start()
    try:
        assert held.wait(20)
        with pytest.raises(OutputError, match="another run is writing this output"):
            make_patches("images", "out.npy")
        assert os.path.exists("out.npy.part")
    finally:
        go_on.set()
        first.join(20)
    assert sorted(os.listdir()) == ["images", "out.npy"]


# -- disks and memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["npy", "hdf5", "zarr", "webdataset", "png"])
def test_a_full_disk_is_told_and_leaves_what_was_there(here: Path, kind: str) -> None:
    """A limit on the size of files stands for the disk's."""
    for number in range(3):
        save(Path(f"images/{number}.png"), noise(200, 200, seed=number))
    ending = {"npy": ".npy", "hdf5": ".h5"}.get(kind)
    target = f"out{ending or ''}"
    if ending:
        Path(target).write_text("before")
    limit = 1000 if kind == "png" else 100_000
    done = subprocess.run(
        [*COMMAND, "images", target, "--format", kind],
        capture_output=True, text=True, timeout=50, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"allcores patches: cannot write {target}: ")
    assert sorted(os.listdir()) == (["images", target] if ending else ["images"])
    if ending:
        assert Path(target).read_text() == "before"


def test_a_hundred_gigabytes_may_be_promised(here: Path) -> None:
    """What follows 112 GB that never come is written behind them, and found at its place in the end."""
    save(Path("images/a.png"), np.vstack([noise(100, 3000), np.zeros((2900, 3000), np.uint8)]))
    os.truncate("images/a.png", 10_000)
    image = noise(50, 50)
    save(Path("images/b.png"), image)
    options: dict[str, Any] = {"scales": [1], "stride": 1, "min_std": 0.001}  # with which the room is not asked for
    promised = make_patches("images", "out.npy", augment="all", dry_run=True, **options)
    assert promised.patches * 40 * 40 > 100e9
    summary = make_patches("images", "out.npy", augment="all", **options)
    assert [failure.path for failure in summary.failures] == ["images/a.png"]
    found = np.load("out.npy")
    assert len(found) == 8 * 11 * 11
    np.testing.assert_array_equal(found[::8], plain_patches(image, scales=[1], stride=1))


@pytest.mark.parametrize("side", [30_000, 200_000])
def test_a_few_wrong_bytes_do_not_ask_for_all_the_room_there_is(here: Path, side: int) -> None:
    """A small file that says that it holds more pixels than the disk has room for."""
    image = noise(50, 50)
    save(Path("images/a.png"), image)
    png = Path("images/a.png").read_bytes()
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + png[24:29]
    Path("images/b.png").write_bytes(png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:])
    summary = make_patches("images", "out.npy", augment="none", stride=1)
    np.testing.assert_array_equal(np.load("out.npy"), plain_patches(image, stride=1))
    assert [failure.path for failure in summary.failures] == ["images/b.png"]


def test_large_flat_images_are_cut_although_their_files_seem_too_small(here: Path) -> None:
    """A lossless WebP of one colour takes fewer bytes than anybody would plan for."""
    save(Path("images/a.webp"), np.full((700, 600, 3), 77, np.uint8), lossless=True)
    save(Path("images/b.png"), noise(50, 50))
    assert os.path.getsize("images/a.webp") * 1032 < 700 * 600
    make_patches("images", "out.npy", augment="none")
    expected = [plain_patches(np.full((700, 600), 77, np.uint8)), plain_patches(noise(50, 50))]
    np.testing.assert_array_equal(np.load("out.npy"), np.concatenate(expected))


def test_an_image_of_too_many_pixels_is_refused_before_it_takes_memory(here: Path) -> None:
    """Of which a file of some kilobytes can tell; also where it is scaled to them."""
    Image.new("1", (20_000, 20_000)).save("bomb.png")
    assert os.path.getsize("bomb.png") < 100_000
    image = noise(50, 50)
    save(Path("fine.png"), image)
    command = [*COMMAND, ".", "out.npy", "--augment", "none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["allcores patches: ./bomb.png: 400,000,000 pixels, more than max_pixels allows"]
    np.testing.assert_array_equal(np.load("out.npy"), plain_patches(image))
    made = make_patches("fine.png", "out.npy", augment="none", scales=[1], max_pixels=2500)
    assert made.patches == 4
    with pytest.raises(NoPatches):
        make_patches("fine.png", "out.npy", augment="none", scales=[1, 1.1], max_pixels=2500)


def test_what_a_decoder_writes_is_not_between_the_messages(here: Path) -> None:
    save(Path("images/a.bmp"), noise(50, 50))
    os.truncate("images/a.bmp", 1500)
    save(Path("images/b.png"), noise(50, 50))
    for engine in ("threads", "processes"):
        command = [*COMMAND, "images", "out.npy", "--engine", engine]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
        assert done.returncode == 1
        assert done.stderr == "allcores patches: images/a.bmp: not an image that OpenCV can decode, or a damaged one\n"


@pytest.mark.parametrize("option", ["target", "manifest", "preview"])
def test_a_source_is_not_replaced(here: Path, option: str) -> None:
    save(Path("a.png"), noise(50, 50))
    before = Path("a.png").read_bytes()
    others = {"target": "out.npy", "format": "npy", "manifest": "m.csv", "preview": "p.png"}
    if option == "manifest":
        os.rename("a.png", "a.csv")
    name = "a.csv" if option == "manifest" else "a.png"
    with pytest.raises(SourceError, match=f"{name} is a source and would be replaced"):
        make_patches(name, **{**others, option: name})  # type: ignore[arg-type]
    assert Path(name).read_bytes() == before
    assert os.listdir() == [name]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_what_goes_with_an_output_that_was_not_completed_is_not_there_either(
    here: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older manifest and an older sheet stay with the older output."""
    save(Path("images/a.png"), noise(50, 50))
    options: dict[str, Any] = {"manifest": f"m{ending}", "preview": "sheet.png", "durable": True}
    make_patches("images", "out.npy", **options)
    before = {name: Path(name).read_bytes() for name in ("out.npy", f"m{ending}", "sheet.png")}

    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputError, match="input/output error"):
        make_patches("images", "out.npy", seed=1, **options)
    assert {name: Path(name).read_bytes() for name in os.listdir() if name != "images"} == before


def test_memory_does_not_grow_with_the_output(here: Path) -> None:
    """Many more patches than are ever in memory: less than 200 MB in all, of which OpenCV is the most."""
    for number in range(20):
        save(Path(f"images/{number}.png"), noise(300, 300, seed=number))
    script = """
from allcores.jobs.patches import make_patches
make_patches("images", "out.npy", augment="all", stride=8, scales=[1], engine="threads", processes=2)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=True)
    assert os.path.getsize("out.npy") > 250e6
    assert int(done.stdout) * 1024 < 200e6
