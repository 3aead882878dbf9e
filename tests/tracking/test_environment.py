"""Where runs are recorded, and what is known of where they come from."""

from __future__ import annotations

import subprocess
import sys

import pytest

from g2l.errors import InputError
from g2l.tracking.environment import Target, environment, target, tracking_uri, without_password


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_default_is_a_database_in_the_working_directory_whatever_lies_there(place):
    (place / "mlruns" / "0").mkdir(parents=True)
    (place / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")
    assert target() == Target(f"sqlite:///{place / 'mlflow.db'}", None, "g2l", None)


def test_the_variables_choose_store_experiment_and_run(place, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///my.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "7")
    monkeypatch.setenv("MLFLOW_RUN_ID", "a" * 32)
    assert target(joins=True) == Target(f"sqlite:///{place / 'my.db'}", "7", "mine", "a" * 32)
    assert target().run_id is None  # this process may belong to another run


def test_a_run_keeps_its_store_and_experiment(place, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    monkeypatch.setenv("MLFLOW_RUN_ID", "a" * 32)
    recorded = environment()
    assert recorded["mlflow"]["uri"] == "http://host"
    kept = Target("http://host", None, "mine", "a" * 32)
    assert target(recorded) == Target("http://me:secret@host", None, "mine", "a" * 32)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    assert target(recorded) == Target("http://other", None, "theirs", "a" * 32)
    assert target(recorded, keeps_store=True) == kept
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name)
    assert target(recorded) == kept


def test_a_run_of_a_moved_project_is_recorded_in_the_store_that_moved_along(place):
    recorded = {"mlflow": {"uri": f"sqlite:///{place / 'gone' / 'mlflow.db'}"}}
    assert target(recorded).uri == f"sqlite:///{place / 'mlflow.db'}"


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns"])
def test_a_file_store_is_refused_at_once(monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InputError, match="`MLFLOW_TRACKING_URI` must be a database or a server") as raised:
        tracking_uri()
    assert "sqlite:///mlflow.db" in raised.value.hint


def test_a_password_is_not_shown():
    assert without_password("https://me:secret@host:5000/x") == "https://host:5000/x"
    assert without_password("sqlite:///a@b.db") == "sqlite:///a@b.db"


def test_a_command_imports_no_mlflow():
    script = "import sys, g2l.tracking.process, g2l.tracking.resolve; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
