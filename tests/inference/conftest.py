from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from g2l.config import BackboneConfig
from g2l.models.metadata import ModelMetadata
from g2l.structure import DilationStructure


@pytest.fixture(scope="session")
def metadata():
    """Of a tiny network: 6 features, 3 classes, every second frame."""
    return ModelMetadata(
        structure=DilationStructure(((1, 4),)),
        backbone=BackboneConfig(stages=1, layers=2, feature_maps=8),
        classes=("background", "cut", "pour"),
        feature_dim=6,
        sample_rate=2,
        fps=30.0,
    )


class FakeSession:
    """Gives class c the c-th feature row as probability."""

    device_report = "a fake"
    batch_frames = 0

    def __init__(self, metadata):
        self.metadata = metadata
        self.seen = []

    def probabilities(self, features):
        self.seen.append(features)
        return features[: len(self.metadata.classes)].copy()


@pytest.fixture
def fake_session(metadata):
    def build(**changes):
        return FakeSession(replace(metadata, **changes))

    return build


@pytest.fixture
def video(tmp_path):
    """Writes a feature file (6, T) whose first three rows are one-hot of `labels`."""

    def write(name, labels, folder="features", dtype=np.float32):
        path = tmp_path / folder / f"{name}.npy"
        path.parent.mkdir(exist_ok=True)
        features = np.zeros((6, len(labels)), dtype)
        features[np.asarray(labels), np.arange(len(labels))] = 1
        np.save(path, features)
        return path

    return write
