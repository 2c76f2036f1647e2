"""Whole programs that cut patches. An operation returns the command that is measured."""

import os
import sys

from bench.peers.base import Peer

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPTS = os.path.join(BENCH, "patching")
TUTORIAL = os.path.join(os.path.dirname(BENCH), "examples", "patches_pool.py")


class Program(Peer):
    """One of them."""

    module = "cv2"
    subjects = ("patches",)


class Tutorial(Program):
    """The program of the tutorials, on the standard library's pool."""

    slug = "tutorial-patches"
    title = "the tutorial's way"

    def patches(self, folder, output, workers):
        """`examples/patches_pool.py` with the standard library: a pool of 16 for every 16 images, lists, one array"""
        program = output.with_suffix(".py")
        with open(TUTORIAL, encoding="utf-8") as file:
            source = file.read()
        program.write_text(source.replace("import allcores as multiprocessing", "import multiprocessing"), "utf-8")
        return [sys.executable, str(program), str(folder), str(output)]


class Vectorised(Program):
    """One process, and NumPy."""

    slug = "vectorised"
    title = "one process, vectorised"

    def plain_patches(self, folder, output, workers):
        """`bench/patching/vectorised.py`: one process, sliding windows, a mapped file"""
        return [sys.executable, f"{SCRIPTS}/vectorised.py", str(folder), str(output)]


class Subimages(Program):
    """One PNG a crop."""

    slug = "subimages"
    title = "BasicSR's style"

    def crops(self, folder, output, workers):
        """`bench/patching/subimages.py`: `multiprocessing.Pool`, one task an image, `cv2.imwrite` for each crop"""
        return [sys.executable, f"{SCRIPTS}/subimages.py", str(folder), str(output), str(workers)]


class BareWrite(Program):
    """The output and nothing else."""

    slug = "bare-write"
    title = "writing as many bytes"
    module = "builtins"
    reference = True

    def plain_patches(self, folder, output, workers):
        """`bench/patching/bare_write.py`: as many zeros to a file, and `fsync`"""
        size = sum(1 for _ in folder.iterdir()) * 596 * 40 * 40
        return [sys.executable, f"{SCRIPTS}/bare_write.py", str(size), str(output)]
