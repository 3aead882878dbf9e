"""Attention of frames to those around them, block by block (ASFormer, section 3).

Not a benchmark row: without blocks, T² products would not fit into memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

LEAK = 1e-6
"""Added to a mask before its logarithm is taken, as in the released code: the share of a softmax that a frame
outside has is so many times smaller."""


class LocalAttention:
    """Attention within windows, for the videos of one forward pass.

    A video is cut into blocks of w frames. The queries of a block meet the keys of the block and of w // 2
    frames on each side of it: softmax(q·k / √c + log(m + 1e-6))·m, where m is 0 for frames beyond the ends of
    the video, whose keys are zero, and 1 for others. As in the released weights, m is 0 for the last frame of
    an even window too.

    Deviation from the paper, which has a window around each frame: the window of the released weights is the
    same for all frames of a block (see issue 2 of their repository); we follow the weights. Of `features`,
    (B, D, T), only device and number format matter; padding counts as beyond the end.
    """

    def __init__(self, features: Tensor, frame_mask: Tensor | None) -> None:
        mask = features.new_ones(1, 1, features.shape[2]) if frame_mask is None else frame_mask
        self._mask = mask.transpose(1, 2)  # (B, T, 1)
        self._windows: dict[int, _Window] = {}  # one for all layers of a rate

    def attend(self, query: Tensor, key: Tensor, value: Tensor, rate: int) -> Tensor:
        """Return the attention of (B, c, T) queries to (B, c, T) keys, zero at padded frames, within windows.

        The values are (B, v, T), `rate` is w >= 1. The result, (B, v, T), means nothing at padded frames.
        """
        query, key, value = (maps.transpose(1, 2) for maps in (query, key, value))  # (B, T, c)
        sizes, frames = [key.shape[2], value.shape[2]], query.shape[1]
        query, pair = query.contiguous(), torch.cat([key, value], dim=2)
        # Of a video within one block no more is computed than there is; an exported graph takes any length.
        if not torch.compiler.is_exporting() and frames < rate:
            # A last key of zeros stands for all that are beyond the ends.
            key, value = torch.split(functional.pad(pair, (0, 0, 0, 1)).unsqueeze(1), sizes, dim=3)
            attended = _attend(query.unsqueeze(1), key, value, self._window(rate, self._whole_video))
        else:
            key, value = torch.split(_cut(pair, rate, rate // 2), sizes, dim=3)
            attended = _attend(_cut(query, rate, 0), key, value, self._window(rate, self._blocks))
        # (B, blocks, w, v) -> (B, blocks * w, v) -> (B, T, v) -> (B, v, T)
        return attended.flatten(1, 2)[:, :frames].transpose(1, 2)

    def _window(self, rate: int, make: Callable[[int], _Window]) -> _Window:
        if rate not in self._windows:
            self._windows[rate] = make(rate)
        return self._windows[rate]

    def _blocks(self, rate: int) -> _Window:
        mask = _cut(self._mask, rate, rate // 2)
        if rate % 2 == 0:
            mask = functional.pad(mask[:, :, :-1], (0, 0, 0, 1))
        return _Window(mask, torch.log(mask + LEAK).transpose(2, 3))

    def _whole_video(self, rate: int) -> _Window:
        beyond = rate + 2 * (rate // 2) - self._mask.shape[1]
        mask = self._mask.unsqueeze(1)
        logs = functional.pad(torch.log(mask + LEAK), (0, 0, 0, 1), value=math.log(beyond * LEAK))
        return _Window(functional.pad(mask, (0, 0, 0, 1)), logs.transpose(2, 3))


class _Window(NamedTuple):
    """The W frames that the queries of each block meet; B is 1 where videos do not differ."""

    mask: Tensor  # (B, blocks, W, 1), 1 for frames that count and 0 for others
    logs: Tensor  # (B, blocks, 1, W), added to the products with their keys


def _attend(query: Tensor, key: Tensor, value: Tensor, window: _Window) -> Tensor:
    """Return (B, blocks, w, v) of queries (…, w, c), keys (…, W, c) and values (…, W, v)."""
    logs = window.logs.expand(query.shape[0], -1, query.shape[2], -1)
    # The blocks are what torch calls heads. The kernels left out do not give the same bits every time.
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        return functional.scaled_dot_product_attention(query, key, value * window.mask, logs)


def _cut(maps: Tensor, rate: int, side: int) -> Tensor:
    """Cut maps (B, T, c) into blocks with `side` frames on each side, (B, blocks, w + 2 * side, c)."""
    padded = functional.pad(maps, (0, 0, side, rate - 1 + side))
    return padded.unfold(1, rate + 2 * side, rate).transpose(2, 3)
