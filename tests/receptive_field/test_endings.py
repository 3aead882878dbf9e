from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import weight_norm as weight_norm_by_hook
from torch.nn.utils.parametrizations import weight_norm

from g2l.errors import InputError
from g2l.models.ms_tcn import MSTCN
from g2l.receptive_field import (
    Ending,
    branch_layers,
    convert,
    estimate,
    expand,
    finish,
    parameter_groups,
    structure,
)
from g2l.structure import DilationStructure
from tests.receptive_field.conv_cases import assert_alike, built, by_oracle, cases, give_branches
from tests.receptive_field.self_padding import (
    CAUSAL,
    CENTRED,
    CausalConv1d,
    PadsAlways,
    causal_oracle,
    centred_oracle,
    weights_of,
)

ALPHA = [0.2, -0.3, 0.5]
KINDS = {
    "same": lambda: nn.Conv1d(4, 4, 3, padding=4, dilation=4, groups=2),
    "valid": lambda: nn.Conv1d(4, 4, 3, dilation=4, stride=2),
    "by name": lambda: nn.Conv1d(4, 4, 5, padding="same", dilation=4, padding_mode="replicate"),
    "causal": lambda: CausalConv1d(4, 4, 3, dilation=4),
    "pads itself": lambda: PadsAlways(4, 4, 3, dilation=4),
    "transposed image": lambda: nn.ConvTranspose2d(4, 4, 3, dilation=2, groups=2),
    "weight norm": lambda: weight_norm(nn.Conv1d(4, 4, 3, padding=4, dilation=4)),
}
MS_TCN = DilationStructure(((1, 20, 4), (8, 16, 2)))


def searched(make):
    torch.manual_seed(0)
    conv = make().double().eval()
    convert(conv, max_rate=12, expansion_rate=0.5)
    conv.alpha.data.copy_(torch.tensor(ALPHA))
    return conv, torch.randn(2, 4, *[25] * len(conv.kernel_size), dtype=torch.float64)


def make_ms_tcn(structure=MS_TCN):
    return MSTCN(structure, feature_dim=5, num_classes=4, feature_maps=6).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_multiple_keeps_the_branches_and_can_be_merged_later(kind):
    conv, x = searched(KINDS[kind])
    (rates,) = (found.rates for found in estimate(conv).values())
    finish(conv, Ending.MULTIPLE)
    assert conv.dilation == rates
    assert conv.alpha.tolist() == pytest.approx([0.01] * 3)
    assert conv.alpha.requires_grad
    assert estimate(conv) == {}
    conv.alpha.data.copy_(torch.tensor(ALPHA))
    expected = conv(x)
    finish(conv, Ending.MERGE)
    torch.testing.assert_close(conv(x), expected, rtol=1e-12, atol=1e-12)
    assert set(conv.dilation) == {1}
    assert sorted(conv.state_dict()) == ["bias", "weight"]


@pytest.mark.parametrize(
    ("kind", "own"),
    [("same", True), ("by name", True), ("causal", True), ("pads itself", True), ("valid", False)],
)
def test_a_convolution_keeps_its_class_where_that_can_express_it(kind, own):
    conv = KINDS[kind]()
    before = type(conv)
    convert(conv, max_rate=12)
    conv.expand((2,))
    finish(conv)
    assert (type(conv) is before) == own
    assert isinstance(conv, before)
    if kind == "valid":
        assert "pads=((-2, -2),)" in repr(conv)
        conv.dilation = (3,)
        assert conv(torch.randn(1, 4, 25)).shape[-1] == KINDS["valid"]()(torch.randn(1, 4, 25)).shape[-1]
        assert convert(conv, max_rate=12).converted == ("",)


def test_a_network_ended_at_other_rates_is_the_network_of_that_structure():
    model, features = make_ms_tcn(), torch.randn(2, 5, 30)
    kinds = {name: type(module) for name, module in model.named_modules()}
    convert(model, max_rate=100)
    other = DilationStructure(((3, 50, 1), (7, 9, 30)))
    expand(model, {name: (rate,) for name, rate in zip(structure(model), other.rates, strict=True)})
    finish(model)
    assert {name: type(module) for name, module in model.named_modules()} == kinds
    built = make_ms_tcn(other)
    assert repr(model) == repr(built)
    built.load_state_dict(model.state_dict())
    assert torch.equal(model(features), built(features))


PADDED = [
    *((make, causal_oracle) for make in CAUSAL.values()),
    *((make, centred_oracle) for make in CENTRED.values()),
]


