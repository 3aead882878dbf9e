"""Closed forms of size against the real modules, whose operations torch counts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from g2l.config import BackboneConfig
from g2l.errors import InputError
from g2l.models.registry import find_backbone
from g2l.models.size import multiply_adds_per_frame, network_size
from g2l.structure import DilationStructure

FRAMES = 60
"""A multiple of all rates that are drawn."""


def built(backbone, structure, feature_dim, num_classes):
    network = find_backbone(backbone.name)(
        structure,
        feature_dim=feature_dim,
        num_classes=num_classes,
        feature_maps=backbone.feature_maps,
        dropout=0.5,
    )
    return network.eval()


def counted_by_torch(network, feature_dim):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.to("meta")(torch.empty(1, feature_dim, FRAMES, device="meta"))
    return counter.get_total_flops() // 2


@st.composite
def networks(draw):
    """Name, structure with stages of any length, feature maps, D and C."""
    name = draw(st.sampled_from(["ms-tcn", "ms-tcn++", "asformer"]))
    rate = st.sampled_from([1, 2, 3, 5, 10, 12, 60])
    stages = draw(st.lists(st.lists(rate, min_size=1, max_size=3), min_size=1, max_size=3))
    if name == "ms-tcn++":
        stages[0] *= 2
    structure = DilationStructure(tuple(map(tuple, stages)))
    sizes = [draw(st.integers(1, 9)) for _ in range(3)]
    return BackboneConfig(name=name, feature_maps=sizes[0]), structure, sizes[1], sizes[2]


@settings(max_examples=60, deadline=None)
@given(network=networks())
def test_the_closed_form_is_what_the_modules_do(network):
    backbone, structure, feature_dim, num_classes = network
    found = network_size(backbone, structure, feature_dim=feature_dim, num_classes=num_classes)
    model = built(backbone, structure, feature_dim, num_classes)
    assert found.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert found.multiply_adds * FRAMES == counted_by_torch(model, feature_dim)


def test_the_published_sizes():
    """MS-TCN, 4 x 10 x 64: 0.80 million; ASFormer: 1.13 million."""
    size = {"feature_dim": 2048, "num_classes": 19}
    ms_tcn, asformer = BackboneConfig(), BackboneConfig(name="asformer")
    structure = DilationStructure.hand_designed(4, 10)
    assert network_size(ms_tcn, structure, **size).parameters == 800_396
    assert network_size(asformer, structure, **size).parameters == 1_134_476
    wide = DilationStructure(((1024,) * 10,) * 4)
    assert multiply_adds_per_frame(ms_tcn, structure, **size) == multiply_adds_per_frame(ms_tcn, wide, **size)
    assert multiply_adds_per_frame(asformer, structure, **size) < multiply_adds_per_frame(
        asformer, wide, **size
    )


def test_another_backbone_has_no_known_size():
    with pytest.raises(InputError, match=r"`backbone` must be one of ms-tcn.* but is 'mine:net' instead"):
        network_size(
            BackboneConfig(name="mine:net"), DilationStructure(((1,),)), feature_dim=3, num_classes=2
        )
