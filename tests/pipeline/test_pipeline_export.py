from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from g2l.errors import InputError, OperationalError
from g2l.export.precision import Precision, Video
from g2l.inference.sessions import open_session
from g2l.models.metadata import ModelMetadata
from g2l.models.registry import build_backbone
from g2l.pipeline.export import export_model
from g2l.records import RunKind, RunRecord, RunStatus, StatusRecord, read_result
from g2l.tracking.mirror import Mirror
from tests.pipeline.tiny_pipeline import BACKBONE, STRUCTURE


@pytest.fixture(scope="module")
def metadata():
    return ModelMetadata(
        structure=STRUCTURE, backbone=BACKBONE, classes=("background", "a", "b"), feature_dim=4
    )


@pytest.fixture(scope="module")
def network(metadata):
    return build_backbone(BACKBONE, STRUCTURE, feature_dim=4, num_classes=3)


def test_an_export_is_a_file_and_kept_in_the_folder(context, network, metadata, tmp_path):
    path = tmp_path / "deep" / "model.onnx"
    report = export_model(context, network, metadata, path, registered_model="tiny", alias="best")
    record, result = RunRecord.read(context.folder), read_result(context.folder)
    assert (record.kind, record.settings["precision"]) == (RunKind.EXPORT, "fp32")
    expected = {"max_difference": report.parity.max_difference, "label_agreement": 100.0}
    assert result["recorded"]["metrics"] == expected
    assert (context.folder / "model.onnx").read_bytes() == path.read_bytes()
    assert result["register"] == {"name": "tiny", "alias": "best"}
    (mirrored,) = (run.model for run in Mirror(context.folder).runs(over=True) if run.model)
    assert (mirrored.registered_model, mirrored.alias) == ("tiny", "best")
    session = open_session(path, "cpu")
    assert session.metadata == metadata
    assert session.probabilities(np.zeros((4, 9), np.float32)).shape == (3, 9)


def test_a_refused_export_leaves_nothing(context, network, metadata, tmp_path):
    with pytest.raises(InputError, match=r"`output` must end in \.onnx"):
        export_model(context, network, metadata, tmp_path / "model.bin")
    assert list(tmp_path.iterdir()) == []


def test_only_an_export_is_replaced(context, network, metadata, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"mine, which names g2l")
    with pytest.raises(InputError, match=r"model\.onnx: exists, and was not written by this command"):
        export_model(context, network, metadata, path)
    assert path.read_bytes() == b"mine, which names g2l"
    path.unlink()
    export_model(context, network, metadata, path)
    export_model(replace(context, folder=tmp_path / "again"), network, metadata, path)


def test_a_reduced_export_records_what_it_changed(context, network, metadata, tmp_path):
    features = np.random.default_rng(0).standard_normal((4, 50), dtype=np.float32)
    report = export_model(
        context,
        network,
        metadata,
        tmp_path / "model.onnx",
        precision=Precision.INT8,
        videos=[Video("v", lambda: features)],
        force=True,
    )
    result = read_result(context.folder)
    assert result["precision"] == "int8"
    assert result["reduced"]["agreement"] == report.reduced.agreement
    found = result["recorded"]["metrics"]
    assert found["int8/agreement"] == report.reduced.agreement
    assert found["int8/f1"] == report.reduced.f1
    assert "int8/f1_change" not in found
    session = open_session(tmp_path / "model.onnx", "cpu")
    assert session.metadata == replace(metadata, precision=asdict(report.reduced))
    assert session.probabilities(features).shape == (3, 50)


def test_a_model_that_falls_short_is_a_failed_run(context, network, metadata, tmp_path):
    features = np.full((4, 50), 1e8, np.float32)
    reduced = {"precision": Precision.FP16, "videos": [Video("v", lambda: features)]}
    with pytest.raises(
        OperationalError, match=r"the fp16 model keeps 0\.0 % of the labels of fp32, 50 of 50"
    ):
        export_model(context, network, metadata, tmp_path / "model.onnx", **reduced)
    status = StatusRecord.read(context.folder)
    assert status.status is RunStatus.FAILED
    assert "where 99 % are needed" in status.reason
    assert not list(tmp_path.rglob("*.onnx*"))
