"""Which files are selected: what is named, what is wanted below folders, and what is said about the rest."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from allcores.jobs.count import FileCount, FileFailure, Selection, count_paths


def selected(*paths: str | Path, **options: Any) -> list[str]:
    """The paths of the files, in order; a failure would show as something that is no path."""
    return list(Selection(paths, **options))  # type: ignore[arg-type]


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("line\n")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the test's files, also the current one: paths stay short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_text_files_are_taken_below_folders_and_any_file_that_is_named(here: Path) -> None:
    make(here, "d/a.txt", "d/e/b.10w", "d/e/c.py", "d/TXT", "named.py")
    assert selected("d", "named.py") == ["d/a.txt", "d/e/b.10w", "named.py"]


def test_patterns_replace_the_default_ones_and_match_names(here: Path) -> None:
    make(here, "d/a.txt", "d/b.md", "d/md/c.rst", "d/md/readme")
    assert selected("d", include=["*.md", "read*"]) == ["d/b.md", "d/md/readme"]
    assert selected("d", include=[]) == []


def test_paths_come_in_the_order_of_their_bytes(here: Path) -> None:
    make(here, "d/a/z.txt", "d/a.txt", "d/a-b/c.txt", "d/a0.txt", "d/é.txt", "d/b/1.txt", "d-e/x.txt")
    names = selected("d", "d-e")
    assert names == sorted(names, key=os.fsencode)
    assert len(names) == 7


def test_hidden_names_are_left_out_and_tallied_unless_asked_for_or_named(here: Path) -> None:
    make(here, "d/.a.txt", "d/.git/b.txt", "d/.irrelevant", "d/c.txt")
    selection = Selection(["d"])
    assert list(selection) == ["d/c.txt"]
    assert selection.tally.left_out == {"hidden files": 1, "hidden folders": 1}
    assert selected("d", hidden=True) == ["d/.a.txt", "d/.git/b.txt", "d/c.txt"]
    assert selected("d/.git", "d/.a.txt") == ["d/.a.txt", "d/.git/b.txt"]


def test_links_below_a_folder_are_not_followed_but_tallied_so_that_loops_end(here: Path) -> None:
    make(here, "d/a.txt", "elsewhere/b.txt")
    os.symlink("..", here / "d/loop")
    os.symlink("../elsewhere", here / "d/away.txt")
    os.symlink("a.txt", here / "d/same.txt")
    os.symlink("nowhere", here / "d/dangling.txt")
    selection = Selection(["d"])
    assert list(selection) == ["d/a.txt"]
    assert selection.tally.left_out == {"links to folders": 2, "links to files": 2}


def test_links_that_are_named_are_followed(here: Path) -> None:
    make(here, "real/a.txt")
    os.symlink("real", here / "folder")
    os.symlink("real/a.txt", here / "file")
    assert selected("folder") == ["folder/a.txt"]
    assert list(count_paths(["file"])) == [FileCount("file", 1, 4, 5)]


def test_what_is_named_twice_or_also_reached_is_taken_once(here: Path) -> None:
    make(here, "d/a.txt", "d/e/b.txt", "d/e/c.py")
    assert selected("d", "d", here / "d") == ["d/a.txt", "d/e/b.txt"]
    assert selected("d/e/b.txt", "d", "d/e", "./d/e/b.txt", "d/e/c.py") == [
        "d/a.txt",
        "d/e/b.txt",
        "d/e/c.py",
    ]


def test_two_names_of_one_file_are_two_files(here: Path) -> None:
    make(here, "d/a.txt")
    os.link("d/a.txt", "d/b.txt")
    assert selected("d", "d/a.txt") == ["d/a.txt", "d/b.txt"]


def test_special_files_are_left_out_below_a_folder_and_a_failure_when_named(here: Path) -> None:
    make(here, "d/a.txt")
    os.mkfifo("d/fifo.txt")
    selection = Selection(["d"])
    assert list(selection) == ["d/a.txt"]
    assert selection.tally.left_out == {"FIFOs, sockets and devices": 1}
    assert list(count_paths(["d/fifo.txt"])) == [FileFailure("d/fifo.txt", "a FIFO, not a regular file")]


def test_a_folder_named_like_a_text_file_is_looked_through(here: Path) -> None:
    make(here, "d/folder.txt/a.txt")
    assert selected("d") == ["d/folder.txt/a.txt"]


def test_a_path_that_is_not_there_is_a_failure_and_the_rest_is_counted(here: Path) -> None:
    make(here, "a.txt")
    assert list(count_paths(["nowhere", "a.txt"])) == [
        FileCount("a.txt", 1, 4, 5),
        FileFailure("nowhere", "no such file or directory"),
    ]


def test_a_folder_that_cannot_be_listed_is_a_failure_and_the_rest_is_counted(here: Path) -> None:
    make(here, "d/a.txt", "d/b/c.txt", "d/z.txt")
    items = iter(Selection(["d"]))
    first = next(items)
    shutil.rmtree("d/b")
    assert [first, *items] == [
        "d/a.txt",
        FileFailure("d/b", "the folder cannot be listed: no such file or directory"),
        "d/z.txt",
    ]


def test_files_to_skip_are_passed_over_under_any_name_of_their_folder(here: Path) -> None:
    make(here, "d/a.txt", "d/result.txt")
    os.symlink("d", here / "link")
    assert selected("d", skip=["link/result.txt"]) == ["d/a.txt"]


def test_what_no_pattern_matched_is_tallied_by_ending(here: Path) -> None:
    make(here, "d/a.py", "d/e/b.py", "d/c.md", "d/README")
    selection = Selection(["d"])
    assert list(selection) == []
    assert selection.tally.unmatched_endings == {".py": 2, ".md": 1, "": 1}
    assert selection.tally.folders == 2


def test_what_was_named_keeps_its_place_between_what_is_found(here: Path) -> None:
    make(here, "d/a.txt", "d/b/c.txt", "d/b/named.py", "d/m.py", "d/z.txt", "d-e.txt", "d.txt")
    assert selected("d.txt", "d/m.py", "d", "d/b/named.py", "d-e.txt") == [
        "d-e.txt",
        "d.txt",
        "d/a.txt",
        "d/b/c.txt",
        "d/b/named.py",
        "d/m.py",
        "d/z.txt",
    ]


def test_a_folder_named_below_another_is_taken_even_where_it_would_be_left_out(here: Path) -> None:
    make(here, "d/.git/b.txt", "d/.git/deep/c.txt", "d/a.txt")
    assert selected("d", "d/.git") == ["d/.git/b.txt", "d/.git/deep/c.txt", "d/a.txt"]


def test_every_name_is_taken_if_the_pattern_is_a_star(here: Path) -> None:
    make(here, "d/a", "d/b.c", "d/.hidden")
    assert selected("d", include=["*"]) == ["d/a", "d/b.c"]


def test_excluded_names_are_left_out_wherever_they_are_and_tallied(here: Path) -> None:
    make(here, "d/a.txt", "d/skip.txt", "d/e/skip.txt", "d/e/b.txt", "d/node_modules/c.txt", "skip.txt")
    selection = Selection(["d", "skip.txt"], exclude=["skip*", "node_modules"])
    assert list(selection) == ["d/a.txt", "d/e/b.txt"]
    assert selection.tally.left_out == {"excluded files": 3, "excluded folders": 1}
    assert selected("d", exclude=["d"]) == []


def test_patterns_with_a_slash_are_for_the_path_below_the_folder(here: Path) -> None:
    make(here, "d/a.txt", "d/e/a.txt", "d/e/f/a.txt", "d/e/f/b.md", "d/g/a.txt")
    assert selected("d", include=["e/*.txt"]) == ["d/e/a.txt"]
    assert selected("d", include=["e/**/*.txt", "*.md"]) == ["d/e/a.txt", "d/e/f/a.txt", "d/e/f/b.md"]
    assert selected("d", exclude=["e/f/"]) == ["d/a.txt", "d/e/a.txt", "d/g/a.txt"]
    assert selected("d", exclude=["/a.txt"]) == ["d/e/a.txt", "d/e/f/a.txt", "d/g/a.txt"]
    assert selected("d", exclude=["**/a.txt"], include=["*"]) == ["d/e/f/b.md"]


def test_patterns_have_no_meaning_that_only_gitignore_gives_them(here: Path) -> None:
    make(here, "d/!e/a.txt", "d/#f/a.txt", "d/g.txt")
    assert selected("d", include=["!e/*.txt", "#f/*.txt"]) == ["d/!e/a.txt", "d/#f/a.txt"]


@pytest.mark.skipif(not shutil.which("git"), reason="git is what says what is right here")
def test_gitignore_leaves_out_what_git_does(here: Path) -> None:
    make(
        here,
        "r/a.txt", "r/b.log", "r/keep.log", "r/build/c.txt", "r/src/build/d.txt", "r/src/e.txt", "r/src/deep/f.tmp",
        "r/src/deep/g.txt", "r/only-here/h.txt", "r/src/only-here/i.txt", "r/docs/j.txt", "r/docs/k/l.txt",
        "r/sp ace.txt", "r/été.txt",
    )  # fmt: skip
    (here / "r/.gitignore").write_text("# a comment\n*.log\n!keep.log\nbuild/\n/only-here\ndocs/*\n!docs/k\n")
    (here / "r/src/.gitignore").write_text("*.tmp\n!build/\n")
    subprocess.run(["git", "init", "-q", "r"], check=True)
    command = ["git", "-C", "r", "ls-files", "-z", "--others", "--exclude-standard", "--", ":!*.gitignore"]
    listed = subprocess.run(command, check=True, capture_output=True).stdout
    expected = sorted((f"r/{os.fsdecode(name)}" for name in listed.split(b"\0") if name), key=os.fsencode)
    assert len(expected) == 9
    selection = Selection(["r"], include=["*"], gitignore=True)
    assert list(selection) == expected
    assert selection.tally.left_out["folders ignored by .gitignore"] == 2
    # Below the top, what is above counts as well, up to the repository's end.
    assert selected("r/src", include=["*"], gitignore=True) == [name for name in expected if name.startswith("r/src/")]
    assert "r/.git/HEAD" not in selected("r", include=["*"], gitignore=True, hidden=True)


def test_a_gitignore_that_cannot_be_read_is_a_failure_and_the_rest_is_selected(here: Path) -> None:
    make(here, "d/a.txt", "d/e/b.txt")
    os.mkdir("d/e/.gitignore")
    failure = FileFailure("d/e/.gitignore", "its rules were not followed: is a directory")
    assert list(Selection(["d"], gitignore=True)) == ["d/a.txt", failure, "d/e/b.txt"]


def test_links_are_followed_if_asked_and_loops_end(here: Path) -> None:
    make(here, "d/a.txt", "d/e/b.txt", "elsewhere/c.txt", "elsewhere/deep/d.txt")
    os.symlink("..", here / "d/e/loop")
    os.symlink("../elsewhere", here / "d/away")
    os.symlink("../elsewhere", here / "d/away-again")
    os.symlink("a.txt", here / "d/same.txt")
    os.symlink("nowhere", here / "d/z-dangling.txt")
    os.symlink("z-self.txt", here / "d/z-self.txt")
    items = list(Selection(["d"], follow=True))
    paths = [item for item in items if isinstance(item, str)]
    assert paths == ["d/a.txt", "d/away-again/c.txt", "d/away-again/deep/d.txt", "d/e/b.txt", "d/same.txt"]
    failures = {item.path: item.reason for item in items if isinstance(item, FileFailure)}
    assert failures == {
        "d/z-dangling.txt": "no such file or directory",
        "d/z-self.txt": "too many levels of symbolic links",
    }


def test_many_links_to_one_another_are_looked_through_once(here: Path) -> None:
    """Folders that each have two links to the next: 2 to the power of 30 ways, were each of them gone."""
    for number in range(30):
        make(here, f"d/{number:02}/a.txt")
        for name in ("x", "y"):
            os.symlink(f"../{number + 1:02}", here / f"d/{number:02}/{name}")
    assert len(selected("d", follow=True)) == 30


def test_names_that_are_no_names_are_failures(here: Path) -> None:
    reasons = [item.reason for item in Selection(["a\0b", "c\ud800"]) if isinstance(item, FileFailure)]
    assert reasons == ["no file can have this name"] * 2


def test_a_folder_may_be_named_with_a_slash_at_its_end(here: Path) -> None:
    make(here, "d/a.txt", "d/e/b.txt")
    assert selected("d/") == ["d/a.txt", "d/e/b.txt"]
    assert selected("d/", "d/e/", "./") == ["d/a.txt", "d/e/b.txt"]


def test_runs_are_neighbours_of_one_folder_in_the_order_of_paths(here: Path) -> None:
    make(here, "d/a.txt", "d/b/1.txt", "d/b/2.txt", "d/c.txt", "d/d.txt")
    runs = [(run.folder, run.names) for run in Selection(["d"]).runs() if not isinstance(run, FileFailure)]
    assert runs == [("d", ["a.txt"]), ("d/b", ["1.txt", "2.txt"]), ("d", ["c.txt", "d.txt"])]
