"""How large a network is: its parameters, and its operations on one video."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(network: nn.Module) -> int:
    """Return the number of trained values; dilation rates do not change it."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_flops(network: nn.Module, *, feature_dim: int, frames: int) -> int:
    """Return the floating-point operations on one video, a multiply-add counted as two.

    Counted are convolutions and matrix products, which are nearly all there is, by torch's own counter. Taps
    that fall on padding count too, so that for a convolution dilation rates change nothing. Shapes alone are
    followed: nothing is computed.

    Args:
        network: (features (B, D, T), frame_mask or None) -> logits (S, B, C, T); left as it is.
        feature_dim: D.
        frames: T of the video.
    """
    shapes = copy.deepcopy(network).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes(torch.empty(1, feature_dim, frames, device="meta"), None)
    return int(counter.get_total_flops())
