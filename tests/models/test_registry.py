from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from g2l.config import BackboneConfig
from g2l.errors import InputError
from g2l.models.ms_tcn import MSTCN
from g2l.models.registry import build_backbone
from g2l.receptive_field.geometry import CausalConv1d
from g2l.structure import DilationStructure

STRUCTURE = DilationStructure(((1, 2), (3, 4)))
SIZE = BackboneConfig(stages=2, layers=2, feature_maps=5, dropout=0.25)


def averaging(structure, *, feature_dim, num_classes, feature_maps, dropout):
    """A backbone of somebody else's."""
    assert (feature_maps, dropout) == (5, 0.25)
    return nn.Conv1d(feature_dim, num_classes, 1)


def no_network(structure, **sizes):
    return "a string"


def build(name: str, structure: DilationStructure = STRUCTURE) -> nn.Module:
    return build_backbone(SIZE.replace(name=name), structure, feature_dim=6, num_classes=3)


def test_ms_tcn_gets_every_setting():
    model = build("ms-tcn")
    assert isinstance(model, MSTCN)
    assert model.stage1.layers[1].conv_dilated.dilation == (2,)
    assert model.stages[0].layers[0].dropout.p == 0.25
    assert model(torch.randn(1, 6, 9)).shape == (2, 1, 3, 9)
    assert model.training


@pytest.mark.parametrize("name", ["ms-tcn", "ms-tcn++"])
@pytest.mark.parametrize("causal", [True, False])
def test_causal_changes_the_dilated_convolutions_and_nothing_else(name, causal):
    size = replace(SIZE, name=name, causal=causal)
    torch.manual_seed(0)
    model = build_backbone(size, size.hand_designed(), feature_dim=6, num_classes=3)
    kinds = {type(module) for module in model.modules() if getattr(module, "kernel_size", None) == (3,)}
    assert kinds == {CausalConv1d if causal else nn.Conv1d}
    torch.manual_seed(0)
    other = build_backbone(
        replace(size, causal=not causal), size.hand_designed(), feature_dim=6, num_classes=3
    )
    weights, others = model.state_dict(), other.state_dict()
    assert list(weights) == list(others)
    assert all(map(torch.equal, weights.values(), others.values()))


def test_a_factory_of_somebody_else():
    model = build(f"{__name__}:averaging")
    assert model.weight.shape == (3, 6, 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tcn", "must be a known name or package.module:factory, but is 'tcn'"),
        ("module:", "must be a known name or package.module:factory"),
        ("no_such_module:factory", "cannot be imported"),
        ("math:no_such_factory", "cannot be imported"),
        (".math:sqrt", "cannot be imported"),
        ("math:pi", "must be callable, but is float instead"),
        (f"{__name__}:no_network", "must return a torch.nn.Module, but returned str instead"),
    ],
)
def test_a_name_that_gives_no_network_is_refused(name, message):
    with pytest.raises(InputError, match=f"`backbone` .*{message}"):
        build(name)
