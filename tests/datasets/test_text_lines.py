from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.datasets.text_lines import numbered, read_lines
from g2l.errors import InputError

_LINE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)


@given(
    lines=st.lists(_LINE.filter(lambda text: not text.startswith("\ufeff"))),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    ended=st.booleans(),
)
def test_lines_survive_any_line_end_byte_order_mark_and_missing_last_end(
    lines: list[str], end: str, mark: bytes, ended: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.txt"
        text = end.join(lines) + (end if ended and lines else "")
        path.write_bytes(mark + text.encode())
        assert read_lines(path) == lines


@given(raw=st.binary(max_size=64))
def test_any_bytes_are_lines_or_an_input_error(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.txt"
        path.write_bytes(raw)
        with suppress(InputError):
            assert "\n" not in "".join(read_lines(path))


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    assert read_lines(tmp_path / "empty.txt") == []


def test_numbers_are_those_of_the_file_when_blank_lines_are_skipped() -> None:
    assert list(numbered(["", "a ", "  ", "\tb c"])) == [(2, "a"), (4, "b c")]


def test_a_byte_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"one\ntw\xe9\n")
    with pytest.raises(InputError, match=r"latin\.txt:2: expected UTF-8 text, but found byte 0xe9 instead\."):
        read_lines(path)


def test_a_missing_file_and_a_folder_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.txt: no such file\."):
        read_lines(tmp_path / "absent.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_lines(tmp_path)
