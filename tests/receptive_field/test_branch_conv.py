from __future__ import annotations

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from g2l.errors import InputError
from g2l.receptive_field.branch_conv import INITIAL_ALPHA, BranchConv1d, unsupported
from g2l.receptive_field.rates import Expansion
from tests.oracles.naive_branch_conv import naive_branch_conv, naive_conv


class Causal(nn.Conv1d):
    def forward(self, x):
        return super().forward(nn.functional.pad(x, (1, 0)))[..., :-1]


class Faithful(nn.Conv1d):
    def forward(self, x):
        return super().forward(x) + 0


def make_conv(rate=4, channels=6, outputs=None, kernel_size=3, dtype=torch.float64, **options) -> nn.Conv1d:
    padding = rate * (kernel_size // 2)
    conv = nn.Conv1d(channels, outputs or channels, kernel_size, padding=padding, dilation=rate, **options)
    return conv.to(dtype)


def make_branches(rate=4, max_rate=100, branches=3, expansion_rate=0.5, **options) -> BranchConv1d:
    expansion = Expansion(expansion_rate=expansion_rate, branches=branches, max_rate=max_rate)
    return BranchConv1d(make_conv(rate, **options), expansion)


@st.composite
def cases(draw):
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    kernel_size = draw(st.sampled_from([3, 3, 5, 7]))
    rates = draw(st.lists(st.integers(1, 14), min_size=1, max_size=5, unique=True).map(sorted))
    alpha = draw(st.lists(st.sampled_from([-0.7, -0.01, 0.01, 0.3, 2.0]), min_size=5, max_size=5))
    return {
        "shape": (draw(st.integers(1, 3)), groups * draw(st.integers(1, 2)), draw(st.integers(1, 12))),
        "outputs": groups * draw(st.integers(1, 2)),
        "options": {
            "groups": groups,
            "kernel_size": kernel_size,
            "stride": draw(st.integers(1, 4)),
            "bias": draw(st.booleans()),
        },
        "rates": rates,
        "alpha": alpha,
        "seed": draw(st.integers(0, 1000)),
    }


@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_output_and_all_gradients_are_those_of_the_oracle(case):
    torch.manual_seed(case["seed"])
    channels = case["shape"][1]
    layer = make_branches(branches=5, channels=channels, outputs=case["outputs"], **case["options"])
    layer.set_branches(case["rates"])
    layer.alpha.data.copy_(torch.tensor(case["alpha"]))
    x = torch.randn(case["shape"], dtype=torch.float64, requires_grad=True)
    parameters = [x, *layer.parameters()]
    found = layer(x)
    expected = naive_branch_conv(
        x,
        layer.weight,
        layer.bias,
        layer.alpha[: len(case["rates"])],
        case["rates"],
        stride=case["options"]["stride"],
        groups=case["options"]["groups"],
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    direction = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(found, parameters, direction),
        torch.autograd.grad(expected, parameters, direction),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_gradients_by_finite_differences():
    torch.manual_seed(0)
    layer = make_branches(channels=2, kernel_size=5, stride=2)
    x = torch.randn(2, 2, 9, dtype=torch.float64, requires_grad=True)
    layer.alpha.data.copy_(torch.tensor([0.2, -0.5, 0.4]))
    names, values = zip(*layer.named_parameters(), strict=True)

    def run(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *values))


def test_branches_of_one_rate_are_the_plain_convolution():
    conv = make_conv(rate=5)
    layer = BranchConv1d(conv, Expansion(expansion_rate=0.1, branches=3, max_rate=50))
    layer.set_branches([5])
    x = torch.randn(2, 6, 31, dtype=torch.float64)
    torch.testing.assert_close(layer(x), conv(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer(x), naive_conv(x, conv.weight, conv.bias, 5), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("frames", [1, 2, 5, 300])
def test_input_without_a_batch_and_of_any_length(frames):
    layer = make_branches(rate=64)
    x = torch.randn(6, frames, dtype=torch.float64)
    torch.testing.assert_close(layer(x), layer(x[None])[0])


def test_all_zero_alpha_means_equal_weights_and_no_nan():
    layer = make_branches()
    layer.alpha.data.zero_()
    x = torch.randn(1, 6, 20, dtype=torch.float64)
    found = layer(x)
    expected = naive_branch_conv(x, layer.weight, layer.bias, layer.alpha, layer.rates)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert layer.alpha.grad.tolist() == [0, 0, 0]
    assert layer.estimate().weights == (1 / 3, 1 / 3, 1 / 3)


def test_parameters_are_those_of_the_convolution_and_alpha_is_new():
    conv = make_conv(bias=False, dtype=torch.float32)
    conv.weight.requires_grad_(False)
    conv.eval()
    layer = BranchConv1d(conv, Expansion(expansion_rate=0.1, branches=3, max_rate=9))
    assert layer.weight is conv.weight
    assert layer.bias is None
    assert not layer.training
    assert layer.alpha.tolist() == pytest.approx([INITIAL_ALPHA] * 3)
    assert sorted(layer.state_dict()) == ["alpha", "weight"]
    assert layer.alpha.dtype is torch.float32


def test_a_start_above_the_clamp_is_clamped():
    layer = make_branches(rate=512, max_rate=300, expansion_rate=0.1)
    assert (layer.rate, layer.rates) == (300, (270, 300))


def test_estimate_and_expand_step_by_step():
    layer = make_branches(rate=32, max_rate=41, expansion_rate=0.1)
    alpha = layer.alpha
    followed = []
    for raw in [(0.01, 0.01, 0.06), (0.0, 0.01, -0.03), (0.0, 0.0, 1.0), (0.01, 0.01, 0.05), (0.1, 0.9, 1)]:
        alpha.data.copy_(torch.tensor(raw))
        found = layer.estimate()
        followed.append((found.branches, found.rate))
        layer.expand(found.rate)
        assert layer.alpha is alpha
        assert alpha.tolist() == pytest.approx([INITIAL_ALPHA] * 3)
    assert followed == [
        ((29, 32, 35), 34),
        ((31, 34, 37), 36),
        ((32, 36, 40), 40),
        ((36, 40, 41), 40),
        ((36, 40, 41), 40),
    ]


def test_merged_branches_leave_alpha_its_size_and_the_rest_without_effect():
    layer = make_branches(rate=1)
    assert layer.rates == (1, 2)
    layer.alpha.data.copy_(torch.tensor([0.01, 0.03, 77.0]))
    assert layer.estimate().weights == pytest.approx((0.25, 0.75))
    layer(torch.randn(1, 6, 9, dtype=torch.float64)).sum().backward()
    assert layer.alpha.grad[2] == 0
    restored = make_branches(rate=7)
    restored.expand(1)
    restored.load_state_dict(layer.state_dict())
    assert restored.estimate() == layer.estimate()


@pytest.mark.parametrize("rates", [(), (1, 2, 3, 4), (0, 1)])
def test_set_branches_refuses_what_it_cannot_hold(rates):
    with pytest.raises(InputError, match=r"`rates` must hold 1 to 3 rates >= 1, but is \("):
        make_branches().set_branches(rates)


@pytest.mark.parametrize("kind", [nn.Conv1d, Faithful])
def test_collapse_gives_a_convolution_of_the_same_kind_with_the_same_parameters(kind):
    original = kind(6, 6, 5, padding=8, dilation=4, stride=2, groups=2).double()
    layer = BranchConv1d(original, Expansion(expansion_rate=0.1, branches=3, max_rate=9)).eval()
    conv = layer.collapse(7)
    assert type(conv) is kind
    assert not conv.training
    assert (conv.dilation, conv.padding, conv.stride, conv.groups) == ((7,), (14,), (2,), 2)
    assert conv.weight is layer.weight
    assert conv.bias is layer.bias
    layer.set_branches([7])
    x = torch.randn(1, 6, 40, dtype=torch.float64)
    torch.testing.assert_close(conv(x), layer(x), rtol=1e-12, atol=1e-12)


def test_collapse_keeps_the_length_of_a_convolution_padded_by_name():
    conv = nn.Conv1d(6, 6, 3, padding="same", dilation=2)
    layer = BranchConv1d(conv, Expansion(expansion_rate=0.1, branches=3, max_rate=9))
    assert layer.collapse(5)(torch.randn(1, 6, 30)).shape == (1, 6, 30)


def test_collapse_of_a_deepcopy_uses_the_weights_of_the_copy():
    layer = make_branches()
    other = copy.deepcopy(layer)
    conv = other.collapse(5)
    assert conv.weight is other.weight
    assert conv.weight is not layer.weight
    assert (layer.collapse(3).dilation, conv.dilation) == ((3,), (5,))


def test_deepcopy_is_independent():
    layer = make_branches()
    other = copy.deepcopy(layer)
    other.expand(10)
    other.weight.data.zero_()
    assert layer.rates == (2, 4, 6)
    assert other.rates == (5, 10, 15)
    assert layer.weight.abs().sum() > 0


def test_autocast_computes_in_bfloat16_and_keeps_gradients_in_float32():
    layer = make_branches(dtype=torch.float32)
    x = torch.randn(2, 6, 30, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
        twice = layer(found)
    assert (found.dtype, twice.dtype) == (torch.bfloat16, torch.bfloat16)
    torch.testing.assert_close(found.float(), layer(x), rtol=0.05, atol=0.05)
    twice.float().square().sum().backward()
    assert {parameter.grad.dtype for parameter in layer.parameters()} == {torch.float32}
    assert torch.isfinite(layer.alpha.grad).all()


def test_hooks_move_along_and_can_still_be_removed():
    conv, calls = make_conv(), []
    handle = conv.register_forward_hook(lambda *_: calls.append("forward"))
    conv.register_full_backward_hook(lambda *_: calls.append("backward"))
    layer = BranchConv1d(conv, Expansion(expansion_rate=0.1, branches=3, max_rate=9))
    x = torch.randn(1, 6, 9, dtype=torch.float64, requires_grad=True)
    layer(x).sum().backward()
    assert calls == ["forward", "backward"]
    plain = layer.collapse(3)
    handle.remove()
    plain(x).sum().backward()
    assert calls == ["forward", "backward", "backward"]


def test_an_input_that_needs_no_gradient():
    layer = make_branches()
    layer(torch.randn(1, 6, 9, dtype=torch.float64)).sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


UNSUPPORTED = {
    "is a Conv2d, only Conv1d is supported": lambda: nn.Conv2d(2, 2, 3, padding=1),
    "its weight is computed from other parameters": lambda: nn.utils.parametrizations.weight_norm(
        nn.Conv1d(2, 2, 3, padding=1)
    ),
    "its weight is computed from": lambda: nn.utils.weight_norm(nn.Conv1d(2, 2, 3, padding=1)),
    "is a Causal, which computes something else than Conv1d": lambda: Causal(2, 2, 3, padding=1),
    "its kernel size 4 is even": lambda: nn.Conv1d(2, 2, 4),
    "its padding mode is circular": lambda: nn.Conv1d(2, 2, 3, padding=1, padding_mode="circular"),
    r"its padding \(0,\) does not keep the length at dilation 2": lambda: nn.Conv1d(2, 2, 3, dilation=2),
    "its padding valid does not keep the length": lambda: nn.Conv1d(2, 2, 3, padding="valid"),
}


@pytest.mark.parametrize("reason", UNSUPPORTED)
def test_unsupported_convolutions_have_a_reason(reason):
    found = unsupported(UNSUPPORTED[reason]())
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(found)


@pytest.mark.parametrize(
    "conv",
    [
        make_conv(1),
        make_conv(8, kernel_size=5, stride=3),
        nn.Conv1d(2, 2, 3, padding="same", dilation=6),
        Faithful(4, 4, 3, padding=9, dilation=9, groups=2),
    ],
)
def test_supported_convolutions_have_none(conv):
    assert unsupported(conv) is None


def test_every_kernel_rate_and_stride_keeps_the_length_of_the_convolution():
    for kernel_size, rate, stride, frames in itertools.product((3, 5), (1, 7), (1, 2, 3), (1, 6, 25)):
        conv = make_conv(rate, kernel_size=kernel_size, stride=stride)
        layer = BranchConv1d(conv, Expansion(expansion_rate=0.5, branches=3, max_rate=9))
        x = torch.randn(1, 6, frames, dtype=torch.float64)
        assert layer(x).shape == conv(x).shape
