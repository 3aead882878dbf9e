from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from g2l.models.ms_tcn import MSTCN
from g2l.receptive_field import (
    CausalConv1d,
    branch_layers,
    convert,
    estimate,
    expand,
    parameter_groups,
    structure,
)
from g2l.receptive_field.branches import BranchConv
from g2l.structure import DilationStructure
from tests.receptive_field.self_padding import (
    CAUSAL,
    CENTRED,
    causal_oracle,
    centred_oracle,
    mixed,
    weights_of,
)

STRUCTURE = DilationStructure(((1, 20, 4), (8, 16, 2)))


def make_ms_tcn() -> MSTCN:
    return MSTCN(STRUCTURE, feature_dim=5, num_classes=4, feature_maps=6).eval()


class OtherConvolution(nn.Conv1d):
    def _conv_forward(self, input, weight, bias):
        return super()._conv_forward(input, 2 * weight, bias)


class CutsByDilation(nn.Conv1d):
    def forward(self, x):
        return super().forward(x)[..., : -2 * self.dilation[0]]


class Remembers(nn.Conv1d):
    def get_extra_state(self):
        return 7

    def set_extra_state(self, state):
        pass


class OtherTransposed(nn.ConvTranspose1d):
    def forward(self, x):
        return super().forward(x) + 1


class HasAlpha(nn.Conv1d):
    alpha = 3


