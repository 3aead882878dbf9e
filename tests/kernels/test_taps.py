from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.kernels.taps import convolve_by_taps, tap_plan
from tests.oracles.naive_branch_conv import naive_branch_conv


@st.composite
def cases(draw):
    taps = draw(st.sampled_from([1, 2, 3, 3, 3, 5]))
    rates = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True))
    alpha = st.lists(st.sampled_from([-0.7, -0.01, 0.01, 0.3, 2.0]), min_size=len(rates), max_size=len(rates))
    return {
        "channels": draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        "taps": taps,
        "anchor": draw(st.integers(0, taps - 1)),
        "rates": tuple(rates),
        "alpha": draw(alpha) if len(rates) > 1 else draw(st.one_of(st.none(), alpha)),
        "bias": draw(st.booleans()),
        "batch": draw(st.integers(1, 3)),
        "frames": draw(st.integers(1, 14)),
        "by_frame": draw(st.booleans()),
        "seed": draw(st.integers(0, 1000)),
    }


@settings(max_examples=150, deadline=None)
@given(case=cases())
def test_output_and_all_gradients_are_those_of_the_oracle(case):
    torch.manual_seed(case["seed"])
    incoming, outgoing = case["channels"]
    x = torch.randn(case["batch"], incoming, case["frames"], dtype=torch.float64)
    if case["by_frame"]:
        x = x.mT.contiguous().mT
    weight = torch.randn(outgoing, incoming, case["taps"], dtype=torch.float64)
    bias = torch.randn(outgoing, dtype=torch.float64) if case["bias"] else None
    alpha = None if case["alpha"] is None else torch.tensor(case["alpha"], dtype=torch.float64)
    parameters = [value.requires_grad_() for value in (x, weight, bias, alpha) if value is not None]

    plan = tap_plan(case["rates"], case["taps"], case["anchor"], case["frames"])
    found = convolve_by_taps(x, weight, bias, alpha, plan)
    # At rate 1 the anchor is at frame t for frame t if so much is padded, and what is too much cut.
    values = {"weight": weight, "bias": bias, "stride": (1,), "groups": 1, "padding_mode": "zeros"}
    values |= {"padding": (case["anchor"],), "dilation": (1,)}
    extra = case["taps"] - 1 - 2 * case["anchor"]
    longer = torch.nn.functional.pad(x, (0, max(0, extra)))
    ones = torch.ones(1, dtype=torch.float64)
    branches = [(rate,) for rate in case["rates"]]
    expected = naive_branch_conv(
        longer, values, ones if alpha is None else alpha, branches, (case["anchor"],)
    )
    expected = expected[..., : case["frames"]]

    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    direction = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(found, parameters, direction),
        torch.autograd.grad(expected, parameters, direction),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("by_frame", [False, True])
def test_the_result_lies_in_memory_as_the_input_does(by_frame):
    x = torch.randn(2, 4, 9)
    x = x.mT.contiguous().mT if by_frame else x
    found = convolve_by_taps(x, torch.randn(5, 4, 3), None, None, tap_plan((2,), 3, 1, 9))
    assert found.is_contiguous() is not by_frame
    assert found.mT.is_contiguous() is by_frame
