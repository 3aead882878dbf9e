from __future__ import annotations

import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.datasets.layout import DatasetFolder, read_bundle, read_mapping
from g2l.datasets.reading import normal
from g2l.errors import InputError
from tests.datasets.conftest import TRAIN, TinyDataset, random_features


def _bundle(folder: Path, text: str) -> tuple[str, ...]:
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
    ],
)
def test_names_lose_their_suffix_and_keep_their_dots(
    tmp_path: Path, text: str, names: tuple[str, ...]
) -> None:
    assert _bundle(tmp_path, text) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"train\.split1\.bundle: expected one `<video>\.txt` a line, but the bundle is empty\."),
        ("a.txt\nb.txt\na.txt\n", r"bundle:3: video 'a' must occur once, but is also in line 1\."),
        (
            "../../a.txt\n",
            r":1: expected the file name of a video, but '../../a\.txt' holds a path separator\.",
        ),
        ("a.txt\n..\n", r":2: .* '\.\.' names a folder\."),
        ("a\x00b.txt\n", r":1: expected text, but found a zero byte\."),
        ("a\x01b.txt\n", r"holds a control character\."),
        (f"{'ä' * 120}.txt\n", r":1: .* has 240 bytes, and at most 230 are possible\."),
    ],
)
def test_faults_of_bundles_name_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _bundle(tmp_path, text)


_NAME = st.text(st.characters(categories=["L", "N", "P"], include_characters=" "), min_size=1).map(str.strip)


def _mapping(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "mapping.txt"
    path.write_bytes(text.encode())
    return read_mapping(path).names


@given(names=st.lists(_NAME.filter(bool), min_size=1, max_size=8, unique=True), seed=st.randoms())
def test_any_names_in_any_order_of_lines_come_back_in_index_order(names: list[str], seed: object) -> None:
    names = list(dict.fromkeys(normal(name) for name in names))
    lines = [f"{index} {name}\n" for index, name in enumerate(names)]
    seed.shuffle(lines)  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        assert _mapping(Path(folder), "".join(lines)) == tuple(names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"mapping\.txt: expected one `<index> <class name>` a line, but it is empty\."),
        ("0 a\nb\n", r"mapping\.txt:2: expected `<index> <class name>`, but found 'b' instead\."),
        (f"{'9' * 5000} a\n", r":1: expected `<index> <class name>`, but found '9{299}… instead"),
        ("0 a\n0 b\n", r":2: index 0 must occur once, but is also in line 1\."),
        ("0 a\n1 a\n", r":2: class 'a' must occur once, but also has index 0\."),
        ("0 a\n2 b\n", r":2: indices must be 0 … 1 without a gap, but 1 is missing\."),
    ],
)
def test_faults_of_mappings_name_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _mapping(tmp_path, text)


def test_a_bundle_with_a_leading_zero_is_of_its_split(tiny: TinyDataset) -> None:
    for side in ("train", "test"):
        path = tiny.path / "splits" / f"{side}.split1.bundle"
        path.rename(path.with_name(f"{side}.split01.bundle"))
    assert DatasetFolder(tiny.path).splits() == (1,)
    assert tiny.open().fingerprint
    tiny.bundle("train", TRAIN[:2])  # of two the plain name is taken
    assert DatasetFolder(tiny.path).bundles(1)[0].name == "train.split1.bundle"


@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_match_in_any_unicode_form(tiny: TinyDataset, listed: str, stored: str) -> None:
    name, label = "S4_Käse", "Öffnen"
    tiny.bundle("test", [unicodedata.normalize(listed, name)])
    tiny.features(unicodedata.normalize(stored, name), random_features("k", 5))
    tiny.labels(unicodedata.normalize(stored, name), [unicodedata.normalize(stored, label)] * 5)
    tiny.write("mapping.txt", f"0 background\n1 cut\n2 stir\n3 {unicodedata.normalize(listed, label)}\n")
    assert tiny.open().load(name).targets.tolist() == [3] * 5
    tiny.write(
        "mapping.txt",
        "".join(f"{n} {unicodedata.normalize(f, label)}\n" for n, f in enumerate(("NFC", "NFD"))),
    )
    with pytest.raises(InputError, match="must occur once"):
        tiny.open()
