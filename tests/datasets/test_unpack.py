"""Archives that would write elsewhere, link elsewhere or never end."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from g2l.datasets.download import unpack as module
from g2l.datasets.download.unpack import unpack
from g2l.datasets.layout import DatasetFolder
from g2l.errors import OperationalError
from g2l.progress import NullProgress
from tests.oracles.archive_server import dataset_files, zipped

FILES = dataset_files("gtea")
FEATURES = "data/gtea/features/S1_a.npy"


def attempt(root: Path, content: bytes) -> list[str]:
    (root / "a.zip").write_bytes(content)
    unpack(root / "a.zip", "gtea", DatasetFolder(root / "out"), NullProgress())
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def with_member(
    name: str, content: bytes = b"x", mode: int = 0, compression: int = zipfile.ZIP_STORED
) -> bytes:
    stream = io.BytesIO(zipped(FILES))
    with zipfile.ZipFile(stream, "a") as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, content, compression)
    return stream.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "data/gtea/features/../../../evil.npy",
        "data/gtea/../evil.npy",
        "/gtea/evil.npy",
        "data/gtea/features/..\\evil.npy",
        "data/gtea/features/sub/evil.npy",
        "data/gtea/features/.hidden.npy",
        "data/gtea/features/evil.sh",
        "data/gtea/features/",
        "data/gtea/evil.py",
        "data/gtea/splits/evil.npy",
        "data/50salads/features/evil.npy",
        "__MACOSX/data/gtea/features/evil.npy",
        "data/gtea/features/ev\nil.npy",
    ],
)
def test_what_does_not_belong_is_not_written(tmp_path: Path, name: str) -> None:
    expected = ["a.zip", *sorted(f"out/{place.removeprefix('data/gtea/')}" for place in FILES)]
    assert attempt(tmp_path, with_member(name)) == expected


def test_places_are_made_of_the_last_names_only(tmp_path: Path) -> None:
    moved = {name.replace("data/", "../"): content for name, content in FILES.items()}
    assert len(attempt(tmp_path, zipped(moved))) == 1 + len(FILES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            with_member("data/gtea/features/b.npy", b"/etc/passwd", stat.S_IFLNK | 0o777),
            "is a link or a device",
        ),
        (with_member("data/gtea/features/b.npy", b"", stat.S_IFCHR | 0o600), "is a link or a device"),
        (with_member("gtea/mapping.txt"), "'gtea/mapping.txt' is there twice"),
        (
            with_member("data/gtea/features/b.npy", bytes(2**25), 0, zipfile.ZIP_DEFLATED),
            "says that it unpacks to",
        ),
        (zipped({name: b"" for name in FILES if "splits" not in name}), "but it has no splits"),
        (
            zipped({"data/50salads/mapping.txt": b""}),
            "expected a data set 'gtea', but it has no features, ground",
        ),
        (zipped(FILES)[:-30], "cannot be unpacked"),
        (b"no archive", "cannot be unpacked"),
    ],
)
def test_hostile_archives(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(OperationalError, match=message):
        attempt(tmp_path, content)
    assert not (tmp_path / "out").exists()


def test_the_size_that_a_file_says_is_kept(tmp_path: Path) -> None:
    raw = bytearray(with_member("data/gtea/features/b.npy", b"y" * 5000, 0, zipfile.ZIP_DEFLATED))
    place = raw.rindex(b"PK\x01\x02")  # the last entry of the directory
    raw[place + 24 : place + 28] = (100).to_bytes(4, "little")  # its size when unpacked
    with pytest.raises(OperationalError, match="cannot be unpacked"):
        attempt(tmp_path, bytes(raw))
    assert (tmp_path / "out" / "features" / "b.npy").stat().st_size <= 100


def test_encrypted_files(tmp_path: Path) -> None:
    raw = bytearray(zipped(FILES))
    place = raw.index(b"PK\x01\x02")
    raw[place + 8] |= 1
    with pytest.raises(OperationalError, match="is encrypted"):
        attempt(tmp_path, bytes(raw))


def test_files_beyond_all_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST_MEMBER", 100)
    with pytest.raises(OperationalError, match=r"S1_a\.npy' says that it unpacks to 272 bytes"):
        attempt(tmp_path, zipped(FILES))


def test_an_archive_with_a_name_in_no_encoding_is_refused(tmp_path: Path) -> None:
    content = with_member("data/gtea/features/ä.npy")
    # The name before the file's content is spoilt, the one in the directory at the end is as it was.
    spoilt = content.replace("ä".encode(), b"\xff\xff", 1)
    assert spoilt != content
    with pytest.raises(OperationalError, match=r"a.zip: cannot be unpacked \("):
        attempt(tmp_path, spoilt)
