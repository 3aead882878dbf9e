from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from g2l.config import BackboneConfig
from g2l.errors import OperationalError
from g2l.export.onnx_export import export_onnx
from g2l.export.rewriting import RewritableExport
from g2l.models.metadata import ModelMetadata
from g2l.models.ms_tcn import MSTCN
from g2l.models.registry import build_backbone
from g2l.structure import DilationStructure


def build(structure):
    """The same weights for every structure."""
    torch.manual_seed(0)
    return MSTCN(structure, feature_dim=6, num_classes=3, feature_maps=8)


@pytest.fixture(scope="module")
def export():
    return RewritableExport(build, (2, 2), feature_dim=6)


def output(model, frames):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    features = np.random.default_rng(frames).standard_normal((1, 6, frames), dtype=np.float32)
    return session.run(["probabilities"], {"features": features})[0]


def convolutions(model):
    return [
        {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        for node in model.graph.node
        if node.op_type == "Conv"
    ]


@pytest.mark.parametrize("stages", [((1, 6), (2, 3)), ((64, 1), (3, 64))])
def test_it_is_what_a_fresh_export_is(export, metadata, tmp_path, stages):
    structure = DilationStructure(stages)
    about = ModelMetadata(
        structure=structure, backbone=metadata.backbone, classes=metadata.classes, feature_dim=6
    )
    fresh = export_onnx(build(structure), about, tmp_path / "fresh.onnx").path
    rewritten = export.serialised(structure)
    assert convolutions(onnx.load_from_string(rewritten)) == convolutions(onnx.load(fresh))
    for frames in (1, 10, 150):
        np.testing.assert_array_equal(output(rewritten, frames), output(fresh, frames))


def test_both_convolutions_of_a_dual_layer_and_the_left_padding_of_a_causal_one_follow(tmp_path):
    backbone = BackboneConfig(name="ms-tcn++", stages=2, layers=2, prediction_layers=1, causal=True)

    def build_causal(structure):
        torch.manual_seed(0)
        return build_backbone(backbone, structure, feature_dim=6, num_classes=3)

    structure = DilationStructure(((9, 1), (30, 4)))
    about = ModelMetadata(structure=structure, backbone=backbone, classes=("a", "b", "c"), feature_dim=6)
    fresh = export_onnx(build_causal(structure), about, tmp_path / "fresh.onnx").path
    rewritten = RewritableExport(build_causal, backbone.shape, feature_dim=6).serialised(structure)
    found = convolutions(onnx.load_from_string(rewritten))
    assert found == convolutions(onnx.load(fresh))
    dilated = [(*conv["dilations"], conv["pads"]) for conv in found if conv["kernel_shape"] == [3]]
    assert dilated == [(9, [18, 0]), (1, [2, 0]), (30, [60, 0]), (4, [8, 0])]
    for frames in (1, 10, 150):
        np.testing.assert_array_equal(output(rewritten, frames), output(fresh, frames))


def test_rates_can_be_set_again_and_again(export):
    first, second = DilationStructure(((1, 2), (3, 4))), DilationStructure(((9, 1), (9, 1)))
    before = export.serialised(first)
    assert export.serialised(second) != before
    assert export.serialised(first) == before


class Rolled(nn.Module):
    """Its rate is a shift of its input, not a dilation."""

    def __init__(self, structure):
        super().__init__()
        self.rate = structure.rates[0]
        self.convolution = nn.Conv1d(6, 3, 1)

    def forward(self, features, frame_mask=None):
        return torch.stack([self.convolution(features.roll(self.rate, dims=2))])


class Scaled(nn.Module):
    """Its rate is that of its convolution and a factor beside it."""

    def __init__(self, structure):
        super().__init__()
        (self.rate,) = structure.rates
        self.convolution = nn.Conv1d(6, 3, 3, padding=self.rate, dilation=self.rate)

    def forward(self, features, frame_mask=None):
        return torch.stack([self.convolution(features * self.rate)])


class Odd(nn.Module):
    """Pads by 1 more than its rate."""

    def __init__(self, structure):
        super().__init__()
        (rate,) = structure.rates
        self.convolution = nn.Conv1d(6, 3, 3, padding=rate + 1, dilation=rate)

    def forward(self, features, frame_mask=None):
        return torch.stack([self.convolution(features)])


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (Rolled, "the rates of this backbone are not those of its exported convolutions"),
        (Scaled, "the exported convolutions of this backbone are not all that its rates set"),
        (Odd, r"the padding \[3, 3\] is no multiple of the rate 2"),
    ],
)
def test_networks_whose_rates_are_something_else_are_refused(backbone, message):
    with pytest.raises(OperationalError, match=message):
        RewritableExport(backbone, (1,), feature_dim=6)
