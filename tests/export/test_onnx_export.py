from __future__ import annotations

import errno
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from g2l.config import BackboneConfig
from g2l.errors import InputError, OperationalError
from g2l.export.onnx_export import ExportReport, export_onnx
from g2l.export.parity import Parity
from g2l.export.precision import Precision
from g2l.models.metadata import INPUT_KEY, METADATA_KEY, ModelMetadata
from g2l.models.registry import build_backbone
from g2l.structure import DilationStructure


def run(path, **inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], inputs)[0]


def convolutions(proto):
    return [
        {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        for node in proto.graph.node
        if node.op_type == "Conv"
    ]


def features(batch, frames):
    return np.random.default_rng(frames).standard_normal((batch, 6, frames), dtype=np.float32)


def test_the_file_is_complete_checked_and_says_what_the_network_says(network, metadata, tmp_path, capfd):
    network.train()
    level = logging.getLogger("torch.onnx").level
    report = export_onnx(network, metadata, tmp_path / "model.onnx")

    assert capfd.readouterr() == ("", "")
    assert network.training
    assert logging.getLogger("torch.onnx").level == level
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert report.parity.lengths == ((1, 1), (1, 5), (1, 17), (2, 9))
    assert report.parity.max_difference < 1e-6
    assert report.parity.agreement == 100

    proto = onnx.load(report.path)
    about = {entry.key: entry.value for entry in proto.metadata_props}
    assert about.keys() == {METADATA_KEY, INPUT_KEY}
    assert ModelMetadata.from_json(about[METADATA_KEY], "model.onnx") == metadata
    assert "frames 0, 2, 4, ..." in about[INPUT_KEY]
    assert "not normalised" in about[INPUT_KEY]
    assert proto.opset_import[0].version == report.opset
    assert b".py" not in report.path.read_bytes()

    value = features(3, 40)
    with torch.inference_mode():
        expected = torch.softmax(network.eval()(torch.from_numpy(value))[-1], dim=1).numpy()
    np.testing.assert_allclose(run(report.path, features=value), expected, atol=1e-6)


def test_with_a_frame_mask_padding_changes_nothing(network, metadata, tmp_path):
    path = export_onnx(network, metadata, tmp_path / "masked.onnx", frame_mask=True, opset=20).path
    short = features(1, 7)
    padded = np.pad(short, ((0, 0), (0, 0), (0, 5)), constant_values=9)
    mask = (np.arange(12) < 7).astype(np.float32)[None, None]
    alone = run(path, features=short, frame_mask=np.ones((1, 1, 7), np.float32))
    np.testing.assert_allclose(run(path, features=padded, frame_mask=mask)[:, :, :7], alone, atol=1e-6)


@pytest.mark.parametrize(("name", "causal"), [("ms-tcn", True), ("ms-tcn++", False)])
def test_other_backbones_and_causal_ones_are_convolutions_too(name, causal, tmp_path):
    backbone = BackboneConfig(name=name, feature_maps=8, causal=causal)
    structure = DilationStructure(((3, 1, 2, 4), (2,)))
    about = ModelMetadata(structure=structure, backbone=backbone, classes=("a", "b", "c"), feature_dim=6)
    torch.manual_seed(0)
    built = build_backbone(backbone, structure, feature_dim=6, num_classes=3)
    report = export_onnx(built, about, tmp_path / "model.onnx", frame_mask=True)
    assert report.parity.max_difference < 1e-6

    proto = onnx.load(report.path)
    assert ModelMetadata.from_json(proto.metadata_props[0].value, "model.onnx") == about
    assert "Pad" not in {node.op_type for node in proto.graph.node}
    assert {conv["pads"][1] for conv in convolutions(proto)} == ({0} if causal else {0, 1, 2, 3, 4})


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("model.onnx", {"opset": 14}, "`opset` must be in 15…26, but is 14 instead"),
        ("model.onnx", {"opset": 27}, "`opset` must be in 15…26, but is 27 instead"),
        ("model.safetensors", {}, "`output` must end in .onnx, but is"),
        ("model.onnx", {"precision": Precision.INT8}, "int8 must be calibrated on real features, but none"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_done(metadata, tmp_path, name, options, match):
    with pytest.raises(InputError, match=match):
        export_onnx(nn.Identity(), metadata, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


class DataDependent(nn.Module):
    def forward(self, features, frame_mask=None):
        return features[None] if features.sum() > 0 else -features[None]


def test_a_network_that_cannot_be_traced_leaves_the_old_file(metadata, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"old")
    with pytest.raises(OperationalError, match="the network cannot be exported to ONNX: ") as caught:
        export_onnx(DataDependent(), metadata, tmp_path / "model.onnx")
    assert "\n" not in caught.value.message
    assert (tmp_path / "model.onnx").read_bytes() == b"old"


def test_an_older_runtime_gets_its_operator_set_and_file_format(network, metadata, tmp_path):
    report = export_onnx(network, metadata, tmp_path / "old.onnx", opset=15)
    proto = onnx.load(report.path)
    assert (report.opset, report.ir_version) == (15, 8) == (proto.opset_import[0].version, proto.ir_version)
    onnx.checker.check_model(proto, full_check=True)
    value = features(2, 30)
    with torch.inference_mode():
        expected = torch.softmax(network.eval()(torch.from_numpy(value))[-1], dim=1).numpy()
    np.testing.assert_allclose(run(report.path, features=value), expected, atol=1e-6)


def test_a_refused_export_leaves_the_old_file_and_force_replaces_it(trained, metadata, videos, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    huge = [replace(video, load=lambda video=video: video.load() * np.float32(1e5)) for video in videos]
    with pytest.raises(OperationalError, match=r"model.onnx: the fp16 model keeps .*; nothing was written"):
        export_onnx(trained, metadata, path, precision=Precision.FP16, videos=huge)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert path.read_bytes() == b"old"
    report = export_onnx(trained, metadata, path, precision=Precision.FP16, videos=huge, force=True)
    assert report.reduced.forced


@pytest.mark.parametrize(
    ("difference", "words"),
    [(2e-4, r"the export differs from torch by 0\.0002, more than 1e-"), (float("nan"), "gives NaN")],
)
def test_an_export_that_differs_is_refused(difference, words):
    report = ExportReport(Path("model.onnx"), 20, 10, Parity(((1, 1),), difference, 100.0))
    with pytest.raises(OperationalError, match=words):
        report.require_parity()
    replace(report, parity=Parity(((1, 1),), 2e-5, 98.0)).require_parity()


@pytest.mark.parametrize("error", [OSError(errno.ENOMEM, "Cannot allocate memory"), MemoryError()])
def test_an_export_without_memory_is_no_fault_of_the_network(tmp_path, network, metadata, monkeypatch, error):
    def export(*_, **__):
        raise error

    monkeypatch.setattr(torch.onnx, "export", export)
    with pytest.raises(type(error)):
        export_onnx(network, metadata, tmp_path / "model.onnx")
