"""Kinds of fault of a store: all records wait and arrive afterwards."""

from __future__ import annotations

import resource
import shutil
import socket
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from generated_run import held, write_training

from g2l.tracking.environment import Target
from g2l.tracking.store import StoreUnavailableError
from g2l.tracking.upload import TRACKING, Uploader

LARGE = 4_000_000


def execute(path, *statements):
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(*statement) if isinstance(statement, tuple) else database.execute(statement)


@contextmanager
def locked(path, client):
    with closing(sqlite3.connect(path)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield f"sqlite:///{path}?timeout=0.1"
        database.rollback()


@contextmanager
def full(path, client):
    """No file may grow beyond this: SQLite and MLflow's artifacts meet a real error of the system."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGE // 2, limits[1]))
    try:
        yield f"sqlite:///{path}"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def deleted(path, client):
    identifier = client.create_experiment("g2l")
    client.delete_experiment(identifier)
    yield f"sqlite:///{path}"
    client.restore_experiment(identifier)


@contextmanager
def revised(path, client):
    other = path.with_name("other.db")  # MLflow checks a database once in a process
    shutil.copyfile(path, other)
    execute(other, "UPDATE alembic_version SET version_num = '0123456789ab'")
    yield f"sqlite:///{other}"


@contextmanager
def moved(path, client):
    place, here = path.parent.parent / "elsewhere" / "mlruns" / "1", path.parent / "mlruns" / "1"
    client.create_experiment("g2l", artifact_location=str(place))
    yield f"sqlite:///{path}"
    assert not place.parent.parent.exists()
    execute(path, ("UPDATE experiments SET artifact_location = ?", [str(here)]))
    execute(path, ("UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", [str(place), str(here)]))
    from mlflow.tracking._tracking_service import utils

    utils._artifact_repos_cache.clear()


@contextmanager
def refused(path, client):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://me:secret@127.0.0.1:{free.getsockname()[1]}"
    yield uri


class Answers(BaseHTTPRequestHandler):
    """Answers every request in one wrong way."""

    kind = 500

    def do_POST(self):
        if self.kind == "hang":
            time.sleep(3)
            return
        self.send_response(200 if self.kind == "html" else self.kind)
        self.end_headers()
        self.wfile.write(b"<html>sign in</html>")

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_):
        pass


def answering(kind):
    @contextmanager
    def fault(path, client):
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Wrong", (Answers,), {"kind": kind}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()

    return fault


FAULTS = {
    "locked": (locked, "database is locked"),
    "full": (full, "File too large|disk"),
    "deleted experiment": (deleted, "experiment 'g2l' is deleted"),
    "other schema": (revised, "schema|revision"),
    "moved": (moved, "elsewhere/mlruns/1 of experiment 'g2l' is gone"),
    "refused": (refused, "Connection refused"),
    "hang": (answering("hang"), "no answer in time"),
    "500": (answering(500), "500"),
    "sign-in page": (answering("html"), "."),
}


@pytest.fixture
def folder(workdir):
    """A run that has ended, with a file that no nearly full disk takes."""
    write_training(workdir / "run")
    with (workdir / "run" / "last.ckpt").open("wb") as file:
        file.truncate(LARGE)
    return workdir / "run"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_store_loses_nothing(folder, client, workdir, monkeypatch, fault):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    cause, named = FAULTS[fault]
    store = workdir / "mlflow.db"
    with cause(store, client) as uri:
        uploader = Uploader(folder, Target(uri))
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match=named) as caught:
                uploader.step(over=True)
        assert caught.value.hint or fault == "full"
        assert "secret" not in caught.value.message + (folder / TRACKING).read_text()
    same = uri.startswith("sqlite") and "?" not in uri and "other" not in uri
    assert (uploader if same else Uploader(folder, Target(f"sqlite:///{store}"))).step(over=True)
    content = held(client)
    assert {name: status for name, (_, (status, *_), *_) in content.items()} == {
        "run": "FINISHED",
        "seed-0": "FINISHED",
    }
    assert "last.ckpt" in content["run"][5]


def test_a_lock_that_is_released_is_waited_for(folder, client, workdir):
    database = sqlite3.connect(workdir / "mlflow.db", check_same_thread=False)
    database.execute("BEGIN EXCLUSIVE")
    threading.Timer(1.0, database.rollback).start()
    assert Uploader(folder, Target(f"sqlite:///{workdir / 'mlflow.db'}")).step(over=True)
    assert held(client)
    database.close()
