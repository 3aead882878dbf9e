"""`mlflow models serve` on a logged model is started, asked over HTTP, and stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

from g2l.inference.predictor import Predictor
from g2l.inference.sessions import open_session
from g2l.tracking.models import log_model
from g2l.tracking.state import OnnxModel

CLASSES = ("background", "cut", "pour")
SECONDS = 90


@pytest.fixture
def run_id(workdir, onnx_file, client):
    run = client.create_run(client.create_experiment("g2l"))
    log_model(client, f"sqlite:///{workdir / 'mlflow.db'}", run, OnnxModel(onnx_file))
    return run.info.run_id


@pytest.fixture
def address(run_id, workdir):
    """Where the model is served; every process of the server is ended after the test."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (workdir / "bin").mkdir()
    # MLflow starts `uvicorn` from PATH, where it is not unless the environment is activated.
    (workdir / "bin" / "uvicorn").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m uvicorn "$@"\n')
    (workdir / "bin" / "uvicorn").chmod(0o755)
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"runs:/{run_id}/model"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    variables = {
        "PATH": f"{workdir / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{workdir / 'mlflow.db'}",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "G2L_FEATURES_ROOT": str(workdir / "features"),
    }
    with (workdir / "log").open("wb") as log:
        server = subprocess.Popen(
            command, env=os.environ | variables, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", server, workdir / "log")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_for(url, server, log):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def ask(address, content):
    """Return the status and what was answered."""
    request = urllib.request.Request(
        address, json.dumps(content).encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


@pytest.mark.timeout(200)
def test_a_served_model_answers_with_labels(address, onnx_file, workdir):
    video = np.random.default_rng(0).normal(0, 2, (4, 25))
    path = workdir / "features" / "a.npy"
    path.parent.mkdir()
    np.save(path, video)
    (prediction,) = Predictor(open_session(onnx_file, "cpu")).predict([path])
    expected = [{"labels": [CLASSES[index] for index in prediction.labels]}]
    for asked in (
        {"inputs": [video.tolist()]},
        {"dataframe_records": [{"features": video.tolist()}]},
        {"inputs": ["a.npy"]},
    ):
        assert ask(address, asked) == (200, {"predictions": expected})
    status, answer = ask(address, {"inputs": ["a.npy"], "params": {"probabilities": True}})
    assert (status, answer["predictions"][0]["classes"]) == (200, list(CLASSES))
    status, answer = ask(address, {"inputs": ["../mlflow.db"]})
    assert status == 400
    assert "'../mlflow.db' is not read: it is outside the folder" in answer["message"]
