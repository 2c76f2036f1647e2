"""Files that fsspec opens: the same counts, the same rules, the same kinds of failure."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

fsspec = pytest.importorskip("fsspec", reason="addresses need fsspec")

from allcores.jobs.count import BinaryFile, FileCount, FileFailure, Selection, count_paths  # noqa: E402


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's file system in this process's memory, empty before and after."""
    file_system = fsspec.filesystem("memory")
    file_system.store.clear()
    file_system.pseudo_dirs[:] = [""]
    yield file_system
    file_system.store.clear()
    file_system.pseudo_dirs[:] = [""]


def counts(rows: Any) -> dict[str, Any]:
    return {row.path: row[1:3] if isinstance(row, FileCount) else row.reason for row in rows}


def test_a_folder_in_memory_is_looked_through(memory: Any) -> None:
    memory.pipe(
        {
            "/docs/a.txt": "天\r\nb".encode(),
            "/docs/deep/er/b.10w": b"one\n",
            "/docs/c.md": b"not asked for\n",
            "/docs/.hidden.txt": b"hidden\n",
            "/docs/.git/d.txt": b"hidden\n",
            "/docs/bad.txt": b"\xff",
            "/docs/binary.txt": b"a\0b",
        }
    )
    selection = Selection(["memory://docs"])
    assert list(selection) == [
        "memory://docs/a.txt",
        "memory://docs/bad.txt",
        "memory://docs/binary.txt",
        "memory://docs/deep/er/b.10w",
    ]
    assert selection.tally.left_out == {"hidden files": 1, "hidden folders": 1}
    assert selection.tally.unmatched_endings == {".md": 1}
    assert list(count_paths(["memory://docs"])) == [
        FileCount("memory://docs/a.txt", 2, 2, 6),
        FileFailure("memory://docs/bad.txt", "not UTF-8: invalid start byte at byte 0"),
        BinaryFile("memory://docs/binary.txt", "binary: it has a NUL near its start"),
        FileCount("memory://docs/deep/er/b.10w", 1, 3, 4),
    ]


def test_patterns_hold_for_addresses_too(memory: Any) -> None:
    memory.pipe({f"/d/{name}": b"x\n" for name in ("a.py", "b/c.py", "b/d.txt", "e/f.py", ".g.py")})
    options: Any = {"include": ["*.py"], "exclude": ["e"], "hidden": True}
    assert list(Selection(["memory://d"], **options)) == ["memory://d/.g.py", "memory://d/a.py", "memory://d/b/c.py"]
    assert list(Selection(["memory://d"], include=["b/*"])) == ["memory://d/b/c.py", "memory://d/b/d.txt"]


def test_a_file_is_counted_whatever_its_name_and_one_that_is_not_there_is_a_failure(memory: Any) -> None:
    memory.pipe("/a.py", b"one\ntwo")
    assert counts(count_paths(["memory://a.py", "memory://nowhere"])) == {
        "memory://a.py": (2, 6),
        "memory://nowhere": "no such file or directory",
    }


def test_what_is_named_twice_is_counted_once(memory: Any) -> None:
    memory.pipe("/a.txt", b"one\n")
    assert counts(count_paths(["memory://a.txt", "memory://a.txt"])) == {"memory://a.txt": (1, 3)}
    assert list(Selection(["memory://a.txt", "memory://a.txt"])) == ["memory://a.txt"]


def test_many_blocks_are_read_and_cut_characters_put_together(memory: Any) -> None:
    memory.pipe("/a.txt", ("天地玄黄\r\n" * 200_000).encode())
    assert counts(count_paths(["memory://a.txt"])) == {"memory://a.txt": (200_000, 800_000)}
    memory.pipe("/a.txt", ("天地玄黄\r\n" * 200_000).encode() + b"\xff")
    assert counts(count_paths(["memory://a.txt"])) == {
        "memory://a.txt": "not UTF-8: invalid start byte at byte 2800000"
    }


