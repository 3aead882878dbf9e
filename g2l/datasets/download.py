"""The public data sets: where they are, under which terms, and how they are downloaded and unpacked.

The features are those that Abu Farha and Gall (MS-TCN, CVPR 2019) published: one archive of about 30 GB holds
all three. Size and checksum come from Zenodo's record, which is read before anything is downloaded. An
interrupted download is continued. Of the archive only files in known places are written.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from lzma import LZMAError
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from zipfile import BadZipFile, ZipFile, ZipInfo

from g2l.datasets.facts import write_dataset_facts
from g2l.datasets.layout import DatasetFolder, new_dataset, new_path
from g2l.errors import DiskFullError, InputError, OperationalError, did_you_mean
from g2l.files import ensure_folder, unwritable
from g2l.machine import free_disk
from g2l.progress import NullProgress, Progress, Task

ARCHIVES = ".downloads"
"""Folder of archives below the data root; hidden, so that it is not listed as a data set."""
TIMEOUT_S = 60.0
"""A connection without a byte for so long counts as lost."""
TRIES = 5
"""Attempts in a row that bring nothing new."""
WAIT_S = 2.0
"""Before the second attempt; each later one waits twice as long."""
_BLOCK = 2**20
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which another attempt may succeed."""
_LARGEST_RECORD = 2**22
_PLACE = re.compile(
    r"(?:[^/]+/)?(?P<dataset>[^/]+)/"
    r"(?P<place>mapping\.txt|features/[^/.][^/\\]*\.npy|groundTruth/[^/.][^/\\]*\.txt|splits/[^/.][^/\\]*\.bundle)"
)
"""Only files in such places are ever written, so that no name can lead anywhere else."""
_ZIP_ERRORS = (BadZipFile, zlib.error, LZMAError, EOFError, NotImplementedError, RuntimeError, UnicodeError)
"""Errors of `zipfile` for damaged or encrypted archives and unknown compressions."""


@dataclass(frozen=True)
class Source:
    """One data set of an archive."""

    dataset: str  # its name, and that of its folder in the archive
    terms: str  # of the data set, as far as they are known
    cite: str
    fps: float
    record: str = "https://zenodo.org/api/records/3625992"  # JSON with size and checksum of `file`
    url: str = "https://zenodo.org/api/records/3625992/files/data.zip/content"
    file: str = "data.zip"
    page: str = "https://zenodo.org/records/3625992"  # for people to read


_UNKNOWN = "its authors state no licence that is known here; ask them before any use beyond research."
_SALADS = "Creative Commons BY-NC-SA 4.0: attribution, no commercial use, share alike."
SOURCES = {
    "gtea": Source("gtea", _UNKNOWN, "Fathi, Ren and Rehg, CVPR 2011", 15.0),
    "50salads": Source("50salads", _SALADS, "Stein and McKenna, UbiComp 2013", 30.0),
    "breakfast": Source("breakfast", _UNKNOWN, "Kuehne, Arslan and Serre, CVPR 2014", 15.0),
}


@dataclass(frozen=True)
class Archive:
    """The archive as the record describes it: bytes, MD5 in hexadecimal, and the record's licence."""

    size: int
    md5: str
    licence: str | None


def find_source(name: str) -> Source:
    """Return the source of a data set, or raise InputError with similar names."""
    if name not in SOURCES:
        raise InputError(
            f"no source of a data set {name!r} is known; known are {', '.join(SOURCES)}.",
            hint=did_you_mean(name, list(SOURCES)),
        )
    return SOURCES[name]


def read_record(source: Source) -> Archive:
    """Request the record of an archive; OperationalError if it lacks size and checksum of the archive."""
    try:
        with _request(source.record) as answer:
            value = json.loads(answer.read(_LARGEST_RECORD))
    except _ConnectionLostError as error:
        raise OperationalError(f"{source.record}: {error}.", hint="is there a network, or a proxy?") from None
    except ValueError:
        raise OperationalError(f"{source.record}: expected JSON, but found something else.") from None
    try:
        (file,) = (one for one in value["files"] if one["key"] == source.file)
        size, checksum = int(file["size"]), str(file["checksum"])
    except (LookupError, TypeError, ValueError):
        size, checksum = 0, ""
    if size < 1 or not re.fullmatch(r"md5:[0-9a-f]{32}", checksum):
        raise OperationalError(f"{source.record}: expected size and MD5 of {source.file!r}, but found none.")
    metadata = value.get("metadata")
    licence = metadata.get("license") if isinstance(metadata, dict) else None
    return Archive(size, checksum[4:], licence.get("id") if isinstance(licence, dict) else None)


def download_dataset(
    source: Source, archive: Archive, data_root: Path, progress: Progress | None = None
) -> Path:
    """Download an archive, check it, unpack one data set of it, all or nothing, and return its folder.

    An archive that is there already is checked and used; an interrupted one is completed. InputError if the
    data set exists; OperationalError if the server fails or its answer does not match the record.
    """
    new_path(data_root, source.dataset)
    ensure_folder(data_root / ARCHIVES)
    bars = progress or NullProgress()
    path = archive_path(source, archive, data_root)
    if not (path.exists() and _md5(path) == archive.md5):
        _download(source, archive, path, bars)
    with new_dataset(data_root, source.dataset) as folder:
        unpack(path, source.dataset, folder, bars)
        facts = {"url": source.url, "checksum": f"md5:{archive.md5}", "bytes": archive.size}
        facts |= {"page": source.page, "terms": source.terms, "cite": source.cite}
        write_dataset_facts(folder.path, {"fps": source.fps, "source": facts})
    return data_root / source.dataset


