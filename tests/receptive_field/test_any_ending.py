"""Convolutions of any kind whose search ends: what is left computes what its branches or its rate did."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.receptive_field import Ending, estimate, finish
from tests.receptive_field.conv_cases import assert_alike, built, by_oracle, cases, give_branches

ANY = st.one_of(cases(), cases(), cases(transposed=True))


@settings(max_examples=60, deadline=None)
@given(case=ANY)
def test_single_is_the_convolution_at_the_expectation(case):
    conv, x = built(case)
    (rates,) = (found.rates for found in estimate(conv).values())
    finish(conv, Ending.SINGLE)
    assert conv.dilation == rates
    found = conv(x)
    expected = by_oracle(conv, case, x, torch.ones(1), [rates])
    assert_alike(found, expected, conv, x)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@settings(max_examples=60, deadline=None)
@given(case=ANY)
def test_merge_computes_what_multiple_did(dtype, tolerance, case):
    conv, x = built(case, dtype)
    finish(conv, Ending.MULTIPLE)
    give_branches(conv, case)  # as if they had been trained on
    expected = conv(x)
    finish(conv, Ending.MERGE)
    furthest = map(max, zip(*case["branches"], strict=True))
    size = tuple(1 + (taps - 1) * rate for taps, rate in zip(case["taps"], furthest, strict=True))
    assert conv.weight.shape[2:] == conv.kernel_size == size
    torch.testing.assert_close(conv(x), expected, rtol=0, atol=tolerance)