@pytest.mark.parametrize("ending", list(Ending))
@pytest.mark.parametrize(("make", "oracle"), PADDED, ids=[*CAUSAL, *(f"centred {name}" for name in CENTRED)])
def test_convolutions_that_pad_themselves_end_as_they_were_padded(make, oracle, ending):
    """Branches at 3, 6 and 9 become 7, or those around 7, or are merged."""
    torch.manual_seed(0)
    model = make(3, 4, 3, dilation=4).eval()
    weight, bias = weights_of(model)
    x = torch.randn(2, 3, 20)
    convert(model, max_rate=30, expansion_rate=0.5)
    (layer,) = branch_layers(model).values()
    layer.expand((6,))
    layer.alpha.data.copy_(torch.tensor(ALPHA))
    finish(model, ending)
    shares, rates = {
        Ending.SINGLE: ([1], [7]),
        Ending.MULTIPLE: ([1 / 3] * 3, [4, 7, 10]),
        Ending.MERGE: ([0.2, 0.3, 0.5], [3, 6, 9]),
    }[ending]
    expected = sum(share * oracle(weight, bias, x, rate) for share, rate in zip(shares, rates, strict=True))
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize("ending", list(Ending))
@pytest.mark.parametrize("kind", ["same", "weight norm"])
def test_the_optimizer_goes_on_with_what_the_network_has(kind, ending):
    conv, x = searched(KINDS[kind])
    optimizer = torch.optim.Adam(parameter_groups(conv, learning_rate=1e-3))

    def train():
        optimizer.zero_grad()
        conv(x).square().sum().backward()
        optimizer.step()

    train()
    finish(conv, ending, optimizer=optimizer)
    groups = [group["params"] for group in optimizer.param_groups]
    assert {id(value) for group in groups for value in group} == {id(value) for value in conv.parameters()}
    assert len(groups[1]) == (1 if ending is Ending.MULTIPLE else 0)
    present = set(conv.parameters())
    assert set(optimizer.state) <= present
    assert (conv.weight in optimizer.state) == (kind == "same" and ending is not Ending.MERGE)
    before = {name: value.detach().clone() for name, value in conv.named_parameters()}
    train()
    assert all(not torch.equal(value, before[name]) for name, value in conv.named_parameters())


def test_layers_that_share_a_weight_get_one_kernel_each():
    model = nn.Sequential(*(nn.Conv1d(2, 2, 3, padding=rate, dilation=rate) for rate in (2, 4))).double()
    model[1].weight = model[0].weight
    convert(model, max_rate=9)
    optimizer = torch.optim.SGD(parameter_groups(model, learning_rate=0.1))
    x = torch.randn(1, 2, 20, dtype=torch.float64)
    expected = model(x)
    finish(model, Ending.MERGE, optimizer=optimizer)
    torch.testing.assert_close(model(x), expected)
    assert [conv.kernel_size for conv in model] == [(7,), (11,)]
    assert set(optimizer.param_groups[0]["params"]) == set(model.parameters())


def test_parametrizations_of_a_layer_with_branches_stay_when_it_ends():
    conv = nn.Conv1d(2, 2, 3, padding=4, dilation=4)
    convert(conv, max_rate=9)
    weight_norm(conv)
    x = torch.randn(1, 2, 20)
    conv.set_branches([(6,)])
    expected = conv(x)
    finish(conv)
    torch.testing.assert_close(conv(x), expected)
    assert type(conv).__mro__[1] is nn.Conv1d
    assert sorted(name for name, _ in conv.named_parameters()) == [
        "bias",
        "parametrizations.weight.original0",
        "parametrizations.weight.original1",
    ]
    assert "alpha" not in conv.state_dict()


def test_a_weight_that_a_hook_computes_is_searched_but_not_merged():
    model = nn.Sequential(weight_norm_by_hook(nn.Conv1d(2, 2, 3, padding=4, dilation=4)))
    assert convert(model, max_rate=9).converted == ("0",)
    with pytest.raises(InputError, match="`0` cannot be merged: expected a weight that is a parameter"):
        finish(model, Ending.MERGE)
    finish(model)
    assert sorted(model.state_dict()) == ["0.bias", "0.weight_g", "0.weight_v"]


ANY = st.one_of(cases(), cases(), cases(transposed=True))


@settings(max_examples=60, deadline=None)
@given(case=ANY)
def test_any_single_is_the_convolution_at_the_expectation(case):
    conv, x = built(case)
    (rates,) = (found.rates for found in estimate(conv).values())
    finish(conv, Ending.SINGLE)
    assert conv.dilation == rates
    found = conv(x)
    expected = by_oracle(conv, case, x, torch.ones(1), [rates])
    assert_alike(found, expected, conv, x)


@settings(max_examples=60, deadline=None)
@given(case=ANY)
def test_any_merge_computes_what_multiple_did(case):
    conv, x = built(case)
    finish(conv, Ending.MULTIPLE)
    give_branches(conv, case)  # as if they had been trained on
    expected = conv(x)
    finish(conv, Ending.MERGE)
    furthest = map(max, zip(*case["branches"], strict=True))
    size = tuple(1 + (taps - 1) * rate for taps, rate in zip(case["taps"], furthest, strict=True))
    assert conv.weight.shape[2:] == conv.kernel_size == size
    torch.testing.assert_close(conv(x), expected, rtol=0, atol=1e-10)
