"""Convolutions of many kinds, as hypothesis draws them, with branches and what their oracle needs."""

from __future__ import annotations

import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor, nn

from g2l.receptive_field import convert
from tests.oracles.naive_branch_conv import naive_branch_conv

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
CONV_VALUES = ("weight", "bias", "stride", "padding", "dilation", "groups", "padding_mode", "output_padding")


@st.composite
def cases(draw, transposed=False):
    """Draw what a convolution is, what it reads, and the branches that it has; see `built`."""
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
    assume(max(taps) > 1)
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


def built(case):
    """Return the convolution of a case with its branches, and an input (B, C_in, *sizes) for it."""
    torch.manual_seed(case["seed"])
    conv = case["kind"](*case["channels"], case["taps"], **case["options"]).double()
    assert convert(conv, max_rate=20, branches=5).converted == ("",)
    give_branches(conv, case)
    shape = (case["batch"], case["channels"][0], *case["sizes"])
    return conv, torch.randn(shape, dtype=torch.float64, requires_grad=True)


def give_branches(conv, case):
    """Set the branches of a case and their weights."""
    conv.set_branches(case["branches"])
    conv.alpha.data.copy_(torch.tensor(case["alpha"]))


def by_oracle(conv, case, x, alpha, branches) -> Tensor:
    """Return what the convolution of a case computes with raw weights `alpha` over `branches`.

    Args:
        conv: Where the weights are; its search may be over, but not by `merge`.
        case: Tells padding and rate, which a search has changed.
        x: Input.
        alpha: Raw weight of each branch.
        branches: Rates per axis of each branch.
    """
    values = {name: getattr(conv, name) for name in CONV_VALUES}
    values |= {name: case["options"][name] for name in ("padding", "dilation")}
    transposed = case["kind"] in TRANSPOSED.values()
    axes = zip(case["taps"], values["padding"], values["dilation"], strict=True)
    anchors = [
        size - 1 if pad == (size - 1) * rate and not transposed else size // 2 for size, pad, rate in axes
    ]
    return naive_branch_conv(x, values, alpha, branches, anchors, transposed=transposed)


def assert_alike(found, expected, conv, x):
    """Compare outputs, and the gradients that input and parameters have of them."""
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    direction = torch.randn_like(expected)
    parameters = [x, *conv.parameters()]
    for one, other in zip(
        torch.autograd.grad(found, parameters, direction),
        torch.autograd.grad(expected, parameters, direction),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
