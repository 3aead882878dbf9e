from __future__ import annotations

import pytest
import torch

from g2l.config import BackboneConfig
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
