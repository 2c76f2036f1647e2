"""Programs that count: what is run for each, and how many lines its output says there are."""

import os
import pathlib
import re
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
WC_LINE = re.compile(rb"^ *(\d+) +\d+ (.*)$")
TUTORIAL = ROOT / "examples" / "count_pool.py"


class Program:
    """What the harness knows about a program.

    Attributes:
        slug: the name on the command line and in the JSON.
        title: the name in tables.
        about: the command, for the reader to judge.
        environment: what it is run with beside the harness's own.
        reference: whether it is allcores in another form, and no peer.
    """

    slug = title = about = ""
    environment = {}  # noqa: RUF012
    reference = False

    def command(self, folder, scratch):
        """The command line."""
        raise NotImplementedError

    def lines(self, output, scratch):
        """The lines counted, by what the program has written."""
        raise NotImplementedError

    def is_present(self):
        """Whether it can be run here."""
        return True


class Allcores(Program):
    """`allcores count` as it is."""

    slug = title = "allcores"
    about = "`allcores count FOLDER`"
    options = ()

    def command(self, folder, scratch):
        """The installed command, as a shell would find it."""
        return [str(pathlib.Path(sys.executable).with_name("allcores")), "count", str(folder), *self.options]

    def lines(self, output, scratch):
        """Out of the last lines."""
        return int(re.search(rb"^total lines: (\d+) ", output, re.MULTILINE)[1])


class AllcoresProcesses(Allcores):
    """The same with workers that are processes."""

    slug = "allcores-processes"
    title = "allcores, processes"
    about = "`allcores count FOLDER --engine processes`"
    options = ("--engine", "processes")
    reference = True


class AllcoresSerial(Allcores):
    """The same without workers."""

    slug = "allcores-serial"
    title = "allcores, one thread"
    about = "`allcores count FOLDER --engine serial`"
    options = ("--engine", "serial")
    reference = True


class AllcoresPython(Allcores):
    """The same without the native kernel."""

    slug = "allcores-python"
    title = "allcores, no compiler"
    about = "`ALLCORES_COUNT_KERNEL=python allcores count FOLDER`"
    environment = {"ALLCORES_COUNT_KERNEL": "python"}  # noqa: RUF012
    reference = True


class Tutorial(Program):
    """The program of the tutorials, on the standard library's pool."""

    slug = "tutorial"
    title = "the tutorial's way"
    about = "`examples/count_pool.py` with `import multiprocessing`: `apply_async` for each file, `readlines()`"

    def command(self, folder, scratch):
        """The example with one line changed, as its first lines say."""
        program = scratch / "count_pool.py"
        source = TUTORIAL.read_text(encoding="utf-8")
        program.write_text(source.replace("import allcores as multiprocessing", "import multiprocessing"), "utf-8")
        return [sys.executable, str(program), str(folder), str(scratch / "result.txt")]

    def lines(self, output, scratch):
        """Out of the result file."""
        return int(re.search(r"^total lines: (\d+) ", (scratch / "result.txt").read_text(), re.MULTILINE)[1])


class Wc(Program):
    """wc, which counts characters where the locale is UTF-8."""

    slug = "wc"
    title = "wc"
    about = "`wc -lm FILE…`"
    environment = {"LC_ALL": "C.UTF-8"}  # noqa: RUF012

    def command(self, folder, scratch):
        """All files at once."""
        return ["wc", "-lm", *sorted(map(str, folder.rglob("*.txt")))]

    def lines(self, output, scratch):
        """The sum over the files, since xargs has several totals."""
        rows = [WC_LINE.match(line) for line in output.splitlines()]
        return sum(int(row[1]) for row in rows if row and row[2] != b"total")

    def is_present(self):
        """Windows has none."""
        return shutil.which("wc") is not None


class Xargs(Wc):
    """Two wc at a time."""

    slug = "xargs"
    title = "xargs -P2 wc"
    about = "`find FOLDER -name '*.txt' -print0 | xargs -0 -P2 wc -lm`"

    def command(self, folder, scratch):
        """find tells the names as it finds them."""
        return ["sh", "-c", 'find "$0" -name "*.txt" -print0 | xargs -0 -P2 wc -lm', str(folder)]

    def is_present(self):
        """Windows has none."""
        return all(map(shutil.which, ("sh", "find", "xargs", "wc")))


class XargsFromList(Xargs):
    """The same without find: the names are there already."""

    slug = "xargs-list"
    title = "xargs -P2 wc, names given"
    about = "`xargs -0 -P2 wc -lm < NAMES`"

    def command(self, folder, scratch):
        """The list is written beforehand."""
        names = scratch / "names"
        names.write_bytes(b"".join(os.fsencode(path) + b"\0" for path in sorted(folder.rglob("*.txt"))))
        return ["sh", "-c", 'xargs -0 -P2 wc -lm < "$0"', str(names)]


ALL = (Allcores, Tutorial, Wc, Xargs, XargsFromList, AllcoresSerial, AllcoresProcesses, AllcoresPython)
BY_SLUG = {program.slug: program for program in ALL}
