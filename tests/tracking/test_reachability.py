from __future__ import annotations

import json
import socket
import sqlite3
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from g2l.tracking import reachability
from g2l.tracking.reachability import ask_store


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def store(monkeypatch):
    """Sets the address of the store."""
    return lambda uri: monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_default_store_will_be_made_and_is_not_made_by_asking(place):
    state = ask_store()
    assert (state.usable, state.detail, state.folder) == (True, "it will be made", place)
    assert files(place) == []


def test_a_store_that_is_there_is_opened_and_left_as_it_is(place, store):
    with closing(sqlite3.connect(place / "mlflow.db")) as file, file:
        file.execute("CREATE TABLE experiments (name TEXT)")
        file.executemany("INSERT INTO experiments VALUES (?)", [("a",), ("b",)])
    before = (place / "mlflow.db").read_bytes()
    for uri in ("sqlite:///mlflow.db", f"sqlite:///{place / 'mlflow.db'}"):
        store(uri)
        state = ask_store()
        assert (state.usable, state.detail, state.folder) == (True, "it opens (2 experiments)", place)
    assert (place / "mlflow.db").read_bytes() == before
    assert files(place) == ["mlflow.db"]


@pytest.mark.parametrize("content", [b"nonsense" * 200, b""])
def test_a_file_that_is_no_store_is_told(place, content):
    (place / "mlflow.db").write_bytes(content)
    state = ask_store()
    assert state.usable is False
    assert state.detail.startswith("it is no readable MLflow store (")


def test_a_folder_that_is_not_there_is_told(place, store):
    store("sqlite:///none/mlflow.db")
    state = ask_store()
    assert (state.usable, state.detail) == (
        False,
        f"it does not exist, and neither does its folder {place / 'none'}",
    )


def test_file_stores(place, store, monkeypatch):
    store(str(place / "mlruns"))
    assert "`MLFLOW_TRACKING_URI` must be a database or a server" in ask_store().detail
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert ask_store().detail == "it will be made"
    (place / "mlruns").mkdir()
    for uri in (str(place / "mlruns"), f"file://{place / 'mlruns'}", "mlruns"):
        store(uri)
        assert (ask_store().usable, ask_store().detail) == (True, "it is a folder")
    (place / "file").touch()
    store(str(place / "file"))
    assert ask_store().usable is False


def test_databases_are_asked_whether_they_take_connections(store):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        store(f"postgresql+psycopg2://me:secret@127.0.0.1:{port}/mlflow")
        assert (ask_store().usable, ask_store().detail) == (True, f"127.0.0.1:{port} takes connections")
    state = ask_store()
    assert (state.usable, state.detail) == (False, "Connection refused")


def test_stores_that_cannot_be_asked_are_not_called_broken(store):
    for uri in ("databricks", "databricks://profile", "plugin://somewhere"):
        store(uri)
        assert ask_store().usable is None


@pytest.fixture
def server():
    """A server that answers as the test decides, and its address."""

    class Handler(BaseHTTPRequestHandler):
        code, body = 200, json.dumps({"experiments": []}).encode()

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(Handler.code)
            self.send_header("Content-Length", str(len(Handler.body)))
            self.end_headers()
            self.wfile.write(Handler.body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield Handler, f"127.0.0.1:{http.server_port}"
        http.shutdown()


def test_a_server_is_really_asked(server, store, capfd):
    handler, address = server
    store(f"http://me:secret@{address}")
    assert (ask_store().usable, ask_store().detail) == (True, "it answers")
    for code, body, reason in (
        (401, b"who are you", "failed with error code 401"),
        (200, b"<html>", "not in a valid JSON format"),
        (500, b"", "too many 500 error responses"),
    ):
        handler.code, handler.body = code, body
        state = ask_store()
        assert state.usable is False
        assert reason in state.detail
        assert "secret" not in state.detail
    assert capfd.readouterr() == ("", "")


def test_a_server_that_is_not_there_or_does_not_answer(store, monkeypatch):
    store("http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")
    assert (ask_store().usable, ask_store().detail) == (False, "Connection refused")
    monkeypatch.setattr(reachability, "SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store(f"http://127.0.0.1:{silent.getsockname()[1]}")
        state = ask_store()
    assert (state.usable, state.detail) == (False, "no answer within 1 s")
    import os

    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "7"
    assert (
        "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ or os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "60"
    )
