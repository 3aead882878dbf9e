from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from g2l.receptive_field import convert
from g2l.receptive_field.causal import CausalConv1d
from tests.oracles.naive_branch_conv import naive_branch_conv

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
CONV_VALUES = ("weight", "bias", "stride", "padding", "dilation", "groups", "padding_mode", "output_padding")


def make_branches(
    rate=4, max_rate=100, channels=6, kernel_size=3, expansion_rate=0.5, dtype=torch.float64, **options
):
    padding = rate * (kernel_size // 2)
    conv = nn.Conv1d(channels, channels, kernel_size, padding=padding, dilation=rate, **options).to(dtype)
    convert(conv, max_rate=max_rate, expansion_rate=expansion_rate)
    return conv


@st.composite
def cases(draw, transposed=False):
    axes = draw(st.sampled_from([1, 1, 2, 3]))
    small = axes > 1
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    mode = (
        "zeros"
        if transposed
        else draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"]))
    )

    def each(values):
        return tuple(draw(st.lists(values, min_size=axes, max_size=axes)))

    taps = each(st.sampled_from([1, 3, 3, 5] if small else [3, 5, 7]))
    rates = each(st.integers(1, 2 if small else 4))
    stride = each(st.integers(1, 3))
    kinds = each(st.sampled_from(["same", "causal", "other"]))
    extra = draw(st.integers(0, 2))
    padding = tuple(
        {"same": size // 2 * rate, "causal": (size - 1) * rate, "other": extra}[kind]
        for size, rate, kind in zip(taps, rates, kinds, strict=True)
    )
    if transposed:
        padding = tuple(
            min(pad, size // 2 * rate) for pad, size, rate in zip(padding, taps, rates, strict=True)
        )
    most = 3 if small else 9
    branches = draw(st.lists(st.tuples(*[st.integers(1, most)] * axes), min_size=1, max_size=5, unique=True))
    # Modes other than zeros need an input longer than what they add.
    shortest = [(size - 1) * max(most, rate) + 1 + extra for size, rate in zip(taps, rates, strict=True)]
    room = [
        0 if kind == "same" and mode == "zeros" else short
        for kind, short in zip(kinds, shortest, strict=True)
    ]
    options = {"stride": stride, "padding": padding, "dilation": rates, "groups": groups}
    if transposed:
        options["output_padding"] = tuple(min(draw(st.integers(0, 1)), step - 1) for step in stride)
    return {
        "kind": (TRANSPOSED if transposed else CONVOLUTIONS)[axes],
        "channels": (groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))),
        "taps": taps,
        "options": {**options, "bias": draw(st.booleans()), "padding_mode": mode},
        "sizes": [least + draw(st.integers(1, 3 if small else 12)) for least in room],
        "batch": draw(st.integers(1, 2)),
        "branches": sorted(branches),
        "alpha": draw(st.lists(st.sampled_from([-0.7, -0.01, 0.01, 0.3, 2.0]), min_size=5, max_size=5)),
        "seed": draw(st.integers(0, 1000)),
    }


def check_against_the_oracle(case, transposed=False):
    torch.manual_seed(case["seed"])
    conv = case["kind"](*case["channels"], case["taps"], **case["options"]).double()
    if max(case["taps"]) == 1:
        return
    values = {name: getattr(conv, name) for name in CONV_VALUES}
    pairs = zip(case["taps"], values["padding"], values["dilation"], strict=True)
    anchors = [
        size - 1 if pad == (size - 1) * rate and not transposed else size // 2 for size, pad, rate in pairs
    ]
    assert convert(conv, max_rate=20, branches=5).converted == ("",)
    conv.set_branches(case["branches"])
    conv.alpha.data.copy_(torch.tensor(case["alpha"]))
    x = torch.randn(
        case["batch"], case["channels"][0], *case["sizes"], dtype=torch.float64, requires_grad=True
    )
    found = conv(x)
    alpha = conv.alpha[: len(case["branches"])]
    expected = naive_branch_conv(x, values, alpha, case["branches"], anchors, transposed=transposed)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    direction = torch.randn_like(expected)
    parameters = [x, *conv.parameters()]
    for one, other in zip(
        torch.autograd.grad(found, parameters, direction),
        torch.autograd.grad(expected, parameters, direction),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@settings(max_examples=80, deadline=None)
@given(case=cases())
def test_output_and_all_gradients_are_those_of_the_oracle(case):
    check_against_the_oracle(case)


@settings(max_examples=40, deadline=None)
@given(case=cases(transposed=True))
def test_output_and_all_gradients_of_transposed_ones_are_those_of_the_oracle(case):
    check_against_the_oracle(case, transposed=True)


@settings(max_examples=15, deadline=None)
@given(case=cases())
def test_compiled_and_eager_agree(case):
    """The two computations: mixed inputs, and scaled weights."""
    torch.manual_seed(case["seed"])
    conv = case["kind"](*case["channels"], case["taps"], **case["options"]).double()
    convert(conv, max_rate=20, branches=5)
    if max(case["taps"]) > 1:
        conv.set_branches(case["branches"])
    x = torch.randn(case["batch"], case["channels"][0], *case["sizes"], dtype=torch.float64)
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
