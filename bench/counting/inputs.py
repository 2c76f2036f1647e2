"""The texts that are counted: the same for every program and round, made when they are needed."""

import pathlib
import random
import sysconfig

MIB = 1024 * 1024

# Characters that everyday Chinese is mostly made of, and what stands between them.
COMMON = (
    "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过"
    "家十用发天如然作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从"
)
STOPS = "，。；：？！"


def warm(folder):
    """Bring all files into the page cache; something else may have taken their place there."""
    for path in sorted(folder.rglob("*.txt")):
        with open(path, "rb", buffering=0) as file:
            while file.read(MIB):
                pass


def ascii_text(size):
    """So many bytes of Python's own sources, without what is not ASCII: lines as people write them."""
    parts, total = [], 0
    for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py")):
        parts.append(path.read_bytes().decode("ascii", "ignore").encode().replace(b"\r", b""))
        total += len(parts[-1])
        if total > size:
            break
    return _whole_lines((b"".join(parts) * (size // total + 1))[:size])


def chinese_text(size):
    """So many bytes of made-up Chinese: three bytes a character, and now and then a word of ASCII."""
    chance = random.Random(1)
    lines = []
    for _ in range(min(size, 4 * MIB) // 100):
        line = "".join(chance.choices(COMMON, k=chance.randrange(5, 40))) + chance.choice(STOPS)
        lines.append(line + (" README.txt " if chance.random() < 0.1 else "") + "\n")
    text = "".join(lines).encode()
    return _whole_lines((text * (size // len(text) + 1))[:size])


def one_file(folder, text):
    """One file."""
    (folder / "all.txt").write_bytes(text)


def some_files(folder, text, count=64):
    """The same in so many files."""
    start = 0
    for number in range(count):
        stop = text.find(b"\n", len(text) // count * (number + 1) - 1) + 1 or len(text)
        (folder / f"{number:02}.txt").write_bytes(text[start:stop])
        start = stop


def small_files(folder, text, size=2048, in_a_folder=1000):
    """Files of 2 KB, a thousand in a folder."""
    for number in range(len(text) // size):
        if number % in_a_folder == 0:
            place = folder / f"{number // in_a_folder:03}"
            place.mkdir()
        piece = text[number * size : (number + 1) * size - 1].decode("utf-8", "ignore")
        (place / f"{number % in_a_folder:03}.txt").write_bytes(piece.encode() + b"\n")


def _whole_lines(text):
    """Without the last line if it was cut, so that everybody agrees on the number of lines."""
    return text[: text.rfind(b"\n") + 1]


def lines_in(folder):
    """How many lines there are: every one has its end."""
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob("*.txt"))
