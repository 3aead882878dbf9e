"""A server on this machine that offers an archive of data sets, and misbehaves as it is told."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from g2l.datasets.download import Source


def dataset_files(name: str) -> dict[str, bytes]:
    """Return the files of a small data set in the MS-TCN layout, by their place in the archive."""
    files = {"mapping.txt": b"0 cut\n1 stir\n"}
    for video in ("S1_a", "S2_a", "S3_a"):
        stream = io.BytesIO()
        np.save(stream, np.random.default_rng(len(name)).standard_normal((4, 9)).astype(np.float32))
        files[f"features/{video}.npy"] = stream.getvalue()
        files[f"groundTruth/{video}.txt"] = b"cut\n" * 4 + b"stir\n" * 5
    files["splits/train.split1.bundle"] = b"S1_a.txt\nS2_a.txt\n"
    files["splits/test.split1.bundle"] = b"S3_a.txt\n"
    return {f"data/{name}/{place}": content for place, content in files.items()}


def zipped(files: dict[str, bytes]) -> bytes:
    """Return an archive, packed without compression so that it has some length."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


class ArchiveServer(ThreadingHTTPServer):
    """Serves `/record` and `/file`.

    Attributes:
        content: What `/file` is.
        record: The JSON of `/record`, or the bytes of something else.
        breaks: After how many bytes each answer ends, one after the other; None sends all.
        ranges: Whether the header `Range` is obeyed.
        statuses: Answers of `/file` before it works.
        offered: Length that is promised, or None: the true one.
        asked: The header `Range` of each request for `/file`.
    """

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        checksum = f"md5:{hashlib.md5(content).hexdigest()}"
        self.record = {
            "metadata": {"license": {"id": "cc-by-4.0"}},
            "files": [{"key": "other.txt"}, {"key": "data.zip", "size": len(content), "checksum": checksum}],
        }
        self.breaks: list[int | None] = []
        self.ranges = True
        self.statuses: list[int] = []
        self.offered: int | None = None
        self.asked: list[str | None] = []

    def source(self, dataset: str = "gtea") -> Source:
        root = f"http://127.0.0.1:{self.server_port}"
        return Source(
            dataset, "be kind.", "Doe, 2020", 15.0, record=f"{root}/record", url=f"{root}/file", page="a page"
        )


class _Handler(BaseHTTPRequestHandler):
    server: ArchiveServer

    def do_GET(self) -> None:
        if self.path == "/record":
            record = self.server.record
            return self._send(200, record if isinstance(record, bytes) else json.dumps(record).encode())
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.server.statuses:
            return self._send(self.server.statuses.pop(0), b"no")
        start = int(asked[6:-1]) if asked and self.server.ranges else 0
        body = self.server.content[start:]
        headers = {"Content_Range": f"bytes {start}-{start + len(body) - 1}/x"} if start else {}
        self._send(206 if start else 200, body, **headers)
        return None

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        offered = self.server.offered if self.path == "/file" else None
        self.send_header("Content-Length", str(len(body) if offered is None else offered))
        self.end_headers()
        breaks = self.server.breaks.pop(0) if self.path == "/file" and self.server.breaks else None
        self.wfile.write(body[:breaks])

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serving(content: bytes) -> Iterator[ArchiveServer]:
    """Run a server in a thread."""
    with ArchiveServer(content) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