def archive_path(source: Source, archive: Archive, data_root: Path) -> Path:
    """Return where the archive is kept: under a name that its checksum decides."""
    return data_root / ARCHIVES / f"{archive.md5[:12]}-{source.file}"


def unpack(path: Path, dataset: str, folder: DatasetFolder, progress: Progress) -> None:
    """Write the files of a data set into `folder`; OperationalError if the archive is damaged."""
    try:
        with ZipFile(path) as archive:
            members = find_members(archive, path, dataset)
            size = sum(member.file_size for member in members.values())
            check_room(folder.path, size, f"the files of {dataset}")
            with progress.task("unpacking", len(members)) as bar:
                for place, member in members.items():
                    target = folder.path / place
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(member) as packed, target.open("xb") as file:
                        shutil.copyfileobj(packed, file)  # stops at the declared size, and checks the CRC
                    bar.advance()
    except _ZIP_ERRORS as error:
        raise OperationalError(f"{path}: cannot be unpacked ({error}).") from None


def find_members(archive: ZipFile, path: Path, dataset: str) -> dict[str, ZipInfo]:
    """Return the files of a data set, `<dataset>/…` or `<folder>/<dataset>/…`, by their place in it."""
    matches = ((_PLACE.fullmatch(member.filename), member) for member in archive.infolist())
    found = {
        match["place"]: member
        for match, member in matches
        if match and match["dataset"] == dataset and member.filename.isprintable()
    }
    missing = {"features", "groundTruth", "splits", "mapping.txt"} - {place.split("/")[0] for place in found}
    if missing:
        message = f"expected a data set {dataset!r}, but it has no {', '.join(sorted(missing))}."
        raise OperationalError(f"{path}: {message}")
    return found


def check_room(path: Path, size: int, what: str) -> None:
    """Raise DiskFullError unless `size` bytes are free."""
    free = free_disk(path)
    if size > free:
        message = f"no room for {what}: {size / 1e9:.2f} GB are needed, and {free / 1e9:.2f} GB are free."
        raise DiskFullError(f"{path}: {message}", hint="choose another --data-root.")


class _ConnectionLostError(Exception):
    """Another attempt may succeed."""


def _download(source: Source, archive: Archive, path: Path, progress: Progress) -> None:
    """Complete `<path>.part`, check it and give it its name."""
    partial = path.with_name(f"{path.name}.part")
    if _size(partial) > archive.size:
        partial.unlink()
    check_room(path.parent, archive.size - _size(partial), source.file)
    best, failed = _size(partial), 0
    with progress.task("downloading (MiB)", -(-archive.size // _BLOCK)) as bar:
        bar.advance(best // _BLOCK)
        while _size(partial) < archive.size:
            try:
                _continue(source.url, archive.size, partial, bar)
            except _ConnectionLostError as error:
                # A server that ignores ranges starts again: only what exceeds the best attempt counts.
                arrived = _size(partial)
                failed = 0 if arrived > best else failed + 1
                best = max(best, arrived)
                if failed >= TRIES:
                    message = f"broke off after {arrived:,} of {archive.size:,} bytes ({error})."
                    hint = "run the command again: it goes on from there."
                    raise OperationalError(f"{source.url}: {message}", hint=hint) from None
                time.sleep(WAIT_S * 2**failed)
    if _md5(partial) != archive.md5:
        partial.unlink()
        raise OperationalError(
            f"{source.url}: the download does not have the checksum md5:{archive.md5} and was removed.",
            hint="run the command again; should it fail again, the archive was replaced or tampered with.",
        )
    partial.replace(path)


def _continue(url: str, size: int, partial: Path, bar: Task) -> None:
    start = _size(partial)
    with _request(url, {"Range": f"bytes={start}-"} if start else {}) as answer:
        try:
            with partial.open("ab" if answer.status == 206 else "wb") as file:  # else all of it is sent again
                while block := _read(answer):
                    file.write(block)
                    bar.advance(file.tell() // _BLOCK - (file.tell() - len(block)) // _BLOCK)
        except OSError as error:
            raise unwritable(partial, error) from None
    if _size(partial) < size:
        raise _ConnectionLostError("the connection ended")


@contextmanager
def _request(url: str, headers: dict[str, str] | None = None) -> Iterator[Any]:
    try:
        answer = urlopen(Request(url, headers=headers or {}), timeout=TIMEOUT_S)
    except HTTPError as error:
        message = f"answered {error.code} {error.reason}"
        transient = error.code in _TRANSIENT
        raise (
            _ConnectionLostError(message) if transient else OperationalError(f"{url}: {message}.")
        ) from None
    except (OSError, HTTPException) as error:
        raise _ConnectionLostError(f"cannot be reached ({getattr(error, 'reason', None) or error})") from None
    with answer:
        yield answer


def _read(answer: Any) -> bytes:
    try:
        return bytes(answer.read(_BLOCK))
    except (OSError, HTTPException) as error:
        raise _ConnectionLostError(str(error) or type(error).__name__) from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
