from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from g2l.receptive_field import convert
from g2l.receptive_field.geometry import CausalConv1d
from tests.receptive_field.conv_cases import assert_alike, built, by_oracle, cases


def make_branches(
    rate=4, max_rate=100, channels=6, kernel_size=3, expansion_rate=0.5, dtype=torch.float64, **options
):
    padding = rate * (kernel_size // 2)
    conv = nn.Conv1d(channels, channels, kernel_size, padding=padding, dilation=rate, **options).to(dtype)
    convert(conv, max_rate=max_rate, expansion_rate=expansion_rate)
    return conv


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


@settings(max_examples=15, deadline=None)
@given(case=cases())
def test_compiled_and_eager_agree(case):
    """The two computations: mixed inputs, and scaled weights."""
    conv, x = built(case)
    expected = conv(x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        torch.testing.assert_close(conv(x), expected, rtol=1e-12, atol=1e-12)


def test_gradients_by_finite_differences():
    torch.manual_seed(0)
    layer = make_branches(channels=2, kernel_size=5, stride=2)
    x = torch.randn(2, 2, 9, dtype=torch.float64, requires_grad=True)
    layer.alpha.data.copy_(torch.tensor([0.2, -0.5, 0.4]))
    names, values = zip(*layer.named_parameters(), strict=True)

    def run(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *values))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv1d(4, 6, 3, padding=5, dilation=5),
        nn.Conv1d(4, 4, 5, padding="same", dilation=2, padding_mode="circular"),
        CausalConv1d(4, 6, 3, dilation=4),
        nn.Conv2d(4, 6, (3, 5), padding=(4, 2), dilation=(4, 1), stride=2, groups=2),
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


@pytest.mark.parametrize("frames", [1, 2, 5, 300])
def test_input_without_a_batch_and_of_any_length(frames):
    layer = make_branches(rate=64)
    x = torch.randn(6, frames, dtype=torch.float64)
    assert layer(x).shape == (6, frames)
    torch.testing.assert_close(layer(x), layer(x[None])[0])


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


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d])
def test_autocast_computes_in_bfloat16_and_keeps_gradients_in_float32(kind):
    layer = kind(6, 6, 3, padding=4, dilation=4)
    convert(layer, max_rate=20)
    x = torch.randn(2, 6, *[30] * len(layer.kernel_size), requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
        twice = layer(found)
    assert (found.dtype, twice.dtype) == (torch.bfloat16, torch.bfloat16)
    torch.testing.assert_close(found.float(), layer(x), rtol=0.05, atol=0.05)
    twice.float().square().sum().backward()
    assert {parameter.grad.dtype for parameter in layer.parameters()} == {torch.float32}
    assert torch.isfinite(layer.alpha.grad).all()


def test_an_input_that_needs_no_gradient():
    layer = make_branches()
    layer(torch.randn(1, 6, 9, dtype=torch.float64)).sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())
