from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from g2l.config import BackboneConfig
from g2l.errors import InputError
from g2l.export.onnx_export import export_onnx
from g2l.models.asformer import ASFormer
from g2l.models.metadata import ModelMetadata
from g2l.structure import DilationStructure

LENGTHS = (1, 2, 15, 16, 17, 39, 40, 41, 3000)


def build(structure):
    """The same weights for every structure."""
    torch.manual_seed(0)
    return ASFormer(structure, feature_dim=6, num_classes=3, feature_maps=8).eval()


def described(structure):
    stages, layers = len(structure.stages), len(structure.stages[0])
    backbone = BackboneConfig(name="asformer", stages=stages, layers=layers, feature_maps=8)
    return ModelMetadata(structure=structure, backbone=backbone, classes=("a", "b", "c"), feature_dim=6)


def inputs(batch, frames):
    features = torch.randn(batch, 6, frames, generator=torch.Generator().manual_seed(frames))
    frame_mask = (torch.arange(frames) < torch.arange(batch, 0, -1).unsqueeze(1) * frames / batch).float()
    return features, frame_mask.unsqueeze(1)


def difference(path, network, features, frame_mask, masked):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = {"features": features.numpy()} | ({"frame_mask": frame_mask.numpy()} if masked else {})
    found = session.run(["probabilities"], given)[0]
    with torch.inference_mode():
        expected = torch.softmax(network(features, frame_mask if masked else None)[-1], dim=1).numpy()
    valid = frame_mask.numpy() if masked else 1
    return np.abs(valid * (found - expected)).max()


# Windows below, of and above the 16 frames of the exporter's example, even and odd.
@pytest.mark.parametrize(("stages", "masked"), [(((3, 40),), False), (((16,), (17,)), True)])
def test_the_file_says_what_the_network_says_at_any_length(tmp_path, stages, masked):
    structure = DilationStructure(stages)
    network, metadata = build(structure), described(structure)
    path = export_onnx(network, metadata, tmp_path / "model.onnx", frame_mask=masked).path
    proto = onnx.load(path)
    assert ModelMetadata.from_json(proto.metadata_props[0].value, "model.onnx") == metadata
    for batch, frames in [*((1, frames) for frames in LENGTHS), (2, 33), (3, 100)]:
        assert difference(path, network, *inputs(batch, frames), masked) < 1e-5


def test_an_older_operator_set_that_cannot_express_it_is_refused_in_one_line(tmp_path):
    structure = DilationStructure(((4,),))
    with pytest.raises(
        InputError, match=r"`opset` 17 cannot express this network, whose .*Pad.* changed"
    ) as caught:
        export_onnx(build(structure), described(structure), tmp_path / "model.onnx", opset=17)
    assert "\n" not in caught.value.message
    assert "--opset 18" in caught.value.hint
    assert not list(tmp_path.iterdir())
