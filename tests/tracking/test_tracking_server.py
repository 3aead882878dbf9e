"""Against a real `mlflow server`, and against its absence."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from g2l.tracking.environment import load_mlflow
from g2l.tracking.mlflow_tracker import MlflowTracker
from g2l.tracking.protocol import RunKind
from g2l.tracking.resolve import resolve_artifact

RECORD_AND_DIE = """
import os, signal
from pathlib import Path
from g2l.tracking.mlflow_tracker import MlflowTracker
from g2l.tracking.protocol import RunKind
run = MlflowTracker(Path("killed")).start(name="killed", kind=RunKind.TRAIN)
assert run.run_id is None
run.log_metrics({"edit": 61.0})
os.kill(os.getpid(), signal.SIGKILL)
"""


class Server:
    """`mlflow server` in a folder, which can be killed and started again at the same address."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./artifacts"]
        variables = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")} | {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--workers", "1"],
                cwd=self.folder,
                env=variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except OSError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text())

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def server(tmp_path_factory, empty_store):
    folder = tmp_path_factory.mktemp("server")
    shutil.copyfile(empty_store, folder / "mlflow.db")
    server = Server(folder)
    yield server
    server.kill()


@pytest.fixture
def remote(server, tmp_path, monkeypatch):
    """The server as the store that the environment names; its client."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return load_mlflow().MlflowClient(tracking_uri=server.uri)


def test_a_server_gets_all_that_a_file_gets(remote, tmp_path, onnx_file, capfd):
    tracker = MlflowTracker(tmp_path / "spool")
    run = tracker.start(name="root", kind=RunKind.PIPELINE)
    child = run.child(name="child", kind=RunKind.CANDIDATE)
    child.log_metrics({"f1@10": float("nan"), "edit": float("inf"), "accuracy": 3})
    child.log_params({"rates": [1, 2], "empty": ""})
    child.log_table({"a": [1]}, "t.json")
    child.log_dataset(name="d", source=tmp_path, digest="0", context="test")
    child.finish()
    run.log_onnx_model(onnx_file, input_example=[[[0.0] * 20] * 4], registered_model="remote", alias="best")
    run.finish()
    assert tracker.close() is None
    assert capfd.readouterr() == ("", "")
    data = remote.get_run(child.run_id).data
    assert set(data.metrics) == {"f1_at_10", "edit", "accuracy"}
    assert data.params == {"rates": "[1, 2]", "empty": ""}
    assert data.tags["mlflow.parentRunId"] == run.run_id
    assert resolve_artifact(f"runs:/{child.run_id}/t.json").read_text() == '{"columns": ["a"], "data": [[1]]}'
    assert resolve_artifact("models:/remote@best").read_bytes()


def test_nothing_is_lost_while_the_server_is_away(server, remote, tmp_path, caplog):
    tracker = MlflowTracker(tmp_path / "spool")
    early = tracker.start(name="early", kind=RunKind.TRAIN)
    assert early.run_id
    away = MlflowTracker(tmp_path / "away", patience=0)
    server.kill()
    early.log_metrics({"accuracy": 50.0}, step=1)
    note = tmp_path / "note.txt"
    note.write_text("kept")
    early.log_artifact(note)
    note.unlink()
    late = early.child(name="late", kind=RunKind.SEED)
    assert late.run_id is None
    late.finish()
    early.finish()
    wait_for(lambda: "does not answer" in caplog.text)  # another thread finds out
    away.start(name="away", kind=RunKind.TRAIN).finish()
    told = away.close()
    assert told.startswith(f"2 tracking events could not be sent to MLflow at {server.uri}; they wait in ")
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", RECORD_AND_DIE], cwd=tmp_path, env=variables, check=False)

    server.start()
    assert tracker.close() is None
    for folder in ("away", "killed"):
        assert MlflowTracker(tmp_path / folder).close() is None

    experiment = remote.get_experiment_by_name("g2l").experiment_id
    runs = {run.info.run_name: run for run in remote.search_runs([experiment])}
    status = {name: run.info.status for name, run in runs.items() if name not in ("root", "child")}
    assert status == {"early": "FINISHED", "late": "FINISHED", "away": "FINISHED", "killed": "KILLED"}
    assert runs["early"].data.metrics == {"accuracy": 50.0}
    assert runs["late"].data.tags["mlflow.parentRunId"] == early.run_id
    assert runs["killed"].data.metrics == {"edit": 61.0}
    assert resolve_artifact(f"runs:/{early.run_id}/note.txt").read_text() == "kept"
    assert len([record for record in caplog.records if "does not answer" in record.message]) == 2
