from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from g2l.errors import InputError, OperationalError
from g2l.export.precision import Precision
from g2l.export.precision_comparison import Video
from g2l.export.reduction import Reduction
from g2l.inference.sessions import open_session
from g2l.models.metadata import ModelMetadata
from g2l.models.registry import build_backbone
from g2l.pipeline.export import export_model
from g2l.tracking.protocol import RunKind, RunStatus
from tests.pipeline.tiny_pipeline import BACKBONE, STRUCTURE


@pytest.fixture(scope="module")
def metadata():
    return ModelMetadata(
        structure=STRUCTURE, backbone=BACKBONE, classes=("background", "a", "b"), feature_dim=4
    )


@pytest.fixture(scope="module")
def network(metadata):
    return build_backbone(BACKBONE, STRUCTURE, feature_dim=4, num_classes=3)


def test_an_export_is_a_file_an_artifact_and_a_model(context, tracker, network, metadata, tmp_path):
    path = tmp_path / "deep" / "model.onnx"
    report = export_model(context, network, metadata, path, registered_model="tiny", alias="best")
    run = tracker.only(RunKind.EXPORT)
    assert (run.status, run.params["precision"]) == (RunStatus.FINISHED, "fp32")
    assert run.latest() == {"max_difference": report.max_difference, "label_agreement": 100.0}
    assert run.artifacts["model.onnx"] == path.read_bytes()
    (model,) = run.models
    assert model["bytes"] == path.read_bytes()
    assert (model["registered_model"], model["alias"]) == ("tiny", "best")
    assert model["input_example"].shape[:2] == (1, 4)
    session = open_session(path, "cpu")
    assert session.metadata == metadata
    assert session.probabilities(np.zeros((4, 9), np.float32)).shape == (3, 9)


def test_a_file_with_a_frame_mask_is_an_mlflow_model_too(context, tracker, network, metadata, tmp_path):
    export_model(context, network, metadata, tmp_path / "model.onnx", frame_mask=True)
    run = tracker.only(RunKind.EXPORT)
    (model,) = run.models
    assert model["bytes"] == run.artifacts["model.onnx"] == (tmp_path / "model.onnx").read_bytes()


def test_a_refused_export_is_a_failed_run(context, tracker, network, metadata, tmp_path):
    with pytest.raises(InputError, match=r"`output` must end in \.onnx"):
        export_model(context, network, metadata, tmp_path / "model.bin")
    run = tracker.only(RunKind.EXPORT)
    assert run.status is RunStatus.FAILED
    assert "must end in .onnx" in run.reason


def test_a_reduced_export_is_told_to_the_tracker(context, tracker, network, metadata, tmp_path):
    features = np.random.default_rng(0).standard_normal((4, 50), dtype=np.float32)
    reduction = Reduction(precision=Precision.INT8, videos=[Video("v", lambda: features)], force=True)
    report = export_model(context, network, metadata, tmp_path / "model.onnx", reduction=reduction)
    run = tracker.only(RunKind.EXPORT)
    assert run.params["precision"] == "int8"
    assert run.dicts["precision.json"] == report.reduced.as_dict()
    found = run.latest()
    assert found["int8/agreement"] == report.reduced.agreement
    assert found["int8/f1"] == report.reduced.f1
    assert found["int8/speed"] == report.speed
    assert "int8/f1_change" not in found
    session = open_session(tmp_path / "model.onnx", "cpu")
    assert session.metadata == replace(metadata, precision=report.reduced.as_dict())
    assert session.probabilities(features).shape == (3, 50)


def test_a_model_that_falls_short_is_a_failed_run(context, tracker, network, metadata, tmp_path):
    features = np.full((4, 50), 1e8, np.float32)
    reduction = Reduction(precision=Precision.FP16, videos=[Video("v", lambda: features)])
    with pytest.raises(
        OperationalError, match=r"the fp16 model keeps 0\.0 % of the labels of fp32, 50 of 50"
    ):
        export_model(context, network, metadata, tmp_path / "model.onnx", reduction=reduction)
    run = tracker.only(RunKind.EXPORT)
    assert run.status is RunStatus.FAILED
    assert "where 99 % are needed" in run.reason
    assert run.reason.endswith("; nothing was written.")
    assert not list(tmp_path.glob("*.onnx*"))
    assert run.artifacts == {}
