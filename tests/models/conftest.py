from __future__ import annotations

import pytest
import torch
from torch import nn

from g2l.config import BackboneConfig
from g2l.models.metadata import ModelMetadata
from g2l.models.registry import build_backbone
from g2l.structure import DilationStructure


@pytest.fixture
def metadata() -> ModelMetadata:
    return ModelMetadata(
        structure=DilationStructure(((1, 2), (3, 40))),
        backbone=BackboneConfig(stages=2, layers=2, feature_maps=5),
        classes=("pour", "stir", "background"),
        feature_dim=6,
    )


@pytest.fixture
def network(metadata: ModelMetadata) -> nn.Module:
    torch.manual_seed(0)
    return build_backbone(
        metadata.backbone, metadata.structure, feature_dim=metadata.feature_dim, num_classes=3
    )
