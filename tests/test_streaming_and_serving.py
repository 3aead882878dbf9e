"""The page on streams and services: its Python is run as it stands, block after block."""

from __future__ import annotations

import re
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch

from g2l.config import BackboneConfig
from g2l.export.onnx_export import export_onnx
from g2l.models.metadata import ModelMetadata
from g2l.models.registry import build_backbone
from g2l.structure import DilationStructure
from g2l.tracking.models import OnnxFlavor

PAGE = Path(__file__).parents[1] / "docs" / "streaming-and-serving.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
FRAMES = 90


@pytest.fixture
def model(tmp_path):
    """An exported causal model of every second frame."""
    torch.manual_seed(0)
    structure, backbone = (
        DilationStructure(((1, 4),)),
        BackboneConfig(stages=1, layers=2, feature_maps=4, causal=True),
    )
    metadata = ModelMetadata(
        structure=structure, backbone=backbone, classes=("a", "b"), feature_dim=3, sample_rate=2, fps=15.0
    )
    network = build_backbone(backbone, structure, feature_dim=3, num_classes=2).eval()
    export_onnx(network, metadata, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_the_blocks_run_in_their_order(model, tmp_path, monkeypatch, capsys):
    features = np.random.default_rng(0).standard_normal((3, FRAMES), dtype=np.float32)
    np.save(tmp_path / "video.npy", features)
    OnnxFlavor(model).save_model(str(tmp_path / "logged"), mlflow.models.Model())
    monkeypatch.setenv("G2L_FEATURES_ROOT", "")  # what the page sets is undone
    shown: dict[str, object] = {
        "__name__": "page",
        "model": model,
        "features": features,
        "path": tmp_path / "video.npy",
        "chunks": np.array_split(features, 7, axis=1),
        "logged": str(tmp_path / "logged"),
    }
    for code in BLOCKS:
        exec(code, shown)
    assert len(BLOCKS) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "delay: 0 frames (0.0 s)"
    assert [line.split()[0] for line in lines[1:-1]] == [str(frame) for frame in range(FRAMES)]
    assert {line.split()[1] for line in lines[1:-1]} <= {"a", "b"}
    assert lines[-1] == "0 more frames at the end"
