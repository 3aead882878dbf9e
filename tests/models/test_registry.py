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


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"`backbone` must be a known name .* but is 'tcn' instead") as error:
        build("tcn")
    assert "ms-tcn, ms-tcn++" in error.value.hint


@pytest.mark.parametrize("name", ["", ":", "module:", ":factory"])
def test_half_a_name(name):
    with pytest.raises(InputError, match=r"must be a known name or package\.module:factory"):
        build(name)


@pytest.mark.parametrize("name", ["no_such_module:factory", "math:no_such_factory", ".math:sqrt"])
def test_what_cannot_be_imported(name):
    with pytest.raises(InputError, match="cannot be imported") as error:
        build(name)
    assert error.value.hint is not None


def test_what_cannot_be_called():
    with pytest.raises(InputError, match="must be callable, but is float instead"):
        build("math:pi")


def test_what_makes_no_network():
    with pytest.raises(InputError, match=r"must return a torch.nn.Module, but returned str instead"):
        build(f"{__name__}:no_network")