class Mixed(nn.Module):
    """Convolutions of all sorts, one of them used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv1d(2, 2, 3, padding=4, dilation=4)
        self.block = nn.Sequential(nn.Conv1d(2, 2, 1), nn.ReLU(), self.wide)
        self.valid = nn.Conv1d(2, 2, 3, dilation=2)
        self.image = nn.Conv2d(2, 2, (3, 1), padding=(1, 0))
        self.up = nn.ConvTranspose1d(2, 2, 3, padding=1)
        self.other = nn.Conv1d(2, 2, 5, padding=2)

    def forward(self, x):
        return self.up(self.other(self.block(self.wide(x))))


def test_ms_tcn_keeps_modules_names_and_parameters_and_gains_alpha():
    model = make_ms_tcn()
    before, modules = dict(model.named_parameters()), list(model.modules())
    state = torch.get_rng_state()
    report = convert(model, max_rate=50)
    assert torch.equal(torch.get_rng_state(), state)
    assert report.converted == tuple(
        f"{stage}.layers.{layer}.conv_dilated" for stage in ("stage1", "stages.0") for layer in range(3)
    )
    assert report.skipped == {}
    assert list(model.modules()) == modules
    after = dict(model.named_parameters())
    assert all(after[name] is parameter for name, parameter in before.items())
    assert after.keys() - before.keys() == {f"{name}.alpha" for name in report.converted}
    assert not any(module.training for module in model.modules())


def test_convolutions_of_all_sorts_and_one_that_is_used_twice():
    model, x = Mixed(), torch.randn(1, 2, 9)
    shape = model(x).shape
    report = convert(model, max_rate=50, names=["wide", "[iouv]*"])
    assert report.converted == ("wide", "valid", "image", "up", "other")
    assert report.skipped == {}
    assert model.block[2] is model.wide
    assert model(x).shape == shape
    assert convert(model, max_rate=50).skipped["image"] == "has branches already"


@pytest.mark.parametrize(
    ("selection", "converted"),
    [
        ({"names": ["*a*"]}, ("valid", "image")),
        ({"kernel_sizes": {5, (3, 1)}}, ("image", "other")),
        ({"kernel_sizes": [3]}, ("wide", "valid", "up")),
        ({"types": [nn.Conv2d, nn.ConvTranspose1d]}, ("image", "up")),
    ],
)
def test_layers_are_selected_by_name_kernel_and_type(selection, converted):
    report = convert(Mixed(), max_rate=50, **selection)
    assert report.converted == converted
    assert set(report.skipped.values()) == {"is not selected"}
    assert len(report.skipped) == 5 - len(converted)


SKIPPED = {
    "its kernel size 4 is even": nn.Conv1d(2, 2, 4),
    "its kernel size 2 is even": nn.ConvTranspose2d(2, 2, (3, 2)),
    "is lazy: its size is known after a first input": nn.LazyConv1d(2, 3),
    "is a OtherConvolution, which computes something else than Conv1d": OtherConvolution(2, 2, 3, padding=1),
    "is a OtherTransposed, which computes something else than ConvTranspose1d": OtherTransposed(2, 2, 3),
    "is a CutsByDilation, which pads or cuts by its dilation in a way": CutsByDilation(2, 2, 3, padding=1),
    "has an extra state of its own": Remembers(2, 2, 3),
    "has an attribute `alpha` of its own": HasAlpha(2, 2, 3),
}


@pytest.mark.parametrize("reason", SKIPPED)
def test_what_cannot_be_searched_has_a_reason(reason):
    report = convert(nn.Sequential(SKIPPED[reason]), max_rate=9)
    assert report.converted == ()
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(report.skipped["0"])


@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize(
    ("make", "oracle"),
    [
        *((make, causal_oracle) for make in CAUSAL.values()),
        *((make, centred_oracle) for make in CENTRED.values()),
    ],
)
def test_convolutions_that_pad_themselves_stay_padded_so(make, oracle, kernel_size):
    torch.manual_seed(0)
    model = make(3, 4, kernel_size, dilation=4).eval()
    weight, bias = weights_of(model)
    x = torch.randn(2, 3, 20)
    torch.testing.assert_close(model(x), oracle(weight, bias, x, 4))
    assert len(convert(model, max_rate=30, expansion_rate=0.5).converted) == 1
    (layer,) = branch_layers(model).values()
    for centre, rates in ((4, (2, 4, 6)), (20, (10, 20, 30)), (1, (1, 2))):
        layer.expand((centre,))
        alpha = [0.2, -0.3, 0.5][: len(rates)]
        layer.alpha.data[: len(rates)] = torch.tensor(alpha)
        torch.testing.assert_close(model(x), mixed(oracle, weight, bias, x, rates, alpha))


@pytest.mark.parametrize(
    ("padding", "causal", "anchor"),
    [
        (4, None, 1),
        (8, None, 2),
        (8, False, 1),
        (0, None, 1),
        (0, True, 2),
        ("same", None, 1),
        ("valid", True, 2),
    ],
)
def test_the_padding_or_the_caller_tells_which_tap_stays(padding, causal, anchor):
    conv = nn.Conv1d(1, 1, 3, padding=padding, dilation=4)
    length = conv(torch.randn(1, 1, 20)).shape[-1]
    convert(conv, max_rate=30, expansion_rate=0.5, causal=causal)
    with torch.no_grad():
        conv.weight.fill_(0)
        conv.weight[..., anchor] = 1
    x = torch.randn(1, 1, 20)
    before = conv(x)
    assert before.shape[-1] == length
    conv.expand((11,))
    torch.testing.assert_close(conv(x), before)


def test_of_several_axes_the_first_is_time():
    conv = nn.Conv2d(1, 1, 3)
    convert(conv, max_rate=9, causal=True)
    assert conv.geometry.anchors == (2, 1)


def test_trying_a_layer_out_leaves_no_trace():
    conv = spectral_norm(CAUSAL["pads always"](3, 4, 3, dilation=2))
    calls = []
    conv.register_forward_hook(lambda *_: calls.append("forward"))
    before = {name: value.clone() for name, value in conv.state_dict().items()}
    state = torch.get_rng_state()
    assert convert(conv, max_rate=9).converted == ("",)
    after = conv.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(torch.get_rng_state(), state)
    assert (calls, conv.training, conv.dilation) == ([], True, (2,))


def test_hooks_and_arguments_reach_the_layer():
    model, calls = nn.Sequential(CAUSAL["pytorch-tcn"](3, 4, 3, dilation=2)), []
    handle = model[0].register_forward_hook(lambda *_: calls.append("forward"))
    model[0].register_full_backward_hook(lambda *_: calls.append("backward"))
    convert(model, max_rate=9)
    x = torch.randn(1, 3, 9, requires_grad=True)
    model(x).sum().backward()
    handle.remove()
    model[0](x, inference=True).sum().backward()
    assert calls == ["forward", "backward", "backward"]


def test_alpha_has_a_group_of_its_own_without_weight_decay():
    model = make_ms_tcn()
    convert(model, max_rate=50)
    others, alphas = parameter_groups(model, learning_rate=5e-4, weight_decay=0.1)
    assert (others["lr"], others["weight_decay"]) == (5e-4, 0.1)
    assert (alphas["lr"], alphas["weight_decay"]) == (2e-3, 0)
    assert [id(alpha) for alpha in alphas["params"]] == [
        id(layer.alpha) for layer in branch_layers(model).values()
    ]
    assert len(others["params"]) + len(alphas["params"]) == len(list(model.parameters()))
    for kind in (torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop):
        kind(parameter_groups(model, learning_rate=5e-4, branch_learning_rate=1e-3))


def test_estimate_reads_and_expand_moves():
    model = make_ms_tcn()
    convert(model, max_rate=50)

    def branches():
        return [tuple(d for (d,) in layer.branches.rates) for layer in branch_layers(model).values()]

    assert list(structure(model).values()) == [(1,), (20,), (4,), (8,), (16,), (2,)]
    assert branches() == [(1, 2), (18, 20, 22), (3, 4, 5), (7, 8, 9), (14, 16, 18), (1, 2, 3)]
    for layer in branch_layers(model).values():
        layer.alpha.data[len(layer.branches.rates) - 1] = -0.04
    found = estimate(model)
    assert estimate(model) == found
    assert [layer.rates for layer in found.values()] == [(2,), (21,), (4,), (8,), (17,), (2,)]
    expand(model, {name: layer.rates for name, layer in found.items()})
    assert branches() == [(1, 2, 3), (19, 21, 23), (3, 4, 5), (7, 8, 9), (15, 17, 19), (1, 2, 3)]
    assert list(structure(model).values()) == [(2,), (21,), (4,), (8,), (17,), (2,)]


def test_a_network_may_be_wrapped():
    model = nn.DataParallel(torch.compile(nn.Sequential(CausalConv1d(2, 2, 3, dilation=4))))
    assert convert(model, max_rate=9).converted == ("0",)
    assert structure(model) == {"0": (4,)}
    assert isinstance(model.module._orig_mod[0], BranchConv)
