"""Where the public data sets are, under which terms, and what the record of their archive says.

The features are those that Abu Farha and Gall (MS-TCN, CVPR 2019) published: one archive of about 30 GB holds
all three. No checksum is pinned here; that of Zenodo's record is taken, which is read before anything is
downloaded.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from g2l.errors import InputError, OperationalError, did_you_mean

TIMEOUT_S = 60.0
"""Without a byte for so long a connection counts as lost."""
_LARGEST_RECORD = 2**22


@dataclass(frozen=True)
class Source:
    """One data set of an archive.

    Attributes:
        dataset: Its name, and that of its folder in the archive.
        record: URL of the JSON that gives size and checksum of the files of a Zenodo record.
        file: Name of the archive in that record.
        url: Where the archive is.
        page: For people to read.
        terms: Of the data set, as far as they are known.
        cite: Whom to cite.
        fps: Frames per second of the features.
    """

    dataset: str
    record: str
    file: str
    url: str
    page: str
    terms: str
    cite: str
    fps: float


_RECORD = "https://zenodo.org/api/records/3625992"
_UNKNOWN = "its authors state no licence that is known here; ask them before any use beyond research."


def _source(dataset: str, terms: str, cite: str, fps: float) -> Source:
    return Source(
        dataset=dataset,
        record=_RECORD,
        file="data.zip",
        url=f"{_RECORD}/files/data.zip/content",
        page="https://zenodo.org/records/3625992",
        terms=terms,
        cite=cite,
        fps=fps,
    )


SOURCES = {
    source.dataset: source
    for source in (
        _source("gtea", _UNKNOWN, "Fathi, Ren and Rehg, CVPR 2011", 15.0),
        _source(
            "50salads",
            "Creative Commons BY-NC-SA 4.0: attribution, no commercial use, share alike.",
            "Stein and McKenna, UbiComp 2013",
            30.0,
        ),
        _source("breakfast", _UNKNOWN, "Kuehne, Arslan and Serre, CVPR 2014", 15.0),
    )
}


def find_source(name: str) -> Source:
    """Return the source of a data set.

    Raises:
        InputError: None is known of that name; similar ones are suggested.
    """
    if name not in SOURCES:
        known = ", ".join(SOURCES)
        raise InputError(
            f"no source of a data set {name!r} is known; known are {known}.",
            hint=did_you_mean(name, list(SOURCES)),
        )
    return SOURCES[name]


@dataclass(frozen=True)
class Archive:
    """The archive as the record describes it.

    Attributes:
        size: In bytes.
        checksum: `md5:` and 32 hexadecimal digits.
        licence: Of the record, as it names it, or None.
    """

    size: int
    checksum: str
    licence: str | None


def read_record(source: Source) -> Archive:
    """Ask for a record.

    Raises:
        OperationalError: It cannot be had, or does not give size and checksum of the archive.
    """
    try:
        with urlopen(source.record, timeout=TIMEOUT_S) as answer:  # a fixed https address of ours
            value = json.loads(answer.read(_LARGEST_RECORD))
    except HTTPError as error:
        raise OperationalError(f"{source.record}: answered {error.code} {error.reason}.") from None
    except (OSError, HTTPException) as error:
        raise unreachable(source.record, error) from None
    except ValueError:
        raise OperationalError(f"{source.record}: expected JSON, but found something else.") from None
    files = value.get("files") if isinstance(value, dict) else None
    for file in files if isinstance(files, list) else []:
        if isinstance(file, dict) and source.file in (file.get("key"), file.get("filename")):
            return _archive(source, file, value.get("metadata"))
    raise OperationalError(f"{source.record}: expected a file {source.file!r}, but it names none.")


def unreachable(url: str, error: Exception) -> OperationalError:
    """Return what to raise where a server cannot be reached, or went away."""
    reason = getattr(error, "reason", None) or error
    return OperationalError(f"{url}: cannot be reached ({reason}).", hint="is there a network, or a proxy?")


def _archive(source: Source, file: dict[str, Any], metadata: Any) -> Archive:
    size = file.get("size", file.get("filesize"))
    digest = str(file.get("checksum", "")).removeprefix("md5:")
    if not isinstance(size, int) or size < 1 or not re.fullmatch(r"[0-9a-f]{32}", digest):
        raise OperationalError(
            f"{source.record}: expected size and MD5 of {source.file}, but found {size!r} and "
            f"{file.get('checksum')!r}."
        )
    licence = metadata.get("license") if isinstance(metadata, dict) else None
    name = licence.get("id") if isinstance(licence, dict) else None
    return Archive(size, f"md5:{digest}", name if isinstance(name, str) else None)
