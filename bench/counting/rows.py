"""What is counted, by whom, and what is asked of allcores."""

from bench.counting import inputs

MIB = inputs.MIB


class Goal:
    """How many times as fast as a program allcores is to be."""

    def __init__(self, bound, program):
        self.bound = bound
        self.program = program


class Row:
    """An input, and the programs that count it."""

    def __init__(self, *, name, title, make_text, make_files, size, quick_size, programs, goals):
        self.name = name
        self.title = title
        self.make_text = make_text
        self.make_files = make_files
        self.size = size
        self.quick_size = quick_size
        self.programs = programs
        self.goals = goals

    def make(self, folder, quick):
        """Make the input's files."""
        self.make_files(folder, self.make_text(self.quick_size if quick else self.size))


FORMS = ("allcores-serial", "allcores-processes", "allcores-python")
BIG = ("allcores", "tutorial", "wc", *FORMS)
ALL = (
    Row(
        name="ascii-one",
        title="1 GiB of ASCII in one file",
        make_text=inputs.ascii_text,
        make_files=inputs.one_file,
        size=1024 * MIB,
        quick_size=MIB // 4,
        programs=BIG,
        goals=(Goal(25, "tutorial"), Goal(20, "wc")),
    ),
    Row(
        name="ascii-some",
        title="1 GiB of ASCII in 64 files",
        make_text=inputs.ascii_text,
        make_files=inputs.some_files,
        size=1024 * MIB,
        quick_size=MIB // 4,
        programs=BIG,
        goals=(Goal(25, "tutorial"), Goal(20, "wc")),
    ),
    Row(
        name="chinese-one",
        title="1 GiB of Chinese in one file",
        make_text=inputs.chinese_text,
        make_files=inputs.one_file,
        size=1024 * MIB,
        quick_size=MIB // 4,
        programs=BIG,
        goals=(Goal(15, "tutorial"), Goal(30, "wc")),
    ),
    Row(
        name="chinese-some",
        title="1 GiB of Chinese in 64 files",
        make_text=inputs.chinese_text,
        make_files=inputs.some_files,
        size=1024 * MIB,
        quick_size=MIB // 4,
        programs=BIG,
        goals=(Goal(15, "tutorial"), Goal(30, "wc")),
    ),
    Row(
        name="small",
        title="100,000 files of 2 KB",
        make_text=inputs.ascii_text,
        make_files=inputs.small_files,
        size=100_000 * 2048 + 4096,
        quick_size=100 * 2048,
        programs=("allcores", "tutorial", "xargs", "xargs-list", *FORMS),
        goals=(Goal(4, "xargs"), Goal(4, "xargs-list")),
    ),
)
BY_NAME = {row.name: row for row in ALL}