def test_other_encodings_are_read_from_addresses_too(memory: Any) -> None:
    data = "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。\n".encode("gb18030") * 100
    memory.pipe("/a.txt", data)
    assert counts(count_paths(["memory://a.txt"], encoding="gb18030")) == {"memory://a.txt": (100, 2000)}
    (row,) = count_paths(["memory://a.txt"], encoding="auto")
    assert isinstance(row, FileCount)
    assert row[1:3] == (100, 2000)
    (row,) = count_paths(["memory://a.txt"], errors="ignore")
    assert isinstance(row, FileCount)
    assert row.lines == 100


def test_archives_are_looked_into(tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("a.txt", "d/b.txt", "d/e/c.txt", "d/f.md"):
            file.writestr(name, "one\ntwo\n")
    assert counts(count_paths([f"zip://::{archive}"])) == {
        f"zip://{name}::{archive}": (2, 6) for name in ("a.txt", "d/b.txt", "d/e/c.txt")
    }
    assert counts(count_paths([f"zip://d::{archive}"])) == {
        f"zip://{name}::{archive}": (2, 6) for name in ("d/b.txt", "d/e/c.txt")
    }
    assert counts(count_paths([f"zip://d/f.md::{archive}"])) == {f"zip://d/f.md::{archive}": (2, 6)}


def test_many_remote_files_come_in_order_from_threads(memory: Any) -> None:
    memory.pipe({f"/d/{number:04}.txt": b"line\n" * number for number in range(500)})
    rows = list(count_paths(["memory://d"]))
    assert rows == [FileCount(f"memory://d/{number:04}.txt", number, 4 * number, 5 * number) for number in range(500)]
    assert list(count_paths(["memory://d"], engine="threads", processes=3)) == rows
    assert list(count_paths(["memory://d"], processes=1)) == rows


def test_a_file_system_that_there_is_not_is_a_failure_and_the_rest_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("line\n")
    rows = counts(count_paths(["nosuch://bucket/x", tmp_path]))
    assert rows.pop(str(tmp_path / "a.txt")) == (1, 4)
    assert rows == {"nosuch://bucket/x": "ValueError: Protocol not known: nosuch"}


class Flaky(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """A file system that breaks in every way, as remote ones do."""

    protocol = "flaky"

    def ls(self, path: str, detail: bool = True, **_: Any) -> Any:
        if path.strip("/") == "d/locked":
            raise PermissionError("denied by policy\nwith a long explanation")
        if path.strip("/") == "d":
            names = {"d/a.txt": "file", "d/locked": "directory", "d/lost.txt": "file", "d/z.txt": "file"}
            return [{"name": name, "type": kind, "size": 4} for name, kind in names.items()]
        raise FileNotFoundError(path)

    def info(self, path: str, **_: Any) -> Any:
        return {"name": path, "type": "directory" if path.strip("/") in ("d", "d/locked") else "file", "size": 4}

    def _open(self, path: str, *_: Any, **__: Any) -> Any:
        if "lost" in path:
            raise RuntimeError("connection reset by peer")
        return io.BytesIO(b"one\n")


def test_what_a_file_system_raises_becomes_a_reason_and_the_rest_is_counted() -> None:
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    assert counts(count_paths(["flaky://d"])) == {
        "flaky://d/a.txt": (1, 3),
        "flaky://d/locked": "the folder cannot be listed: PermissionError: denied by policy",
        "flaky://d/lost.txt": "RuntimeError: connection reset by peer",
        "flaky://d/z.txt": (1, 3),
    }


def test_a_local_file_with_the_name_of_an_address_is_a_local_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "memory:").mkdir()
    (tmp_path / "memory:" / "a.txt").write_text("line\n")
    assert counts(count_paths(["memory://a.txt"])) == {"memory://a.txt": (1, 4)}


def test_without_fsspec_the_error_names_what_installs_it(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['fsspec'] = sys.modules['fsspec.core'] = None\n"
        "from allcores.jobs.count import count_paths\n"
        "print(*[row.reason for row in count_paths(['s3://bucket/a.txt'])])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout == "reading addresses needs fsspec: pip install 'allcores[remote]'\n"
