from __future__ import annotations

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from g2l.kernels.attention import LocalAttention
from tests.oracles.plain_asformer import plain_attention


def inputs(frames, batch=1, scale=1.0):
    generator = torch.Generator().manual_seed(frames)
    sizes = (3, 3, 5)
    return [
        (scale * torch.randn(batch, size, frames, generator=generator, dtype=torch.float64)).requires_grad_()
        for size in sizes
    ]


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 24), rate=st.integers(1, 30), scale=st.sampled_from([0.1, 1.0, 6.0]))
@example(frames=1, rate=1, scale=1.0)
@example(frames=12, rate=4, scale=6.0)
@example(frames=13, rate=4, scale=6.0)
@example(frames=13, rate=13, scale=1.0)
@example(frames=12, rate=13, scale=1.0)
def test_values_and_gradients_are_those_of_one_frame_after_the_other(frames, rate, scale):
    query, key, value = inputs(frames, scale=scale)
    ours = LocalAttention(query, None).attend(query, key, value, rate)
    expected = plain_attention(query, key, value, rate)
    torch.testing.assert_close(ours, expected)
    gradient = torch.randn_like(expected)
    found = torch.autograd.grad(ours, (query, key, value), gradient)
    for mine, plain in zip(found, torch.autograd.grad(expected, (query, key, value), gradient), strict=True):
        torch.testing.assert_close(mine, plain)


def operations(frames, rate):
    query, key, value = (torch.empty(1, 4, frames, device="meta") for _ in range(3))
    with FlopCounterMode(display=False) as counter:
        LocalAttention(query, None).attend(query, key, value, rate)
    return counter.get_total_flops()


def test_the_work_grows_with_the_window_and_with_the_length():
    assert operations(64, 8) == 2 * 2 * 64 * 16 * 4
    assert operations(640, 8) == 10 * operations(64, 8)
    assert operations(64, 16) == 2 * operations(64, 8)
    # A window beyond the video costs no more than the video, and a frame for what is outside.
    assert operations(64, 1000) == operations(64, 65) == 2 * 2 * 64 * 65 * 4
