"""Against a real `mlflow server`, and against its absence."""

from __future__ import annotations

import shutil

import pytest
from generated_run import close_stage, held, open_stage, write_run
from mlflow_server import Server

from g2l.records import METRICS, LineLog, MetricsRecord, RunKind, write_result
from g2l.tracking.environment import Target, load_mlflow, target
from g2l.tracking.process import record
from g2l.tracking.resolve import resolve_artifact
from g2l.tracking.store import StoreUnavailableError
from g2l.tracking.upload import Uploader, recorded_run


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
