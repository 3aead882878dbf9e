from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.datasets.bundle import name_fault, read_bundle
from g2l.errors import InputError


def _read(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "train.split1.bundle"
    path.write_bytes(text.encode())
    return read_bundle(path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a.txt\nb.txt\n", ("a", "b")),
        ("a.txt\r\n\r\nb.txt", ("a", "b")),
        ("\ufeffa.txt\n  b.txt  \n", ("a", "b")),
        ("P03.cam01.v2.txt\nrgb-01.1.txt\n", ("P03.cam01.v2", "rgb-01.1")),
        ("no.suffix\n", ("no.suffix",)),
        ("two words.txt\n", ("two words",)),
    ],
)
def test_names_lose_their_suffix_and_keep_their_dots(
    tmp_path: Path, text: str, names: tuple[str, ...]
) -> None:
    assert _read(tmp_path, text) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"train\.split1\.bundle: expected one `<video>\.txt` a line, but the bundle is empty\."),
        ("\r\n\r\n", r"the bundle is empty\."),
        ("a.txt\nb.txt\na.txt\n", r"bundle:3: video 'a' must occur once, but is also in line 1\."),
        (
            "../../a.txt\n",
            r":1: expected the file name of a video, but '../../a\.txt' holds a path separator\.",
        ),
        ("/etc/passwd\n", r"'/etc/passwd' holds a path separator\."),
        ("..\\a.txt\n", r"holds a path separator\."),
        ("a.txt\n..\n", r":2: .* '\.\.' names a folder\."),
        (".txt\n", r"'\.txt' names a folder\."),
        ("a\x00b.txt\n", r"holds a control character\."),
    ],
)
def test_faults_name_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _read(tmp_path, text)


@given(name=st.text(max_size=12))
def test_a_name_without_fault_stays_in_its_folder(name: str) -> None:
    if name_fault(name) is None:
        folder = Path("/data/features")
        assert (folder / f"{name}.npy").resolve().parent == folder
        assert (folder / name).parent == folder
