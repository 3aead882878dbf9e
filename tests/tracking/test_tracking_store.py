"""The check of a store really uses it."""

from __future__ import annotations

import shutil
import socket
import sqlite3

import pytest

from g2l.tracking import store
from g2l.tracking.environment import target
from g2l.tracking.store import StoreUnavailableError, check_place, check_store, connect, sqlite_path


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_ALLOW_FILE_STORE", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def existing(place, empty_store):
    shutil.copyfile(empty_store, place / "mlflow.db")
    return connect(target().uri)


def files(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_a_store_that_does_not_exist_is_not_made(place):
    assert "does not exist yet" in check_store()
    assert files(place) == []


def test_a_tag_is_written_and_read(place, existing):
    for _ in range(2):
        assert check_store() == "experiment and tag were written and read"
    assert existing.get_experiment_by_name("g2l").tags.keys() >= {store.PROBE_TAG}
    assert files(place) == [".mlflow.db.lock", "mlflow.db"]


def test_a_deleted_experiment_is_named_with_what_restores_it(existing):
    identifier = existing.create_experiment("g2l")
    existing.delete_experiment(identifier)
    with pytest.raises(StoreUnavailableError, match="'g2l' is deleted") as caught:
        check_store()
    assert f"mlflow experiments restore --experiment-id {identifier}" in caught.value.hint


def test_a_store_that_does_not_keep_what_it_is_sent_is_refused(existing, monkeypatch):
    from mlflow import MlflowClient

    def read_only(*_, **__):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", lambda *_: None)
    with pytest.raises(StoreUnavailableError, match="a tag that was written is not there"):
        check_store()
    monkeypatch.setattr(MlflowClient, "set_experiment_tag", read_only)
    with pytest.raises(StoreUnavailableError, match="readonly database"):
        check_store()


def test_a_file_that_is_no_store_is_told(place):
    (place / "mlflow.db").write_bytes(b"nonsense" * 200)
    with pytest.raises(StoreUnavailableError, match="not a database"):
        check_store()


def test_a_folder_that_is_gone_is_told_and_not_made(place, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///none/mlflow.db")
    for use in (check_store, lambda: connect(target().uri)):
        with pytest.raises(StoreUnavailableError, match="none does not exist"):
            use()
    assert files(place) == []


def test_servers_that_are_away_or_hang(monkeypatch):
    monkeypatch.setattr(store, "PROBE_SECONDS", 4.0)
    monkeypatch.setattr(store, "REQUEST_SECONDS", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(StoreUnavailableError, match="Connection refused") as refused:
            check_store()
        silent.listen()
        with pytest.raises(StoreUnavailableError, match="no answer"):
            check_store()
    assert "secret" not in refused.value.message


def test_a_start_that_was_killed_while_it_made_the_store_is_made_up_for(place):
    (place / ".mlflow.db.new").write_bytes(b"half")
    assert connect(target().uri).search_experiments()
    assert files(place) == [".mlflow.db.lock", "mlflow.db"]


class Experiment:
    name = "g2l"

    def __init__(self, location):
        self.artifact_location = str(location)


def test_where_artifacts_lie(place):
    uri = target().uri
    (place / "shared").mkdir()
    other = place.parent / f"{place.name}-copied"
    for location in (place / "mlruns" / "1", place / "shared" / "1", "s3://bucket/1", "mlflow-artifacts:/1"):
        assert check_place(Experiment(location), uri) is None
    with pytest.raises(StoreUnavailableError, match="copied/mlruns/1 of experiment 'g2l' is gone") as gone:
        check_place(Experiment(other / "mlruns" / "1"), uri)
    assert "move the project back" in gone.value.hint
    (other / "mlruns" / "1").mkdir(parents=True)
    assert check_place(Experiment(other / "mlruns" / "1"), uri) is None
    (place / "mlruns" / "1").mkdir(parents=True)
    assert "are kept in" in check_place(Experiment(f"file://{other / 'mlruns' / '1'}"), uri)


def test_the_file_of_a_store(place):
    assert sqlite_path(f"sqlite:///{place}/a.db?mode=rw") == place / "a.db"
    assert sqlite_path("sqlite:///a.db") == place / "a.db"
    assert sqlite_path("http://a/b.db") is None
