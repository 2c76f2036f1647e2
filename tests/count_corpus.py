"""A tree of files with every corner that counting has, and what is right for each.

The expectations are Python's: its text mode for texts, the file's making for everything else.

    corpus = Corpus(folder)
    corpus.build()
    corpus.expected    # path -> (lines, characters), or "invalid", or "binary"
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from count_expectations import BROKEN_PIECES, PIECES, counts_of_bytes

BLOCK = 256 * 1024
#: From this size on, files are not counted with their neighbours.
LARGE = 1024 * 1024

Expected = tuple[int, int] | str

TEXTS = {
    "empty": b"",
    "no end": b"no end",
    "one line end": b"\n",
    "one return": b"\r",
    "one pair": b"\r\n",
    "unix": b"unix\nlines\n",
    "old mac": b"old\rmac\r",
    "dos": b"dos\r\nlines\r\n",
    "mixed": b"mixed\n\r\n\r\r\nends",
    "a return at the end": b"a\nb\r",
    "chinese": "天地玄黄\n宇宙洪荒\n".encode() * 9000,
    "dos and accents": ("naïve " * 40 + "\r\n").encode() * 2000,
    "plain": b"plain ascii, and a lot of it\n" * 20_000,
    "one long line": b"x" * (3 * BLOCK + 5),
    "no line ends for splitlines": "form\ffeed, next\x85line, separators\x1c\x1d\x1e\u2028\u2029 end no line".encode(),
    "marked": "\ufeffmarked\n".encode(),
    "only a mark": "\ufeff".encode(),
    "a mark and an end": "\ufeff\n".encode(),
    "two marks": "\ufeff\ufeffmarked\n".encode(),
    "a mark in the middle": "a\ufeffb\n\ufeffc".encode(),
    "emoji": "🙂".encode() * 100_000,
    "the last code point": "\U0010ffff\U0010fffe\ufffe\uffff\n".encode(),
    "controls": bytes(range(1, 32)) + b"\x7f",
    "a NUL that comes late": b"text\n" * 2000 + b"\0",
    "a return before the block's end": b"a" * (BLOCK - 1) + b"\r\nb\r\n",
    "returns over the block's end": b"a" * (BLOCK - 1) + b"\r\r\nb\r\n",
    "just too small to be large": b"123456\n" * (LARGE // 7),
    "large": b"large\r\n" * (LARGE // 7 + 1) + b"end",
    "large chinese": "大文件\n".encode() * (LARGE // 10 + 1),
}
for _piece in ("é", "天", "🙂", "\r\n", "\ufeff"):
    for _before in range(1, len(_piece.encode()) + 1):
        _text = b"b" * (BLOCK - _before) + _piece.encode() * 3
        TEXTS[f"{_piece.encode().hex()} {_before} before the block's end"] = _text

BINARIES = {
    "a NUL": b"\0",
    "a NUL in text": b"nul \0 byte\n",
    "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)),
    "a program": b"\x7fELF\x02\x01\x01" + bytes(100),
    "utf-16": "wide text\n".encode("utf-16"),
    "utf-32": "wider text\n".encode("utf-32-be"),
    "zeros": bytes(3 * LARGE),
    "the last byte that counts": b"a" * 7999 + b"\0",
}

NAMES = [
    *(b"=1+1.txt", b"+plus.txt", b"-dash.txt", b"@at.txt", b'"quoted".txt', b"comma,.txt", b"semi;colon.txt"),
    *(b"tab\t.txt", b"line\nfeed.txt", b"return\r.txt", b"pair\r\n.txt", b"escape\x1b[31m.txt", b"bell\x07.txt"),
    *(b" lines: 7 characters: 7.txt", b" error: none.txt", b" leading.txt", b"trailing .txt", b"back\\slash.txt"),
    *(b"star*.txt", b"question?.txt", b"[set].txt", b"$HOME.txt", b"`ls`.txt", b"%41.txt", b"{}.txt", b"'.txt"),
    *(b"total.txt", b"null.txt", b"~.txt", b"#.txt", "天地.txt".encode(), "été.txt".encode(), "🙂.txt".encode()),
    *("e\u0301te\u0301.txt".encode(), "\u2028.txt".encode(), "\u202erevers.txt".encode(), "\x85.txt".encode()),
    *(b"latin-\xe9.txt", b"\xff\xfe.txt", b"\xed\xa0\x80.txt", b"n" * 251 + b".txt"),
]


class Corpus:
    """The tree below a folder.

    Attributes:
        expected: for each path that is to have a row, lines and characters, ``"invalid"`` or ``"binary"``.
        objects: what is no regular file, or a link; it has no row.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.expected: dict[str, Expected] = {}
        self.objects: list[str] = []

    def build(self) -> None:
        """Make the files."""
        for name, data in TEXTS.items():
            counts = counts_of_bytes(data)
            assert counts is not None
            self._file(f"texts/{name}.txt", data, counts)
        for number, piece in enumerate(PIECES):
            counts = counts_of_bytes(piece)
            assert counts is not None
            self._file(f"pieces/{number}.txt", piece, "binary" if b"\0" in piece else counts)
        for name, data in BINARIES.items():
            self._file(f"binaries/{name}.txt", data, "binary")
        for name, broken in BROKEN_PIECES.items():
            for place, data in {
                "first": broken + b"and text\n",
                "last": b"text and\n" * 100 + broken,
                "at the block's end": b"a" * (BLOCK - 1) + broken + b"b" * BLOCK,
                "far": "天地\n".encode() * 60_000 + broken,
            }.items():
                self._file(f"invalid/{name}, {place}.txt", data, "invalid")
        for name in NAMES:
            self._file(os.path.join("names", os.fsdecode(name)), b"a\nb", (2, 2))
            if len(name) < 240:
                self._file(os.path.join("names", os.fsdecode(b"in " + name), "a.txt"), b"c", (1, 1))
        deep = "deep/" + "d/" * 200
        self._file(f"{deep}a.txt", b"deep\n", (1, 4))
        self._make_objects()

    def _file(self, name: str, data: bytes, expected: Expected) -> None:
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        self.expected[path] = expected

    def _make_objects(self) -> None:
        folder = os.path.join(self.root, "objects")
        os.makedirs(os.path.join(folder, "empty folder.txt"))
        for name, target in {
            "link.txt": "../texts/unix.txt",
            "folder.txt": "../texts",
            "loop.txt": "loop.txt",
            "up.txt": "..",
            "dangling.txt": "nowhere",
        }.items():
            self.objects.append(os.path.join(folder, name))
            os.symlink(target, self.objects[-1])
        self.objects.append(os.path.join(folder, "fifo.txt"))
        os.mkfifo(self.objects[-1])
        self.objects.append(os.path.join(folder, "socket.txt"))
        here = os.getcwd()
        os.chdir(folder)  # a socket's path may be no longer than some hundred bytes
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind("socket.txt")
        finally:
            os.chdir(here)
