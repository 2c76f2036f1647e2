"""The native kernel, in each of its ways, and its twin in Python: all of them count like Python's text mode."""

from __future__ import annotations

import io
import itertools
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allcores.jobs.count import twin
from allcores.jobs.count.blocks import count_blocks
from allcores.jobs.count.outcomes import BINARY, COUNTED, FAILED, INVALID, LARGE, NOT_REGULAR
from allcores.jobs.count.splitting import cut, join
from count_expectations import BROKEN_PIECES, PIECES, counts_of_bytes, first_fault

try:
    from allcores.jobs.count import _native
except ImportError:
    native: ModuleType | None = None
    WAYS = []
else:
    native = _native
    WAYS = _native.available_ways()

BLOCK = 256 * 1024
NO_LIMIT = 1 << 62


@pytest.fixture(params=["python", *WAYS], scope="module")
def kernel(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each kernel in turn; the native one goes back to its best way afterwards."""
    if request.param == "python":
        yield twin
    else:
        assert native is not None
        native.use_way(request.param)
        yield native
        native.use_way(WAYS[0])


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no compiler here, so there need be no native kernel")
def test_where_there_is_a_compiler_there_is_the_native_kernel() -> None:
    assert native is not None
    assert "plain" in WAYS
    if Path("/proc/cpuinfo").exists() and " avx2 " in Path("/proc/cpuinfo").read_text():
        assert WAYS[0] == "avx2"


def verdict(kernel: Any, data: bytes) -> tuple[int, int] | None:
    """Lines and characters of a text, or None if it is not valid, by a counter that is fed all at once."""
    counter = kernel.Counter()
    if counter.feed(bytearray(data), len(data)) != len(data):
        return None
    _, _, line_ends, characters, size, is_open = counter.result()
    assert size == len(data)
    return line_ends + is_open, characters


# -- counting and judging ----------------------------------------------------------------------------------

texts = st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join)
mixtures = st.lists(st.sampled_from([*PIECES, *BROKEN_PIECES.values()]) | st.binary(max_size=3), max_size=60).map(
    b"".join
)


@settings(deadline=None)
@given(data=texts | mixtures)
def test_any_bytes_count_like_text_mode(kernel: Any, data: bytes) -> None:
    assert verdict(kernel, data) == counts_of_bytes(data)


def test_every_pair_of_bytes_is_judged_like_the_decoder_judges_it(kernel: Any) -> None:
    for first in range(0x7F, 0x100):
        for second in range(0x100):
            data = b"a" * 30 + bytes((first, second)) + b"z"
            assert (verdict(kernel, data) is None) == (first_fault(data) is not None), data


def test_the_edges_of_longer_characters_are_judged_like_the_decoder_judges_them(kernel: Any) -> None:
    continuations = (0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0)
    for lead in range(0xE0, 0x100):
        for rest in itertools.product(continuations, repeat=2 if lead < 0xF0 else 3):
            data = b"a" * 61 + bytes((lead, *rest)) + b"z"
            assert (verdict(kernel, data) is None) == (first_fault(data) is not None), data


@pytest.mark.parametrize("around", [b"a", "é".encode(), "天".encode(), "🙂".encode(), b"\r\n", b"\n"], ids=repr)
def test_wherever_a_fault_stands_it_is_found(kernel: Any, around: bytes) -> None:
    """Vector code takes 32 and 64 bytes at a time: every place within two of those, and the end of the text."""
    for broken in BROKEN_PIECES.values():
        for before in range(0, 132, len(around)):
            for after in (b"", around * 40):
                data = around * (before // len(around)) + broken + after
                assert verdict(kernel, data) is None, data


def test_wherever_a_piece_stands_it_is_counted(kernel: Any) -> None:
    for piece in PIECES:
        for before in range(132):
            for after in (b"", b"\n", b"z" * 70):
                data = b"a" * before + piece + after
                assert verdict(kernel, data) == counts_of_bytes(data), data


def test_long_texts_overflow_no_count(kernel: Any) -> None:
    for piece in PIECES:
        data = piece * 70_000
        assert verdict(kernel, data) == counts_of_bytes(data), piece


def test_random_damage_is_judged_like_the_decoder_judges_it(kernel: Any) -> None:
    chance = random.Random(20251122)
    text = ("天地玄黄 宇宙洪荒\r\n" + "plain words, é and 🙂\n" + "日月盈昃\r").encode() * 4
    for _ in range(3000):
        start = chance.randrange(len(text) // 2)
        data = bytearray(text[start : start + chance.randrange(300)])
        for _ in range(chance.randrange(3)):
            if data:
                data[chance.randrange(len(data))] = chance.choice(
                    (0x0A, 0x0D, 0x41, 0x80, 0xC3, 0xE5, 0xF0, chance.randrange(256))
                )
        assert verdict(kernel, bytes(data)) == counts_of_bytes(bytes(data)), bytes(data)


# -- text that comes in pieces -----------------------------------------------------------------------------


def counted_in_gulps(kernel: Any, data: bytes, block_size: int, gulps: Iterator[int]) -> tuple[int, int] | None:
    stream = io.BytesIO(data)
    outcome = count_blocks(
        lambda view: stream.readinto(view[: next(gulps, len(view))]), kernel.Counter(), bytearray(block_size)
    )
    if outcome[0] == INVALID:
        assert first_fault(data[: outcome[1]]) is None
        return None
    assert outcome[0] == COUNTED
    return outcome[2] + outcome[5], outcome[3]


@settings(deadline=None)
@given(data=texts | mixtures, block_size=st.integers(4, 12), gulps=st.lists(st.integers(1, 12)))
def test_text_counts_the_same_wherever_it_is_cut(kernel: Any, data: bytes, block_size: int, gulps: list[int]) -> None:
    assert counted_in_gulps(kernel, data, block_size, iter(gulps)) == counts_of_bytes(data)


def test_every_cut_through_a_text_of_all_kinds_gives_the_same_counts(kernel: Any) -> None:
    data = b"".join(PIECES) * 2
    expected = counts_of_bytes(data)
    for block_size in range(4, len(data) + 2):
        for first in range(1, block_size + 1):
            assert counted_in_gulps(kernel, data, block_size, iter([first])) == expected


def test_a_counter_refuses_more_than_the_buffer_holds(kernel: Any) -> None:
    for filled in (-1, 5):
        with pytest.raises(ValueError, match="filled must be within the buffer"):
            kernel.Counter().feed(bytearray(4), filled)


# -- files -------------------------------------------------------------------------------------------------


def counted_file(kernel: Any, path: Path, **options: Any) -> Any:
    values = {"large": NO_LIMIT, "look_for_nul": False, "block_size": BLOCK, **options}
    (outcome,) = kernel.count_files(str(path.parent), [path.name], *values.values())
    assert kernel.count_files(None, [str(path)], *values.values()) == [outcome]
    return outcome


@settings(deadline=None)
@given(data=texts | mixtures, block_size=st.integers(4, 200))
def test_files_count_like_text_mode_whatever_the_size_of_blocks(
    kernel: Any, tmp_path_factory: pytest.TempPathFactory, data: bytes, block_size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "property.txt"
    path.write_bytes(data)
    outcome = counted_file(kernel, path, block_size=block_size)
    expected = counts_of_bytes(data)
    if expected is None:
        assert outcome[0] == INVALID
        assert first_fault(data[: outcome[1]]) is None
    else:
        assert outcome[:2] == (COUNTED, -1)
        assert (outcome[2] + outcome[5], outcome[3], outcome[4]) == (*expected, len(data))


@settings(deadline=None)
@given(data=texts, slice_size=st.integers(4, 60), block_size=st.integers(4, 30))
def test_slices_add_up_to_the_whole(
    kernel: Any, tmp_path_factory: pytest.TempPathFactory, data: bytes, slice_size: int, block_size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "sliced.txt"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        pieces = list(cut(descriptor, len(data), slice_size))
        whole = join([(piece, kernel.count_part(descriptor, *piece, block_size)) for piece in pieces])
    finally:
        os.close(descriptor)
    assert len(pieces) >= len(data) // (slice_size + 4)
    assert isinstance(whole, tuple)
    assert (whole[2] + whole[5], whole[3], whole[4]) == (*(counts_of_bytes(data) or ()), len(data))


@settings(deadline=None)
@given(data=mixtures, slice_size=st.integers(4, 60))
def test_slices_of_invalid_text_are_found_to_be_invalid_where_all_before_is_valid(
    kernel: Any, tmp_path_factory: pytest.TempPathFactory, data: bytes, slice_size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "sliced.txt"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        pieces = list(cut(descriptor, len(data), slice_size))
        whole = join([(piece, kernel.count_part(descriptor, *piece, BLOCK)) for piece in pieces])
    finally:
        os.close(descriptor)
    assert isinstance(whole, tuple)
    fault = first_fault(data)
    if fault is None:
        assert (whole[2] + whole[5], whole[3]) == counts_of_bytes(data)
    else:
        assert whole[0] == INVALID
        # The rest, from there on, has the same fault at the same place as the whole.
        rest = first_fault(data[whole[1] :])
        assert rest is not None
        assert (whole[1] + rest[0], rest[1]) == fault


def test_what_is_not_counted_is_told_apart(kernel: Any, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"text\0and more")
    (tmp_path / "late").write_bytes(b"a" * 8000 + b"\0")
    (tmp_path / "wide").write_bytes("text".encode("utf-16"))
    (tmp_path / "large").write_bytes(b"1234567890")
    os.mkfifo(tmp_path / "fifo")
    names = ["binary", "late", "wide", "large", "fifo", "gone"]
    outcomes = kernel.count_files(str(tmp_path), names, 10_000, True, BLOCK)
    assert [outcome[0] for outcome in outcomes] == [BINARY, COUNTED, BINARY, COUNTED, NOT_REGULAR, FAILED]
    assert [outcomes[0][1], outcomes[2][1]] == [0, 1]
    assert os.strerror(outcomes[5][1]) == "No such file or directory"
    assert counted_file(kernel, tmp_path / "large", large=10) == (LARGE, 10, 0, 0, 0, 0)
    assert counted_file(kernel, tmp_path / "large", large=11)[0] == COUNTED
    assert counted_file(kernel, tmp_path / "binary")[0] == COUNTED


def test_files_in_a_folder_that_is_gone_fail_with_the_reason(kernel: Any, tmp_path: Path) -> None:
    outcomes = kernel.count_files(str(tmp_path / "gone"), ["a", "b"], NO_LIMIT, True, BLOCK)
    assert [(outcome[0], os.strerror(outcome[1])) for outcome in outcomes] == [
        (FAILED, "No such file or directory")
    ] * 2


def test_a_file_that_cannot_be_read_fails_with_the_reason(kernel: Any) -> None:
    path = Path("/proc/self/mem")  # nothing is mapped where it begins
    if not path.exists():
        pytest.skip("no /proc here")
    outcome = counted_file_once(kernel, path, block_size=BLOCK)
    assert (outcome[0], os.strerror(outcome[1])) == (FAILED, "Input/output error")


def test_wrong_arguments_are_refused(kernel: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="4 bytes"):
        kernel.count_files(None, [], NO_LIMIT, True, 3)
    with pytest.raises(ValueError, match="4 bytes"):
        kernel.count_part(0, 0, 1, 3)
    assert kernel.count_files(None, [], NO_LIMIT, True, 4) == []
    outcome = kernel.count_part(-1, 0, 1, 4)
    assert (outcome[0], os.strerror(outcome[1])) == (FAILED, "Bad file descriptor")


def test_the_stated_size_is_not_believed(kernel: Any) -> None:
    path = Path("/proc/self/status")
    if not path.exists():
        pytest.skip("no /proc here")
    assert path.stat().st_size == 0
    outcome = counted_file(kernel, path, block_size=64)
    assert outcome[:2] == (COUNTED, -1)
    assert outcome[2] > 10


@pytest.mark.parametrize("grows", [True, False], ids=["grows", "shrinks"])
def test_a_file_that_changes_while_it_is_read_is_counted_and_marked(kernel: Any, tmp_path: Path, grows: bool) -> None:
    """Another process changes its length as soon as reading has moved on by one block, which is small."""
    path = tmp_path / "changing.txt"
    size = 30_000_000
    path.write_bytes(b"")
    os.truncate(path, size)
    change = f"os.truncate({str(path)!r}, {size + 1000 if grows else 1000})"
    program = f"import os, sys\nsys.stdin.read(1)\n{change}\n"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as other:
        assert other.stdin is not None
        other.stdin.write(b"x")
        other.stdin.close()
        for _ in range(1000):
            outcome = counted_file_once(kernel, path, block_size=4096)
            assert outcome[0] == COUNTED
            if outcome[1] != -1:
                assert outcome[1] == size
                assert outcome[4] != size
                break
            if path.stat().st_size != size:
                break  # it changed between two counts, which cannot be helped
    assert counted_file_once(kernel, path, block_size=BLOCK)[4] == (size + 1000 if grows else 1000)


def counted_file_once(kernel: Any, path: Path, block_size: int) -> Any:
    (outcome,) = kernel.count_files(None, [str(path)], NO_LIMIT, False, block_size)
    return outcome


# -- which kernel ------------------------------------------------------------------------------------------


def run_python(program: str, **environment: str) -> SimpleNamespace:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return SimpleNamespace(code=done.returncode, output=done.stdout.strip(), errors=done.stderr)


@pytest.mark.parametrize("name", ["python", *WAYS])
def test_the_environment_chooses_the_kernel(name: str) -> None:
    program = "from allcores.jobs.count import kernel; print(kernel.kernel_name, kernel.kernel.__name__)"
    done = run_python(program, ALLCORES_COUNT_KERNEL=name)
    module = "twin" if name == "python" else "_native"
    assert (done.output, done.errors) == (f"{name} allcores.jobs.count.{module}", "")
    if WAYS:
        assert run_python(program, ALLCORES_COUNT_KERNEL="").output.split()[0] == WAYS[0]


def test_a_kernel_that_there_is_not_is_refused() -> None:
    done = run_python("import allcores.jobs.count", ALLCORES_COUNT_KERNEL="quantum")
    assert done.code == 1
    assert "ALLCORES_COUNT_KERNEL must be auto, python, avx2 or plain, not 'quantum'" in done.errors


def test_without_the_native_kernel_its_twin_counts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("天\r\nb".encode())
    program = (
        "import sys; sys.modules['allcores.jobs.count._native'] = None\n"
        "from allcores.jobs.count import count_file, kernel\n"
        f"print(kernel.kernel_name, count_file({str(tmp_path / 'a.txt')!r})[1:3])"
    )
    assert run_python(program).output == "python (2, 2)"
