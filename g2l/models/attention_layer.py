"""The layer of ASFormer: a dilated convolution, then attention within a window of its rate."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from g2l.models.convolutions import PointwiseConv1d, convolve, dilated_convolution
from g2l.models.dropout import Dropout
from g2l.models.local_attention import LocalAttention
from g2l.receptive_field.layers import centre

REDUCTION = 2
"""Feature maps per channel of queries, keys and values (released code)."""
EPSILON = 1e-5
"""Added to the variance of the instance normalisation (torch's own)."""


class Videos:
    """What layers need to know of the videos of one forward pass.

    Args:
        features: (B, D, T).
        frame_mask: (B, 1, T) or None.
    """

    def __init__(self, features: Tensor, frame_mask: Tensor | None) -> None:
        self.attention = LocalAttention(features, frame_mask)
        self._frame_mask = frame_mask
        self._shares: Tensor | None = None  # (B, T, 1), of each valid frame in a mean
        if frame_mask is not None:
            frames = frame_mask.sum(dim=2, keepdim=True)
            self._shares = torch.where(frames > 0, frame_mask / frames, 0.0).transpose(1, 2)

    def masked(self, maps: Tensor) -> Tensor:
        """Return maps (B, F, T) that are zero at padded frames."""
        return maps if self._frame_mask is None else maps * self._frame_mask

    def normalised(self, maps: Tensor) -> Tensor:
        """Return maps (B, F, T) of mean 0 and variance 1 over valid frames, zero at padded ones."""
        if self._shares is None:
            return torch.instance_norm(maps, None, None, None, None, True, 0.0, EPSILON, False)
        centred = self.masked(maps - torch.bmm(maps, self._shares))
        return centred * torch.rsqrt(torch.bmm(centred.square(), self._shares) + EPSILON)


class AttentionLayer(nn.Module):
    """x + dropout(conv_1x1(h + α·attention(norm(h)))), h = feed_forward(x) (ASFormer, section 3)."""

    def __init__(self, rate: int, feature_maps: int, dropout: float, attention: float) -> None:
        super().__init__()
        self.feed_forward = FeedForward(rate, feature_maps)
        self.att_layer = Attention(feature_maps)
        self.conv_1x1 = PointwiseConv1d(feature_maps, feature_maps, by_frame=True)
        self.dropout = Dropout(dropout)
        self.attention = attention

    def forward(self, maps: Tensor, reference: Tensor | None, videos: Videos) -> Tensor:
        """Map (B, F, T) to (B, F, T), both zero at padded frames; `reference` as in `Stage`."""
        mixed: Tensor = self.feed_forward(maps)
        window = self.feed_forward.rate
        attended = self.att_layer(videos.normalised(mixed), reference, window, videos)
        mixed = torch.add(mixed, attended, alpha=self.attention)
        return maps + videos.masked(self.dropout(self.conv_1x1(mixed)))


class FeedForward(nn.Module):
    """The dilated convolution of a layer, which checkpoints call `layer.0`, and ReLU."""

    def __init__(self, rate: int, feature_maps: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(dilated_convolution(feature_maps, rate, causal=False))

    @property
    def rate(self) -> int:
        """The present dilation rate, in frames; of a dense kernel, the centre of what it was merged from."""
        conv = self.layer[0]
        assert isinstance(conv, nn.Conv1d)
        return centre(conv)[0]

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, F, T) to (B, F, T)."""
        return functional.relu(convolve(self.layer[0], maps))


class Attention(nn.Module):
    """Projections around the local attention, which has one head (ASFormer, section 3)."""

    def __init__(self, feature_maps: int) -> None:
        super().__init__()
        channels = max(feature_maps // REDUCTION, 1)
        self.query_conv = PointwiseConv1d(feature_maps, channels, by_frame=True)
        self.key_conv = PointwiseConv1d(feature_maps, channels, by_frame=True)
        self.value_conv = PointwiseConv1d(feature_maps, channels, by_frame=True)
        self.conv_out = PointwiseConv1d(channels, feature_maps, by_frame=True)

    def forward(self, maps: Tensor, reference: Tensor | None, window: int, videos: Videos) -> Tensor:
        """Map (B, F, T) to (B, F, T); `reference` as in `Stage`, `window` in frames."""
        key = videos.masked(self.key_conv(maps))
        value = self.value_conv(maps if reference is None else reference)
        attended = videos.attention.attend(self.query_conv(maps), key, value, window)
        projected: Tensor = self.conv_out(functional.relu(attended))
        return projected
