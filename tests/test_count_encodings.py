"""Other encodings than UTF-8, named or guessed: counts are those of Python's text mode with that encoding."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allcores.jobs.count import BinaryFile, FileCount, FileFailure, InvalidText, count_file, count_paths
from allcores.jobs.count.decoding import DecodingCounter, text_encoding
from count_expectations import counts_of_bytes, first_fault

MIB = 1024 * 1024

LATIN = "Où êtes-vous allés cet été ? Nous étions à la plage, près de la forêt.\r\nÇa va très bien, merci.\r"
CHINESE = "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。\n寒来暑往，秋收冬藏。闰余成岁，律吕调阳。\n"
TRADITIONAL = "這是一個繁體中文的文字檔案，用來測試編碼偵測。\r\n我們希望它能夠正確辨識。"
JAPANESE = "これは日本語のテキストファイルです。文字コードを判定します。\r吾輩は猫である。名前はまだ無い。\n"
RUSSIAN = "Это русский текст, который нужно распознать правильно. Съешь же ещё этих мягких французских булок.\n"
KOREAN = "이것은 한국어 텍스트 파일입니다. 문자 인코딩을 판별합니다.\n"
ODD = "a\r\n\rb\n\nc\x0cd\x85e\u2028f\x1cg\r"

ENCODINGS = {
    "utf-16": LATIN + CHINESE + ODD + "🙂",
    "utf-16-le": LATIN + CHINESE + ODD + "🙂",
    "utf-16-be": CHINESE + ODD + "🙂\ufeff",
    "utf-32": CHINESE + ODD + "🙂",
    "utf-32-be": CHINESE + ODD + "🙂",
    "utf-8-sig": CHINESE + ODD,
    "utf-7": LATIN + CHINESE,
    "gb18030": CHINESE + ODD + "🙂",
    "gbk": CHINESE,
    "gb2312": CHINESE.replace("闰", "润"),
    "hz": CHINESE,
    "big5": TRADITIONAL,
    "big5hkscs": TRADITIONAL,
    "shift-jis": JAPANESE,
    "euc-jp": JAPANESE,
    "iso2022_jp": JAPANESE,
    "euc-kr": KOREAN,
    "cp949": KOREAN,
    "koi8-r": RUSSIAN,
    "cp1251": RUSSIAN,
    "latin-1": LATIN + "\x85\n",
    "cp1252": LATIN,
    "cp437": "é\r\nü",
    "ascii": "plain\r\nwords\r",
}


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(("encoding", "text"), ENCODINGS.items())
def test_files_count_like_text_mode_with_that_encoding(tmp_path: Path, encoding: str, text: str) -> None:
    for times in (1, 9000):  # more than a block, so that characters are cut
        data = (text * times).encode(encoding)
        path = write(tmp_path / "a.txt", data)
        row = count_file(path, encoding=encoding)
        assert row[1:3] == counts_of_bytes(data, encoding)
        assert (row.bytes, row.encoding) == (len(data), text_encoding(encoding))


@settings(deadline=None)
@given(
    encoding=st.sampled_from(sorted(ENCODINGS)),
    pieces=st.lists(st.sampled_from("ab \r\n天é🙂\x85\u2028\x0c"), max_size=30),
    gulps=st.lists(st.integers(1, 7)),
)
def test_text_counts_the_same_wherever_it_is_cut(encoding: str, pieces: list[str], gulps: list[int]) -> None:
    data = "".join(pieces).encode(encoding, "ignore")
    counter = DecodingCounter(text_encoding(encoding), "strict")
    position = 0
    for gulp in gulps:
        counter.feed(memoryview(data)[position : position + gulp])
        position += gulp
    counter.feed(data[position:], final=True)
    _, _, line_ends, characters, size, is_open = counter.result()
    assert (line_ends + is_open, characters, size) == (*(counts_of_bytes(data, encoding) or ()), len(data))


@settings(deadline=None)
@given(
    encoding=st.sampled_from(["gb18030", "shift_jis", "utf-16", "utf-32-le", "ascii", "euc_kr"]),
    data=st.binary(max_size=40) | st.text("ab天\r\n", max_size=20).map(lambda text: text.encode("gb18030") + b"\xff"),
    errors=st.sampled_from(["strict", "replace", "ignore"]),
    gulps=st.lists(st.integers(1, 7)),
)
def test_wrong_bytes_are_dealt_with_like_text_mode_does_it(
    encoding: str, data: bytes, errors: str, gulps: list[int]
) -> None:
    expected = counts_of_bytes(data, encoding, errors)
    counter = DecodingCounter(text_encoding(encoding), errors)
    position = 0
    try:
        for gulp in gulps:
            counter.feed(data[position : position + gulp])
            position += gulp
        counter.feed(data[position:], final=True)
    except InvalidText as error:
        assert expected is None
        if encoding != "utf-16":  # which text mode wants to have a mark, and `decode` does not
            fault = first_fault(data, encoding)
            assert (error.offset, error.reason) == fault  # noqa: PT017
    else:
        _, _, line_ends, characters, _, is_open = counter.result()
        assert (line_ends + is_open, characters) == expected


def test_a_whole_folder_is_counted_in_another_encoding_on_any_engine(tmp_path: Path) -> None:
    data = CHINESE.encode("gb18030")
    for number in range(30):
        write(tmp_path / f"{number}.txt", data * (number * 1000))
    write(tmp_path / "bad.txt", data + b"\xff\n")
    write(tmp_path / "binary.txt", b"\0" * 10)
    rows = list(count_paths([tmp_path], encoding="GB18030", processes=1))
    counted = {row.path: row[1:3] for row in rows if isinstance(row, FileCount)}
    assert counted == {
        str(tmp_path / f"{number}.txt"): counts_of_bytes(data * (number * 1000), "gb18030") for number in range(30)
    }
    assert {row.encoding for row in rows if isinstance(row, FileCount)} == {"gb18030"}
    assert [row for row in rows if not isinstance(row, FileCount)] == [
        FileFailure(str(tmp_path / "bad.txt"), f"not GB18030: illegal multibyte sequence at byte {len(data)}"),
        BinaryFile(str(tmp_path / "binary.txt"), "binary: it has a NUL near its start"),
    ]
    for engine in ("threads", "processes"):
        assert list(count_paths([tmp_path], encoding="gb18030", processes=2, engine=engine)) == rows


def test_utf_16_without_its_mark_is_a_failure_that_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "text".encode("utf-16-le"))
    (row,) = count_paths([path], encoding="utf-16")
    assert isinstance(row, FileFailure)
    assert re.fullmatch(r"not UTF-16: (UTF-16 s|S)tream does not start with BOM at byte 0", row.reason)


def test_wide_text_taken_for_utf_8_is_binary_and_its_mark_is_mentioned(tmp_path: Path) -> None:
    for encoding, size in (("utf-16", 12), ("utf-32", 24), ("utf-16", 40 << 20)):
        path = write(tmp_path / "a.txt", "text\n".encode(encoding))
        os.truncate(path, size)
        (row,) = count_paths([path])
        assert isinstance(row, BinaryFile)
        assert "UTF-16 or UTF-32 by its byte-order mark" in row.reason


# -- guessing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", CHINESE),
        ("ascii", "plain words\n"),
        ("gb18030", CHINESE),
        ("big5", TRADITIONAL),
        ("shift-jis", JAPANESE),
        ("euc-jp", JAPANESE),
        ("euc-kr", KOREAN),
        ("cp1251", RUSSIAN),
        ("koi8-r", RUSSIAN),
        ("latin-1", LATIN),
        ("utf-16", CHINESE),
        ("utf-16-le", LATIN),
        ("utf-32", CHINESE),
    ],
)
def test_a_guess_counts_what_the_real_encoding_counts_and_is_in_the_row(
    tmp_path: Path, encoding: str, text: str
) -> None:
    for times in (1, 3000):
        data = (text * times).encode(encoding)
        row = count_file(write(tmp_path / "a.txt", data), encoding="auto")
        assert row[1:3] == counts_of_bytes(data, encoding), row.encoding
        # The guess may be another name, or a larger set of the same characters.
        assert data.decode(row.encoding).removeprefix("\ufeff") == data.decode(encoding).removeprefix("\ufeff")
    (row_of_folder,) = count_paths([tmp_path], encoding="auto")
    assert row_of_folder == row


def test_text_that_shows_its_encoding_late_is_guessed_by_what_shows_it(tmp_path: Path) -> None:
    data = b"plain words for a while\n" * 50_000 + CHINESE.encode("gb18030") * 20
    row = count_file(write(tmp_path / "a.txt", data), encoding="auto")
    assert row[1:3] == counts_of_bytes(data, "gb18030")


def test_utf_8_with_a_fault_is_not_guessed_to_be_something_else(tmp_path: Path) -> None:
    data = CHINESE.encode() * 20_000
    path = write(tmp_path / "a.txt", data[: MIB + 1] + b"\xff\n" + data)
    (row,) = count_paths([path], encoding="auto")
    assert isinstance(row, FileFailure)
    assert row.reason.startswith("not UTF-8: ")


def test_what_looks_like_no_text_is_binary(tmp_path: Path) -> None:
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 20
    path = write(tmp_path / "a.txt", png)
    (row,) = count_paths([path], encoding="auto")
    assert row == BinaryFile(path, "binary: it looks like no text of any encoding")


def test_binary_files_are_counted_as_utf_8_if_asked_for_and_nothing_else_fits(tmp_path: Path) -> None:
    data = b"abc\0def\n" * 100
    (row,) = count_paths([write(tmp_path / "a.txt", data)], encoding="auto", binary=True)
    assert isinstance(row, FileCount)
    assert row[1:3] == counts_of_bytes(data)


def test_nothing_is_guessed_where_all_is_utf_8(tmp_path: Path) -> None:
    """The detector takes a tenth of a second to import."""
    write(tmp_path / "a.txt", CHINESE.encode())
    program = (
        "import sys; from allcores.jobs.count import count_paths\n"
        f"print([row.lines for row in count_paths([{str(tmp_path)!r}], encoding='auto')], 'chardet' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout == "[2] False\n"
