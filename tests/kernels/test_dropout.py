from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from g2l.kernels.dropout import Dropout, half_mask


@given(count=st.integers(1, 300_000))
def test_coin_flips_are_as_many_as_asked_for_and_have_only_two_values(count):
    flips = half_mask(count)
    assert flips.shape == (count,)
    assert flips.dtype == torch.float32
    assert set(flips.unique().tolist()) <= {0.0, 2.0}


def test_every_bit_of_a_word_is_a_fair_coin():
    torch.manual_seed(0)
    draws = 40_000
    flips = half_mask(31 * draws).view(31, draws) / 2
    # Six standard deviations of the mean of fair coins.
    torch.testing.assert_close(flips.mean(1), torch.full((31,), 0.5), atol=6 * 0.5 / draws**0.5, rtol=0)


def test_coins_are_not_correlated():
    torch.manual_seed(0)
    draws = 40_000
    signs = half_mask(31 * draws).view(31, draws) - 1
    between_bits = signs @ signs.T / draws
    bound = 6 / draws**0.5
    torch.testing.assert_close(between_bits, torch.eye(31), atol=bound, rtol=0)
    assert (signs[:, 1:] * signs[:, :-1]).mean().abs() < bound


@pytest.mark.parametrize(("p", "dtype"), [(0.5, torch.float32), (0.3, torch.float32), (0.5, torch.float64)])
def test_restoring_the_random_state_repeats_the_coins(p, dtype):
    dropout = Dropout(p).train()
    features = torch.ones(3, 7, 101, dtype=dtype)
    state = torch.get_rng_state()
    first = dropout(features)
    assert not torch.equal(dropout(features), first)
    torch.set_rng_state(state)
    assert torch.equal(dropout(features), first)
    assert first.dtype == dtype


@pytest.mark.parametrize("p", [0.5, 0.3])
def test_coins_fall_in_the_order_in_which_elements_lie_in_memory(p):
    dropout, by_channel = Dropout(p).train(), torch.ones(2, 5, 9)
    by_frame = torch.ones(2, 9, 5).mT
    torch.manual_seed(0)
    first = dropout(by_channel)
    torch.manual_seed(0)
    second = dropout(by_frame)
    assert (first.stride(), second.stride()) == (by_channel.stride(), by_frame.stride())
    assert torch.equal(first.flatten(), second.mT.flatten())


def test_other_probabilities_have_their_own_scale():
    torch.manual_seed(0)
    kept = Dropout(0.2).train()(torch.ones(20_000))
    assert kept.unique().tolist() == pytest.approx([0.0, 1.25])
    assert (kept == 0).float().mean().item() == pytest.approx(0.2, abs=0.02)


def test_nothing_is_dropped_in_evaluation_or_at_probability_zero():
    features = torch.randn(2, 3, 5)
    assert Dropout(0.5).eval()(features) is features
    assert Dropout(0.0).train()(features) is features
