"""Downloads that go on where they broke off, as a downloader for pooch."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from g2l.datasets.download.sources import TIMEOUT_S, unreachable
from g2l.errors import OperationalError
from g2l.files import unwritable
from g2l.progress import Progress

TRIES = 5
"""In a row that bring nothing new."""
WAIT_S = 2.0
"""Before the second of them; each later one waits twice as long."""
_BLOCK = 2**20
_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers that another try may turn into the file."""


class ResumingDownloader:
    """Fetches one file into `partial`, and goes on with what is there already.

    Args:
        partial: File for what has arrived. It must not be of another content: name it after the checksum.
        size: Of the whole, in bytes.
        progress: Told of every MiB.
    """

    def __init__(self, partial: Path, size: int, progress: Progress) -> None:
        self._partial, self._size, self._progress = partial, size, progress

    def __call__(self, url: str, output_file: Any, pooch: object) -> None:
        """Download all of it, then give it the name `output_file` too, as pooch asks of a downloader.

        Raises:
            OperationalError: The server refuses, lies about the size or breaks off again and again, or there
                is no room. What has arrived stays for the next call, unless it cannot be right.
        """
        best, failed = self._arrived(), 0
        with self._progress.task("downloading (MiB)", -(-self._size // _BLOCK)) as bar:
            bar.advance(best // _BLOCK)
            while self._arrived() != self._size:
                try:
                    self._fetch(url, bar)
                except _BrokenOffError as error:
                    failed = 0 if self._arrived() > best else failed + 1
                    best = max(best, self._arrived())
                    if failed >= TRIES:
                        raise self._gave_up(url, error) from None
                    time.sleep(WAIT_S * 2**failed)
        _link(self._partial, Path(output_file))

    def _arrived(self) -> int:
        return self._partial.stat().st_size if self._partial.exists() else 0

    def _fetch(self, url: str, bar: Any) -> None:
        """Fetch what is missing, as far as the connection lasts."""
        start = self._arrived()
        if start > self._size:
            self._partial.unlink()
            start = 0
        headers = {"Range": f"bytes={start}-"} if start else {}
        with _answer(url, headers) as answer:
            if answer.status != 206:
                start = 0  # the server sends all of it again
            self._check_size(url, answer, start)
            try:
                with self._partial.open("r+b" if start else "wb") as file:
                    file.seek(start)
                    self._copy(url, answer, file, bar)
            except OSError as error:
                raise unwritable(self._partial, error) from None

    def _check_size(self, url: str, answer: Any, start: int) -> None:
        place = answer.headers.get("Content-Range", "")
        if answer.status == 206 and not place.startswith(f"bytes {start}-"):
            self._partial.unlink(missing_ok=True)
            raise OperationalError(f"{url}: was asked for byte {start} and on, but sends {place!r}.")
        length = answer.headers.get("Content-Length", "")
        if length.isdecimal() and start + int(length) != self._size:
            raise OperationalError(
                f"{url}: expected {self._size:,} bytes, but it offers {start + int(length):,}.",
                hint="the archive may have been replaced: try again later.",
            )

    def _copy(self, url: str, answer: Any, file: Any, bar: Any) -> None:
        while block := _read(answer):
            if file.tell() + len(block) > self._size:
                self._partial.unlink(missing_ok=True)
                raise OperationalError(f"{url}: expected {self._size:,} bytes, but it sends more.")
            file.write(block)
            bar.advance(file.tell() // _BLOCK - (file.tell() - len(block)) // _BLOCK)
        if file.tell() < self._size:
            raise _BrokenOffError("the connection ended")

    def _gave_up(self, url: str, error: Exception) -> OperationalError:
        arrived = self._arrived()
        return OperationalError(
            f"{url}: broke off after {arrived:,} of {self._size:,} bytes ({error}).",
            hint="run the command again: it goes on from there.",
        )


class _BrokenOffError(Exception):
    """The connection was lost; another try may go on."""


def _read(answer: Any) -> bytes:
    try:
        return bytes(answer.read(_BLOCK))
    except (OSError, HTTPException) as error:
        raise _BrokenOffError(str(error) or type(error).__name__) from None


def _link(partial: Path, other: Path) -> None:
    """Give a file another name; it keeps its own, so that a kill while it is checked loses nothing."""
    other.unlink(missing_ok=True)
    try:
        other.hardlink_to(partial)
    except OSError:  # a file system without links
        shutil.move(partial, other)


@contextmanager
def _answer(url: str, headers: dict[str, str]) -> Iterator[Any]:
    try:
        answer = urlopen(Request(url, headers=headers), timeout=TIMEOUT_S)
    except HTTPError as error:
        if error.code in _PASSING:
            raise _BrokenOffError(f"answered {error.code} {error.reason}") from None
        raise OperationalError(f"{url}: answered {error.code} {error.reason}.") from None
    except (OSError, HTTPException) as error:
        raise _BrokenOffError(str(unreachable(url, error))) from None
    with answer:
        yield answer
