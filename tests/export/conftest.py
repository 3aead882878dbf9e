from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from g2l.config import BackboneConfig
from g2l.export.onnx_export import DeployedNetwork, exported_proto
from g2l.export.precision import Video
from g2l.models.metadata import ModelMetadata
from g2l.models.ms_tcn import MSTCN
from g2l.structure import DilationStructure

STRUCTURE = DilationStructure(((1, 6), (2, 3)))


@pytest.fixture(scope="session")
def metadata():
    return ModelMetadata(
        structure=STRUCTURE,
        backbone=BackboneConfig(stages=2, layers=2, feature_maps=8),
        classes=("background", "cut", "pour"),
        feature_dim=6,
        sample_rate=2,
        fps=30.0,
        transitions=((0, 0, 40), (0, 2, 3), (2, 2, 17)),
    )


@pytest.fixture
def network():
    torch.manual_seed(0)
    return MSTCN(STRUCTURE, feature_dim=6, num_classes=3, feature_maps=8)


def segments_of(seed, frames=120):
    """Features (6, T) of a video of three classes and its labels (T,): a noisy prototype per class."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(generator.integers(0, 3, frames // 10), 10)
    prototypes = np.eye(6, 3) * 2
    features = prototypes[:, labels] + 0.5 * generator.standard_normal((6, frames))
    return features.astype(np.float32), labels


@pytest.fixture(scope="session")
def videos():
    """Videos that the trained network has not seen, with their truth."""
    return [
        Video(f"{seed}.npy", partial(lambda seed: segments_of(seed)[0], seed), segments_of(seed)[1])
        for seed in range(100, 104)
    ]


@pytest.fixture(scope="session")
def trained():
    """A network that was trained for a moment: it gives the right class to nine frames of ten."""
    torch.manual_seed(0)
    network = MSTCN(STRUCTURE, feature_dim=6, num_classes=3, feature_maps=8)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for step in range(40):
        features, labels = segments_of(step)
        logits = network(torch.from_numpy(features)[None])[:, 0]  # (S, C, T)
        loss = sum(cross_entropy(stage.T, torch.from_numpy(labels)) for stage in logits)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


@pytest.fixture(scope="session")
def proto(trained):
    """The trained network as torch exports it."""
    return exported_proto(DeployedNetwork(trained), 6)
