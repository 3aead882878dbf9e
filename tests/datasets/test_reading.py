from __future__ import annotations

import os
import tempfile
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.datasets.reading import is_folder, normal, open_regular, present, read_lines, reading
from g2l.errors import InputError

_LINE = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1)


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
        assert read_lines(path) == list(map(normal, lines))


def test_a_byte_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"one\ntw\xe9\n")
    with pytest.raises(InputError, match=r"latin\.txt:2: expected UTF-8 text, but found byte 0xe9 instead\."):
        read_lines(path)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_known_by_its_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "excel.csv"
    path.write_bytes("\ufeffa;ä\r\nb\r\n".encode(encoding))
    assert read_lines(path) == ["a;ä", "b"]
    path.write_bytes("\ufeffab".encode(encoding) + b"\x00")
    with pytest.raises(InputError, match="expected UTF-16"):
        read_lines(path)


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "device", "directory"])
def test_only_regular_files_are_opened_and_nothing_waits(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.txt"
    if "pipe" in kind:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(InputError, match=r"a\.txt: cannot be read \(expected a file, but it is a "):
        open_regular(path)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("X"), "cannot be read as a .mat file ('X')"),
        (ValueError("first\nsecond" + "x" * 999), "(first second"),
        (RuntimeError(), "(RuntimeError)"),
        (MemoryError(), "does not fit into memory"),
        (OSError(5, "Input/output error"), "(Input/output error)"),
        (FileNotFoundError(), "no such file."),
    ],
)
def test_what_a_library_raises_is_one_line_with_the_file(error: Exception, message: str) -> None:
    with pytest.raises(InputError) as caught, reading(Path("f/a.mat"), "a .mat file"):
        raise error
    assert caught.value.message.startswith("f/a.mat: ")
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400


def test_a_folder_that_may_not_be_entered_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [present(tmp_path), present(tmp_path / "none"), present(Path(__file__) / "none")] == [
        True,
        False,
        False,
    ]
    (tmp_path / "broken").symlink_to("nowhere")
    assert present(tmp_path / "broken")
    monkeypatch.setattr(Path, "lstat", Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(InputError, match=r"none: cannot be read \(Permission denied\)"):
        present(tmp_path / "none")
    monkeypatch.setattr(Path, "is_dir", Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(InputError, match=r"none: cannot be read \(Permission denied\)"):
        is_folder(tmp_path / "none")
