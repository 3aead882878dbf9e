"""What Zenodo's record says of an archive before it is downloaded."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from g2l.datasets.download.sources import Source
from g2l.errors import OperationalError

TIMEOUT_S = 60.0
"""Without a byte for so long a connection counts as lost."""
_LARGEST_RECORD = 2**22


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
