"""From a source to a data set below the data root."""

from __future__ import annotations

import logging
from pathlib import Path

from g2l.datasets.download.record import Archive
from g2l.datasets.download.sources import Source
from g2l.datasets.download.transfer import ResumingDownloader
from g2l.datasets.download.unpack import check_room, unpack
from g2l.datasets.new_dataset import new_dataset, new_path
from g2l.errors import OperationalError
from g2l.files import ensure_folder, write_json
from g2l.progress import NullProgress, Progress

ARCHIVES = ".downloads"
"""Folder of archives below the data root; hidden, so that it is listed among no data sets."""
SOURCE_NAME = "source.json"


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
        write_json(folder.path / SOURCE_NAME, facts | {"terms": source.terms, "cite": source.cite})
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
