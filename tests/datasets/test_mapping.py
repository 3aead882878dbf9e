from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.datasets.mapping import read_mapping
from g2l.errors import InputError

_NAME = st.text(st.characters(categories=["L", "N", "P"], include_characters=" "), min_size=1).map(str.strip)


def _read(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "mapping.txt"
    path.write_bytes(text.encode())
    return read_mapping(path).names


@given(names=st.lists(_NAME.filter(bool), min_size=1, max_size=8, unique=True), seed=st.randoms())
def test_any_names_in_any_order_of_lines_come_back_in_index_order(names: list[str], seed: object) -> None:
    lines = [f"{index} {name}\n" for index, name in enumerate(names)]
    seed.shuffle(lines)  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        assert _read(Path(folder), "".join(lines)) == tuple(names)


@given(text=st.text(max_size=40))
def test_any_text_is_a_mapping_or_an_input_error(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder, suppress(InputError):
        assert len(_read(Path(folder), text)) > 0


def test_index_is_the_inverse_of_names(tmp_path: Path) -> None:
    (tmp_path / "mapping.txt").write_text("1 cut\n0 background\n")
    mapping = read_mapping(tmp_path / "mapping.txt")
    assert len(mapping) == 2
    assert mapping.index == {"background": 0, "cut": 1}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0 take cup\n1 pour  milk", ("take cup", "pour  milk")),
        ("\ufeff0 a\r\n\r\n1 b\r\n", ("a", "b")),
        ("0\ta\n1\tb c\n", ("a", "b c")),
        ("0   a\n", ("a",)),
    ],
)
def test_names_keep_their_spaces_and_line_ends_do_not_matter(
    tmp_path: Path, text: str, names: tuple[str, ...]
) -> None:
    assert _read(tmp_path, text) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"mapping\.txt: expected one `<index> <class name>` a line, but it is empty\."),
        ("\n \n", r"but it is empty\."),
        ("0 a\nb\n", r"mapping\.txt:2: expected `<index> <class name>`, but found 'b' instead\."),
        ("a 0\n", r":1: expected `<index> <class name>`, but found 'a 0' instead\."),
        (f"{'9' * 5000} a\n", r":1: expected `<index> <class name>`, but found '9{299}… instead"),
        ("-1 a\n", r":1: expected `<index> <class name>`"),
        ("0\n", r":1: expected `<index> <class name>`"),
        ("0 a\n0 b\n", r":2: index 0 must occur once, but is also in line 1\."),
        ("0 a\n1 a\n", r":2: class 'a' must occur once, but also has index 0\."),
        ("0 a\n2 b\n", r":2: indices must be 0 … 1 without a gap, but 1 is missing\."),
        ("1 a\n2 b\n", r":2: indices must be 0 … 1 without a gap, but 0 is missing\."),
    ],
)
def test_faults_name_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _read(tmp_path, text)
