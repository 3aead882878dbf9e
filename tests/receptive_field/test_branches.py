"""Layers with branches: their rates step by step, and what they compute against an oracle."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from g2l.errors import InputError
from g2l.receptive_field import convert, structure
from g2l.receptive_field.branches import INITIAL_ALPHA
from g2l.receptive_field.geometry import CausalConv1d
from tests.receptive_field.conv_cases import assert_alike, built, by_oracle, cases


def make_branches(
    rate=4, max_rate=100, channels=6, kernel_size=3, expansion_rate=0.5, dtype=torch.float64, **options
):
    padding = rate * (kernel_size // 2)
    conv = nn.Conv1d(channels, channels, kernel_size, padding=padding, dilation=rate, **options).to(dtype)
    convert(conv, max_rate=max_rate, expansion_rate=expansion_rate)
    return conv


def test_the_module_stays_itself_and_alpha_is_new():
    conv = nn.Conv1d(6, 6, 3, padding=4, dilation=4, bias=False)
    weight = conv.weight.requires_grad_(False)
    conv.eval()
    convert(conv, max_rate=9)
    assert (type(conv).__name__, conv.weight is weight, conv.bias, conv.training) == (
        "BranchConv1d",
        True,
        None,
        False,
    )
    assert conv.alpha.tolist() == pytest.approx([INITIAL_ALPHA] * 3)
    assert sorted(conv.state_dict()) == ["_extra_state", "alpha", "weight"]
    assert conv.alpha.dtype is torch.float32
    assert "branches=((3,), (4,), (5,))" in repr(conv)


def follow(layer, steps):
    alpha = layer.alpha
    followed = []
    for raw in steps:
        alpha.data.copy_(torch.tensor(raw))
        found = layer.estimate()
        followed.append((found.branches, found.rates))
        layer.expand(found.rates)
        assert layer.alpha is alpha
        assert alpha.tolist() == pytest.approx([INITIAL_ALPHA] * 3)
        assert layer.dilation == found.rates
    return followed


def test_estimate_and_expand_step_by_step():
    layer = make_branches(rate=32, max_rate=41, expansion_rate=0.1)
    steps = [(0.01, 0.01, 0.06), (0.0, 0.01, -0.03), (0.0, 0.0, 1.0), (0.01, 0.01, 0.05), (0.1, 0.9, 1)]
    assert follow(layer, steps) == [
        (((29,), (32,), (35,)), (34,)),
        (((31,), (34,), (37,)), (36,)),
        (((32,), (36,), (40,)), (40,)),
        (((36,), (40,), (41,)), (40,)),
        (((36,), (40,), (41,)), (40,)),
    ]


def test_estimate_and_expand_along_two_axes_step_by_step():
    layer = nn.Conv2d(1, 1, (3, 5), padding=(1, 40), dilation=(1, 20))
    convert(layer, max_rate=24)
    up, down, right = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.25, 0.25, 0.5)
    assert follow(layer, [up, up, right, up, down, down, down]) == [
        (((1, 18), (1, 20), (2, 22)), (2, 22)),
        (((1, 20), (2, 22), (3, 24)), (3, 24)),
        # The clamp has the second axis twice at 24, but in another company; a tie keeps the smaller rate.
        (((2, 22), (3, 24), (4, 24)), (3, 23)),
        (((2, 21), (3, 23), (4, 24)), (4, 24)),
        (((3, 22), (4, 24), (5, 24)), (3, 22)),
        (((2, 20), (3, 22), (4, 24)), (2, 20)),
        (((1, 18), (2, 20), (3, 22)), (1, 18)),
    ]


def test_merged_branches_leave_alpha_its_size_and_the_rest_without_effect():
    layer = make_branches(rate=1)
    assert layer.branches.rates == ((1,), (2,))
    layer.alpha.data.copy_(torch.tensor([0.01, 0.03, 77.0]))
    assert layer.estimate().weights == pytest.approx((0.25, 0.75))
    layer(torch.randn(1, 6, 9, dtype=torch.float64)).sum().backward()
    assert layer.alpha.grad[2] == 0
    assert layer.get_extra_state().tolist() == [[1], [1], [2], [0]]
    restored = make_branches(rate=7)
    restored.load_state_dict(layer.state_dict())
    assert restored.estimate() == layer.estimate()
    assert structure(restored) == {"": (1,)}


@pytest.mark.parametrize("rates", [[], [(1,), (2,), (3,), (4,)], [(0,), (1,)]])
def test_set_branches_refuses_what_it_cannot_hold(rates):
    with pytest.raises(InputError, match=r"`rates` must hold 1 to 3 branches with rates >= 1, but is \("):
        make_branches().set_branches(rates)


class Scaled(nn.Conv1d):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize("kind", [nn.Conv1d, Scaled])
def test_copies_are_independent(kind):
    model = nn.Sequential(kind(2, 2, 3, padding=4, dilation=4))
    convert(model, max_rate=20)
    x = torch.randn(1, 2, 30)
    expected = model(x)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
        assert torch.equal(twin(x), expected)
        assert isinstance(twin[0], kind)
        twin[0].expand((10,))
        twin[0].weight.data.zero_()
    assert model[0].branches.rates == ((3,), (4,), (5,))
    assert torch.equal(model(x), expected)


def check_against_the_oracle(case):
    conv, x = built(case)
    found = conv(x)
    expected = by_oracle(conv, case, x, conv.alpha[: len(case["branches"])], case["branches"])
    assert_alike(found, expected, conv, x)


@settings(max_examples=80, deadline=None)
@given(case=cases())
def test_output_and_all_gradients_are_those_of_the_oracle(case):
    check_against_the_oracle(case)


@settings(max_examples=40, deadline=None)
@given(case=cases(transposed=True))
def test_output_and_all_gradients_of_transposed_ones_are_those_of_the_oracle(case):
    check_against_the_oracle(case)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv1d(4, 4, 5, padding="same", dilation=2, padding_mode="circular"),
        CausalConv1d(4, 6, 3, dilation=4),
        nn.ConvTranspose2d(4, 6, 3, padding=1, dilation=2, stride=2, output_padding=1),
    ],
    ids=lambda conv: type(conv).__name__,
)
def test_branches_of_the_own_rate_are_the_plain_convolution(conv):
    conv = conv.double()
    x = torch.randn(2, 4, *[17] * len(conv.kernel_size), dtype=torch.float64)
    expected = conv(x)
    convert(conv, max_rate=9)
    conv.set_branches([conv.dilation])
    torch.testing.assert_close(conv(x), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(conv(x[0]), expected[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d])
def test_all_zero_alpha_means_equal_weights_and_no_nan(kind):
    layer = kind(2, 2, 3, padding=2, dilation=2)
    convert(layer, max_rate=9)
    x = torch.randn(1, 2, *[20] * len(layer.kernel_size))
    expected = layer(x)
    layer.alpha.data.zero_()
    found = layer(x)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert layer.alpha.grad.tolist() == [0, 0, 0]
    assert layer.estimate().weights == (1 / 3, 1 / 3, 1 / 3)
