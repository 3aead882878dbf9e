from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from g2l.errors import InputError
from g2l.models.ms_tcn import MSTCN
from g2l.receptive_field.branch_conv import BranchConv1d
from g2l.receptive_field.conversion import (
    branch_layers,
    collapse,
    convert,
    estimate,
    expand,
    layer_rates,
    parameter_groups,
    read_structure,
)
from g2l.receptive_field.rates import Expansion
from g2l.structure import DilationStructure

EXPANSION = Expansion(expansion_rate=0.1, branches=3, max_rate=50)
STRUCTURE = DilationStructure(((1, 20, 4), (8, 16, 2)))


def make_ms_tcn() -> MSTCN:
    return MSTCN(STRUCTURE, feature_dim=5, num_classes=4, feature_maps=6).eval()


class Mixed(nn.Module):
    """Convolutions of all sorts, one of them used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv1d(2, 2, 3, padding=4, dilation=4)
        self.block = nn.Sequential(nn.Conv1d(2, 2, 1), nn.ReLU(), self.wide)
        self.valid = nn.Conv1d(2, 2, 3, dilation=2)
        self.image = nn.Conv2d(2, 2, 3, padding=1)
        self.other = nn.Conv1d(2, 2, 5, padding=2)

    def forward(self, x):
        return self.other(self.block(self.wide(x)))


def test_ms_tcn_keeps_names_parameters_and_device_and_gains_alpha():
    model = make_ms_tcn()
    before = dict(model.named_parameters())
    state = torch.get_rng_state()
    report = convert(model, EXPANSION)
    assert torch.equal(torch.get_rng_state(), state)
    assert report.converted == tuple(
        f"{stage}.layers.{layer}.conv_dilated" for stage in ("stage1", "stages.0") for layer in range(3)
    )
    assert report.skipped == {}
    after = dict(model.named_parameters())
    assert all(after[name] is parameter for name, parameter in before.items())
    assert after.keys() - before.keys() == {f"{name}.alpha" for name in report.converted}
    assert not any(module.training for module in model.modules())


def test_converted_and_collapsed_at_the_same_rates_is_the_network_it_was():
    model, features = make_ms_tcn(), torch.randn(2, 5, 30)
    expected = model(features)
    kinds = {name: type(module) for name, module in model.named_modules()}
    convert(model, EXPANSION)
    assert not torch.allclose(model(features), expected)
    collapse(model, layer_rates(model))
    assert {name: type(module) for name, module in model.named_modules()} == kinds
    assert torch.equal(model(features), expected)
    assert list(model.state_dict()) == list(make_ms_tcn().state_dict())


def test_collapsed_at_other_rates_is_the_network_of_that_structure():
    model, features = make_ms_tcn(), torch.randn(2, 5, 30)
    convert(model, EXPANSION)
    other = DilationStructure(((3, 50, 1), (7, 9, 30)))
    collapse(model, dict(zip(branch_layers(model), other.rates, strict=True)))
    built = MSTCN(other, feature_dim=5, num_classes=4, feature_maps=6).eval()
    built.load_state_dict(model.state_dict())
    assert torch.equal(model(features), built(features))
    assert read_structure(model, STRUCTURE.shape) == other


def test_other_networks_report_what_was_skipped_and_why():
    model = Mixed()
    report = convert(model, EXPANSION, select=lambda name: name != "other")
    assert report.converted == ("wide",)
    assert report.skipped == {
        "valid": "its padding (0,) does not keep the length at dilation 2",
        "image": "is a Conv2d, only Conv1d is supported",
        "other": "is not selected",
    }
    assert isinstance(model.wide, BranchConv1d)
    assert model.block[2] is model.wide
    assert model(torch.randn(1, 2, 9)).shape == (1, 2, 9)
    collapse(model, {"wide": 7})
    assert type(model.wide) is nn.Conv1d
    assert model.block[2] is model.wide


def test_a_model_that_is_itself_a_convolution_is_reported():
    report = convert(nn.Conv1d(2, 2, 3, padding=1), EXPANSION)
    assert report.converted == ()
    assert report.skipped == {"": "is the whole model, and can only be replaced inside another module"}


def test_alpha_has_a_group_of_its_own_without_weight_decay():
    model = make_ms_tcn()
    convert(model, EXPANSION)
    others, alphas = parameter_groups(model, learning_rate=5e-4, branch_learning_rate=2e-3)
    assert others["lr"] == 5e-4
    assert alphas["lr"] == 2e-3
    assert alphas["weight_decay"] == 0
    assert [id(alpha) for alpha in alphas["params"]] == [
        id(layer.alpha) for layer in branch_layers(model).values()
    ]
    assert len(others["params"]) + len(alphas["params"]) == len(list(model.parameters()))
    torch.optim.Adam([others, alphas])


def test_estimate_reads_and_expand_moves():
    model = make_ms_tcn()
    convert(model, EXPANSION)
    assert list(layer_rates(model).values()) == [1, 20, 4, 8, 16, 2]
    assert [layer.rates for layer in branch_layers(model).values()] == [
        (1, 2),
        (18, 20, 22),
        (3, 4, 5),
        (7, 8, 9),
        (14, 16, 18),
        (1, 2, 3),
    ]
    for layer in branch_layers(model).values():
        layer.alpha.data[len(layer.rates) - 1] = -0.04
    found = estimate(model)
    assert estimate(model) == found
    assert [layer.rate for layer in found.values()] == [2, 21, 4, 8, 17, 2]
    expand(model, {name: layer.rate for name, layer in found.items()})
    assert [layer.rates for layer in branch_layers(model).values()] == [
        (1, 2, 3),
        (19, 21, 23),
        (3, 4, 5),
        (7, 8, 9),
        (15, 17, 19),
        (1, 2, 3),
    ]
    assert read_structure(model, (3, 3)) == DilationStructure(((2, 21, 4), (8, 17, 2)))


def test_rates_for_other_layers_are_refused():
    model = make_ms_tcn()
    convert(model, EXPANSION)
    rates = layer_rates(model)
    del rates["stages.0.layers.1.conv_dilated"]
    with pytest.raises(InputError, match=r"6 layers with branches, but differs in stages.0.layers.1.conv_d"):
        expand(model, rates)
    with pytest.raises(InputError, match="but differs in unknown"):
        collapse(model, {**layer_rates(model), "unknown": 3})


def test_a_structure_needs_as_many_layers_as_its_shape():
    with pytest.raises(InputError, match="`rates` must hold 8 rates, but holds 6 instead"):
        read_structure(make_ms_tcn(), (4, 4))


def test_deepcopy_of_a_searched_network_is_independent():
    model, features = make_ms_tcn(), torch.randn(1, 5, 30)
    convert(model, EXPANSION)
    expected = model(features)
    twin = copy.deepcopy(model)
    collapse(twin, layer_rates(twin))
    assert torch.equal(model(features), expected)
    assert len(branch_layers(model)) == 6
