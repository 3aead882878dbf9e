from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from g2l.config import DataConfig
from g2l.datasets import download as module
from g2l.datasets.download import download_dataset, read_record, unpack
from g2l.datasets.layout import DatasetFolder
from g2l.datasets.validation import validate_dataset
from g2l.errors import DiskFullError, OperationalError
from g2l.progress import NullProgress
from tests.oracles.archive_server import ArchiveServer, dataset_files, serving, zipped

FILES = {name: dataset_files(name) for name in ("gtea", "50salads")}
CONTENT = zipped({**FILES["gtea"], **FILES["50salads"], "__MACOSX/data/gtea/mapping.txt": b"x"})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "WAIT_S", 0.0)
    with serving(CONTENT) as running:
        yield running


def download(server: ArchiveServer, root: Path, dataset: str = "gtea") -> Path:
    source = server.source(dataset)
    return download_dataset(source, read_record(source), root)


def left(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_only_the_wanted_data_set_is_unpacked(server: ArchiveServer, tmp_path: Path) -> None:
    path = download(server, tmp_path)
    found = {f"data/gtea/{name}": (path / name).read_bytes() for name in left(path) if name != "dataset.json"}
    assert found == FILES["gtea"]
    assert sorted(item.name for item in tmp_path.iterdir()) == [".downloads", "gtea"]
    assert validate_dataset(DataConfig(data_root=tmp_path, dataset="gtea")).errors == ()
    said = (path / "dataset.json").read_text()
    assert "be kind." in said
    assert "md5:" in said


def test_a_broken_download_goes_on_where_it_stopped(server: ArchiveServer, tmp_path: Path) -> None:
    server.breaks = [1000, 500, None]
    download(server, tmp_path)
    assert server.asked == [None, "bytes=1000-", "bytes=1500-"]


def test_a_server_that_ignores_ranges_sends_all_again(server: ArchiveServer, tmp_path: Path) -> None:
    server.ranges = False
    server.breaks = [1000, 1200, None]
    download(server, tmp_path)
    assert server.asked == [None, "bytes=1000-", "bytes=1200-"]


def test_refusals_are_told_at_once(server: ArchiveServer, tmp_path: Path) -> None:
    server.statuses = [404]
    with pytest.raises(OperationalError, match="/file: answered 404 Not Found"):
        download(server, tmp_path)
    assert left(tmp_path) == []


def test_wrong_content_is_removed(server: ArchiveServer, tmp_path: Path) -> None:
    server.content = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    with pytest.raises(
        OperationalError, match=r"/file: the download does not have the checksum md5:[0-9a-f]{32}"
    ):
        download(server, tmp_path)
    assert left(tmp_path) == []
    server.content = CONTENT
    download(server, tmp_path)


def test_a_damaged_archive_is_fetched_again(server: ArchiveServer, tmp_path: Path) -> None:
    download(server, tmp_path)
    (archive,) = (tmp_path / ".downloads").iterdir()
    archive.write_bytes(b"damaged")
    download(server, tmp_path, "50salads")
    assert archive.read_bytes() == CONTENT


def test_a_kill_while_it_is_checked_loses_nothing(
    server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_md5", killed)
        with pytest.raises(KeyboardInterrupt):
            download(server, tmp_path)
    download(server, tmp_path)
    assert server.asked == [None]


def test_no_room(server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "free_disk", lambda path: len(CONTENT) - 1)
    with pytest.raises(DiskFullError, match=r"no room for data\.zip: 0\.00 GB are needed"):
        download(server, tmp_path)
    assert server.asked == []
    rooms = iter([len(CONTENT), 100])
    monkeypatch.setattr(module, "free_disk", lambda path: next(rooms))
    with pytest.raises(DiskFullError, match="no room for the files of gtea"):
        download(server, tmp_path)
    assert not (tmp_path / "gtea").exists()


def test_nobody_there(server: ArchiveServer, tmp_path: Path) -> None:
    source = server.source()
    archive = read_record(source)
    server.server_close()
    server.shutdown()
    with pytest.raises(OperationalError, match="/record: cannot be reached"):
        read_record(source)
    with pytest.raises(OperationalError, match="broke off after 0 of"):
        download_dataset(source, archive, tmp_path)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"<html>", "expected JSON"),
        ([], "expected size and MD5 of 'data.zip'"),
        ({"files": [{"key": "a"}]}, "expected size and MD5 of 'data.zip'"),
        ({"files": [{"key": "data.zip", "size": 9, "checksum": "sha1:00"}]}, "expected size and MD5"),
    ],
)
def test_records_that_do_not_tell(server: ArchiveServer, record: object, message: str) -> None:
    server.record = record
    with pytest.raises(OperationalError, match=message):
        read_record(server.source())


MEMBERS = dataset_files("gtea")
FEATURES = "data/gtea/features/S1_a.npy"


def attempt(root: Path, content: bytes) -> list[str]:
    (root / "a.zip").write_bytes(content)
    unpack(root / "a.zip", "gtea", DatasetFolder(root / "out"), NullProgress())
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def with_member(name: str) -> bytes:
    stream = io.BytesIO(zipped(MEMBERS))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(name, b"x")
    return stream.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "data/gtea/features/../../../evil.npy",
        "data/gtea/features/..\\evil.npy",
        "data/gtea/features/sub/evil.npy",
        "data/gtea/features/evil.sh",
        "data/50salads/features/evil.npy",
        "__MACOSX/data/gtea/features/evil.npy",
        "data/gtea/features/ev\nil.npy",
    ],
)
def test_what_does_not_belong_is_not_written(tmp_path: Path, name: str) -> None:
    expected = ["a.zip", *sorted(f"out/{place.removeprefix('data/gtea/')}" for place in MEMBERS)]
    assert attempt(tmp_path, with_member(name)) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped({name: b"" for name in MEMBERS if "splits" not in name}), "but it has no splits"),
        (zipped(MEMBERS)[:-30], "cannot be unpacked"),
    ],
)
def test_hostile_archives(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(OperationalError, match=message):
        attempt(tmp_path, content)
    assert not (tmp_path / "out").exists()
