"""Whether the MLflow store can be used: really asked, quickly, and without changing anything in it."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from g2l.errors import InputError
from g2l.tracking.environment import load_mlflow, tracking_uri, without_password

SECONDS = 3.0
"""How long an answer may take."""
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


@dataclass(frozen=True)
class StoreState:
    """What a tracking store answered.

    Attributes:
        usable: Whether runs can be recorded there, as far as asking can tell; None if it was not asked.
        detail: What it answered, or why it did not.
        folder: Where a store that is a file or a folder is or would be, else None.
    """

    usable: bool | None
    detail: str
    folder: Path | None = None


def ask_store() -> StoreState:
    """Return the state of the store that runs would be recorded in."""
    try:
        uri = tracking_uri()
    except InputError as error:
        return StoreState(False, error.message)
    scheme, _, rest = uri.partition("://")
    kind = scheme.partition("+")[0]  # postgresql+psycopg2
    if kind == "sqlite":
        return _ask_sqlite(Path(rest.removeprefix("/").partition("?")[0]))
    if kind in ("http", "https"):
        return _ask_server(uri)
    if kind in _PORTS:
        return _ask_database(uri, _PORTS[kind])
    if kind.startswith(("databricks", "uc")) or (rest and kind != "file"):
        return StoreState(None, f"a store of kind {kind} is not asked")
    return _ask_folder(Path(url2pathname(urlsplit(uri).path)))


def _ask_sqlite(path: Path) -> StoreState:
    folder = path.absolute().parent
    if not path.exists():
        return _would_be_made(folder)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=SECONDS)) as file:
            (count,) = file.execute("SELECT count(*) FROM experiments").fetchone()
    except sqlite3.Error as error:
        return StoreState(False, f"it is no readable MLflow store ({error})", folder)
    if not (os.access(path, os.W_OK) and os.access(folder, os.W_OK)):
        return StoreState(False, f"it can be read ({count} experiments) but not written", folder)
    return StoreState(True, f"it opens ({count} experiments)", folder)


def _ask_folder(path: Path) -> StoreState:
    if not path.exists():
        return _would_be_made(path.absolute().parent)
    usable = path.is_dir() and os.access(path, os.W_OK)
    return StoreState(usable, "it is a folder" if usable else "it is no folder that can be written", path)


def _would_be_made(folder: Path) -> StoreState:
    if not folder.is_dir():
        return StoreState(False, f"it does not exist, and neither does its folder {folder}", folder)
    usable = os.access(folder, os.W_OK)
    return StoreState(usable, "it will be made" if usable else f"{folder} cannot be written", folder)


def _ask_database(uri: str, port: int) -> StoreState:
    """Connect to the port only: MLflow itself would make tables in an empty database."""
    parts = urlsplit(uri)
    place = (parts.hostname or "localhost", parts.port or port)
    try:
        with socket.create_connection(place, timeout=SECONDS):
            return StoreState(True, f"{place[0]}:{place[1]} takes connections")
    except OSError as error:
        return StoreState(False, _reason(error, uri))


def _ask_server(uri: str) -> StoreState:
    """Ask for an experiment as recording does, with the same credentials and certificates."""
    mlflow = load_mlflow()
    answers: list[StoreState] = []

    def ask() -> None:
        try:
            mlflow.MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
            answers.append(StoreState(True, "it answers"))
        except Exception as error:  # MLflow and its HTTP library each raise their own
            answers.append(StoreState(False, _reason(error, uri)))

    settings = {"MLFLOW_HTTP_REQUEST_TIMEOUT": f"{SECONDS:.0f}", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    with _environment(settings):
        # A thread, since no time-out covers looking up the name.
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(SECONDS + 0.5)
    return answers[0] if answers else StoreState(False, _late())


def _reason(error: BaseException, uri: str) -> str:
    """Return why there was no answer, in a few words, without the password of the address."""
    text = " ".join(str(error).split()).replace(uri, without_password(uri)).partition(" Response body")[0]
    for cause in _causes(error):
        if isinstance(cause, TimeoutError):
            return _late()
        if isinstance(cause, OSError) and cause.strerror:
            text = cause.strerror
    return text.rstrip(".")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _late() -> str:
    return f"no answer within {SECONDS:.0f} s"


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
