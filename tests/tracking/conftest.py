"""An empty SQLite store per test; the tables are made once, for that takes seconds."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from generated_run import METADATA

from g2l.tracking.environment import load_mlflow


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A SQLite file that holds MLflow's tables and no runs."""
    path = tmp_path_factory.mktemp("store") / "empty.db"
    load_mlflow().MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def workdir(tmp_path, monkeypatch, empty_store):
    """The working directory, with a store where the default one is, and no MLflow variables set."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_") and "HTTP" not in name]:
        if name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID") or "EXPERIMENT" in name:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def client(workdir):
    return load_mlflow().MlflowClient(tracking_uri=f"sqlite:///{workdir / 'mlflow.db'}")


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory):
    """A 1x1 convolution of 4 features to 3 classes, any batch, any length, of every second frame."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).normal(size=(3, 4, 1)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["features", "weight"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "g2l",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 4, "frames"])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3, "frames"])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.metadata_props.add(key="g2l", value=METADATA.to_json())
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    onnx.save(model, path)
    return path
