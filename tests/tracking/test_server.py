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

import pytest
from generated_run import close_stage, held, open_stage, write_run

from g2l.records import METRICS, LineLog, MetricsRecord, RunKind, write_result
from g2l.tracking.environment import Target, load_mlflow, target
from g2l.tracking.process import record
from g2l.tracking.resolve import resolve_artifact
from g2l.tracking.store import StoreUnavailableError
from g2l.tracking.upload import Uploader, recorded_run


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


@pytest.fixture(scope="module")
def server(tmp_path_factory, empty_store):
    folder = tmp_path_factory.mktemp("server")
    shutil.copyfile(empty_store, folder / "mlflow.db")
    server = Server(folder)
    yield server
    server.kill()


@pytest.fixture
def remote(server, workdir, monkeypatch):
    """The server as the store that the environment names; its client."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    return load_mlflow().MlflowClient(tracking_uri=server.uri)


def test_a_server_gets_all_that_a_file_gets(remote, workdir, client, onnx_file, capfd, server, monkeypatch):
    folder = write_run(workdir / "run")
    export = folder / "export"
    open_stage(export, RunKind.EXPORT, {"precision": "fp32"})
    shutil.copyfile(onnx_file, export / "model.onnx")
    write_result(export, {"register": {"name": "remote", "alias": "best"}}, ["model.onnx"])
    close_stage(export)
    assert record(folder) is not None
    assert capfd.readouterr() == ("", "")
    assert resolve_artifact("models:/remote@best").read_bytes() == onnx_file.read_bytes()
    at_server = held(remote)
    assert len(at_server) == 11
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert Uploader(folder, Target(f"sqlite:///{workdir / 'mlflow.db'}")).step(over=True)
    assert held(client) == at_server


def test_a_server_that_comes_back_gets_what_it_missed(server, remote, workdir):
    folder = workdir / "run"
    open_stage(folder, RunKind.SEED, {"seed": 0}, root=True)
    uploader = Uploader(folder, target())
    assert not uploader.step(over=False)
    server.kill()
    log = LineLog(folder / METRICS, MetricsRecord)
    for step in range(3):
        log.append(MetricsRecord(step=step, metrics={"loss": float(step)}))
        with pytest.raises(StoreUnavailableError, match="refused"):
            uploader.step(over=False)
    close_stage(folder)
    server.start()
    assert uploader.step(over=True)
    run = remote.get_run(recorded_run(folder, target()).run_id)
    assert run.info.status == "FINISHED"
    history = remote.get_metric_history(run.info.run_id, "loss")
    assert [one.value for one in history] == [0.0, 1.0, 2.0]
