from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from generated_run import METADATA

from g2l.errors import InputError, OperationalError
from g2l.tracking.environment import load_mlflow
from g2l.tracking.models import log_model
from g2l.tracking.resolve import resolve_artifact
from g2l.tracking.state import OnnxModel

FEATURES = np.random.default_rng(1).normal(size=(2, 4, 30)).astype(np.float32)


def logged(client, workdir, file, name, alias=None):
    """Log a file as the model of a new run, twice; return the run's id."""
    experiment = client.get_experiment_by_name("g2l")
    identifier = experiment.experiment_id if experiment else client.create_experiment("g2l")
    run = client.create_run(identifier)
    for _ in range(2):
        log_model(client, f"sqlite:///{workdir / 'mlflow.db'}", run, OnnxModel(file, name, alias))
    return run.info.run_id


@pytest.fixture
def run_id(workdir, onnx_file, client):
    """A run with the first of two versions of a registered model, a folder and a file."""
    run_id = logged(client, workdir, onnx_file, "segmenter", "champion")
    client.log_artifact(run_id, str(onnx_file), "files")
    client.log_dict(run_id, {"schema": "g2l.structure/1"}, "structure.json")
    logged(client, workdir, onnx_file, "segmenter")
    return run_id


@pytest.mark.filterwarnings("error:.*Add type hints:UserWarning")
def test_a_logged_model_loads_and_predicts(run_id, client, workdir, onnx_file, capfd, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workdir / 'mlflow.db'}")
    assert capfd.readouterr() == ("", "")
    mlflow = load_mlflow()
    for uri in ("models:/segmenter@champion", "models:/segmenter/2", f"runs:/{run_id}/model"):
        found = mlflow.pyfunc.load_model(uri).predict(FEATURES)
        assert [len(video["labels"]) for video in found] == [30, 30]
        assert {name for video in found for name in video["labels"]} == {"background", "cut", "pour"}
    information = mlflow.models.get_model_info("models:/segmenter/1")
    assert information.metadata == {"g2l": METADATA.to_json()}
    assert information.signature.outputs.input_names() == ["labels", "probabilities", "classes"]
    assert information.run_id == run_id
    assert client.get_registered_model("segmenter").aliases["champion"] in (1, "1")
    loaded = mlflow.onnx.load_model("models:/segmenter@champion")
    assert loaded.SerializeToString() == onnx.load(onnx_file).SerializeToString()
    folder = resolve_artifact("models:/segmenter/1").parents[1]
    requirements = (folder / "requirements.txt").read_text()
    assert "onnxruntime-gpu==" in requirements
    assert "onnxruntime==" not in requirements
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle")]


def test_a_model_that_is_logged_twice_is_there_once(run_id, client):
    experiment = client.get_run(run_id).info.experiment_id
    found = client.search_logged_models([experiment])
    assert {one.status for one in found} == {"READY"}
    assert [one.source_run_id for one in found].count(run_id) == 1
    assert len(client.get_run(run_id).outputs.model_outputs) == 1
    assert len(client.search_model_versions("name = 'segmenter'")) == 2


def test_a_model_that_a_kill_left_half_logged_is_logged_anew(run_id, client, onnx_file, workdir):
    from g2l.files import describe_file
    from g2l.tracking.models import CONTENT_TAG

    run = client.create_run(client.get_run(run_id).info.experiment_id)
    tags = {CONTENT_TAG: describe_file(onnx_file)["sha256"]}
    client.create_logged_model(run.info.experiment_id, name="model", source_run_id=run.info.run_id, tags=tags)
    log_model(client, f"sqlite:///{workdir / 'mlflow.db'}", run, OnnxModel(onnx_file))
    assert resolve_artifact(f"runs:/{run.info.run_id}/model").name == "model.onnx"


def test_references_lead_to_files(run_id, onnx_file):
    names = {
        "models:/segmenter@champion": "model.onnx",
        "models:/segmenter/1": "model.onnx",
        f"runs:/{run_id}/model": "model.onnx",
        f"runs:/{run_id}/files/small.onnx": "small.onnx",
        f"runs:/{run_id}/files": "small.onnx",
        f"runs:/{run_id}/structure.json": "structure.json",
    }
    for reference, name in names.items():
        path = resolve_artifact(reference)
        assert path.name == name
        if name.endswith(".onnx"):
            assert onnx.load(path).graph.name == onnx.load(onnx_file).graph.name


def test_what_mlflow_does_not_have_is_named(run_id):
    for reference in (
        "models:/segmenter@nobody",
        "models:/segmenter/9",
        "models:/nothing/1",
        f"runs:/{run_id}/missing.json",
        "runs:/ffffffffffffffffffffffffffffffff/x",
    ):
        with pytest.raises(InputError, match=f"^{reference}: not found in MLflow at sqlite:///"):
            resolve_artifact(reference)


@pytest.mark.parametrize("reference", ["runs:/abc", "models:/name", "models:/a/b/c", "models:/a@b@c"])
def test_malformed_references_are_told(reference):
    with pytest.raises(InputError, match="expected runs:/<run_id>/<path>, models:/<name>@<alias>"):
        resolve_artifact(reference)


def test_a_server_that_is_away_is_no_fault_of_the_reference(workdir, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(OperationalError, match=r"MLflow at http://127\.0\.0\.1:9 does not answer") as raised:
        resolve_artifact("models:/segmenter/1")
    assert "MLFLOW_TRACKING_URI" in raised.value.hint


def test_a_model_with_a_frame_mask_is_logged_too(workdir, client, tmp_path):
    from onnx import TensorProto, helper

    sizes = {"features": ["batch", 4, "frames"], "frame_mask": ["batch", 1, "frames"]}
    graph = helper.make_graph(
        [helper.make_node("Mul", ["features", "frame_mask"], ["probabilities"])],
        "masked",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in sizes.items()],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 4, "frames"])],
    )
    about = replace(METADATA, classes=("a", "b", "c", "d"), sample_rate=1)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.metadata_props.add(key="g2l", value=about.to_json())
    onnx.save(model, tmp_path / "m.onnx")
    logged(client, workdir, tmp_path / "m.onnx", "masked")
    model = load_mlflow().pyfunc.load_model(str(resolve_artifact("models:/masked/1").parents[1]))
    (first, _) = model.predict(FEATURES, params={"probabilities": True})
    np.testing.assert_array_equal(first["probabilities"], FEATURES[0])
    assert first["labels"] == [first["classes"][index] for index in FEATURES[0].argmax(axis=0)]
