"""From an archive to a data set below the data root; archives are unpacked as if they were hostile."""

from __future__ import annotations

import logging
import shutil
import stat
import zlib
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from g2l.datasets.download.sources import Archive, Source
from g2l.datasets.download.transfer import ResumingDownloader
from g2l.datasets.facts import write_dataset_facts
from g2l.datasets.layout import DatasetFolder
from g2l.datasets.writing import new_dataset, new_path
from g2l.errors import DiskFullError, OperationalError
from g2l.files import ensure_folder
from g2l.machine import free_disk
from g2l.progress import NullProgress, Progress

ARCHIVES = ".downloads"
"""Folder of archives below the data root; hidden, so that it is listed among no data sets."""
_PARTS = {"features": ".npy", "groundTruth": ".txt", "splits": ".bundle"}
_MAPPING = "mapping.txt"
_LARGEST_MEMBER = 2**33
_LARGEST_RATIO = 200
"""Of unpacked to packed bytes; features shrink by less than 10."""
_SMALL = 2**24
"""Bytes up to which the ratio does not matter: labels shrink a lot, and are small."""
_ZIP_ERRORS = (
    BadZipFile,
    zlib.error,
    LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeDecodeError,
)
"""What `zipfile` raises of a damaged, an encrypted and a strangely compressed archive."""


def download_dataset(
    source: Source, archive: Archive, data_root: Path, progress: Progress | None = None
) -> Path:
    """Download an archive, check it, unpack one data set of it, all or nothing, and return its folder.

    An archive that is there already is checked and used; one that broke off is completed.

    Args:
        source: What to download.
        archive: What its record says of it.
        data_root: Folder that holds data sets.
        progress: Told of what arrives and of every file.

    Raises:
        InputError: There is a data set of that name already.
        OperationalError: The server fails, or what it sent is not what the record describes.
        DiskFullError: There is no room; this is found before anything is downloaded.
    """
    new_path(data_root, source.dataset)
    bars = progress or NullProgress()
    ensure_folder(data_root / ARCHIVES)
    path = _fetch(source, archive, data_root / ARCHIVES, bars)
    with new_dataset(data_root, source.dataset) as folder:
        unpack(path, source.dataset, folder, bars)
        facts = {"url": source.url, "checksum": archive.checksum, "bytes": archive.size, "page": source.page}
        facts |= {"terms": source.terms, "cite": source.cite}
        write_dataset_facts(folder.path, {"fps": source.fps, "source": facts})
    return data_root / source.dataset


def archive_path(source: Source, archive: Archive, data_root: Path) -> Path:
    """Return where the archive is kept: under a name that its checksum decides."""
    digest = archive.checksum.partition(":")[2]
    return data_root / ARCHIVES / f"{digest[:12]}-{source.file}"


def _fetch(source: Source, archive: Archive, folder: Path, progress: Progress) -> Path:
    import pooch

    path = archive_path(source, archive, folder.parent)
    partial = path.with_name(f"{path.name}.part")
    arrived = partial.stat().st_size if partial.exists() else 0
    if not path.exists():
        check_room(folder, archive.size - arrived, source.file)
    pooch.get_logger().setLevel(logging.ERROR)  # it tells of each step; so do we
    try:
        pooch.retrieve(
            source.url,
            known_hash=archive.checksum,
            fname=path.name,
            path=folder,
            downloader=ResumingDownloader(partial, archive.size, progress),
        )
    except ValueError:  # what pooch raises of a checksum
        partial.unlink(missing_ok=True)
        raise OperationalError(
            f"{source.url}: what arrived does not have the checksum {archive.checksum} and was removed.",
            hint="run the command again; should it fail again, the archive was replaced or tampered with.",
        ) from None
    partial.unlink(missing_ok=True)
    return path


def find_members(archive: ZipFile, path: Path, dataset: str) -> dict[str, ZipInfo]:
    """Return the files of a data set by their place in it; all else in the archive is passed over.

    Args:
        archive: Opened.
        path: To name in errors.
        dataset: Name of its folder in the archive, at the top or in one folder, such as `data/`.

    Raises:
        OperationalError: It holds no such data set, or a file of it is a link, is encrypted, is there twice,
            or grows out of proportion.
    """
    found: dict[str, ZipInfo] = {}
    for member in archive.infolist():
        place = _place(member, dataset)
        if place is None:
            continue
        wrong = _wrong(member) or ("is there twice" if place in found else None)
        if wrong:
            raise OperationalError(f"{path}: {member.filename!r} {wrong}.")
        found[place] = member
    missing = [part for part in (*_PARTS, _MAPPING) if not any(place.startswith(part) for place in found)]
    if missing:
        raise OperationalError(
            f"{path}: expected a data set {dataset!r}, but it has no {', '.join(missing)}."
        )
    return found


def unpack(path: Path, dataset: str, folder: DatasetFolder, progress: Progress) -> int:
    """Write the files of a data set into `folder`, and return how many bytes they have.

    Raises:
        OperationalError: As of `find_members`, or the archive is damaged.
        DiskFullError: There is no room for them.
    """
    try:
        with ZipFile(path) as archive:
            members = find_members(archive, path, dataset)
            size = sum(member.file_size for member in members.values())
            check_room(folder.path, size, f"the files of {dataset}")
            with progress.task("unpacking", len(members)) as bar:
                for place, member in members.items():
                    _write(archive, member, folder.path / place)
                    bar.advance()
    except _ZIP_ERRORS as error:
        raise OperationalError(f"{path}: cannot be unpacked ({error}).") from None
    return size


def check_room(path: Path, size: int, what: str) -> None:
    """Return if there is room.

    Raises:
        DiskFullError: There is not; nothing was written.
    """
    free = free_disk(path)
    if size > free:
        message = (
            f"{path}: no room for {what}: {size / 1e9:.2f} GB are needed, and {free / 1e9:.2f} GB are free."
        )
        raise DiskFullError(message, hint="choose another --data-root.")


def _place(member: ZipInfo, dataset: str) -> str | None:
    """Return where a file belongs in the data set, such as `features/a.npy`, or None where it does not.

    Only such places are ever written, so that no name can lead anywhere else.
    """
    parts = member.filename.split("/")
    top = parts.index(dataset) if dataset in parts[:2] else None
    inside = parts[top + 1 :] if top is not None else []
    if inside == [_MAPPING]:
        return _MAPPING
    if len(inside) != 2 or _PARTS.get(inside[0]) != PurePosixPath(inside[1]).suffix or inside[1][0] == ".":
        return None
    return None if "\\" in inside[1] or not inside[1].isprintable() else "/".join(inside)


def _wrong(member: ZipInfo) -> str | None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "is a link or a device, not a file"
    if member.flag_bits & 1:
        return "is encrypted"
    large = member.file_size > _SMALL and member.file_size > _LARGEST_RATIO * max(1, member.compress_size)
    if member.file_size > _LARGEST_MEMBER or large:
        return f"says that it unpacks to {member.file_size:,} bytes from {member.compress_size:,}"
    return None


def _write(archive: ZipFile, member: ZipInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as packed, path.open("xb") as file:
        shutil.copyfileobj(packed, file)  # zipfile stops at the size that the member says, and checks its CRC
