"""ASFormer (BMVC 2021), with the dilation rate of every layer as an argument."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from g2l.kernels.attention import LocalAttention
from g2l.kernels.dropout import Dropout
from g2l.kernels.pointwise import PointwiseConv1d
from g2l.models.convolutions import convolve, dilated_convolution
from g2l.receptive_field.branches import centre
from g2l.structure import DilationStructure

CHANNEL_MASKING = 0.3
"""Probability of dropping a feature channel of a whole video while training (released code; 0.5 for GTEA)."""
ATTENTION_DECAY = 3.0
"""Attention has the weight e^(−3·s) in decoder s, counted from 0, and 1 in the encoder (ASFormer, section 3;
the 3 is the released code's)."""
REDUCTION = 2
"""Feature maps per channel of queries, keys and values (released code)."""
EPSILON = 1e-5
"""Added to the variance of the instance normalisation (torch's own)."""


class ASFormer(nn.Module):
    """An encoder and decoders of layers that first convolve, then attend; each decoder refines probabilities.

    The rate of a layer is that of its dilated convolution and, as in the paper, the window of its attention,
    in frames. The window is read from the convolution at each call, so a search changes both. A dense kernel
    keeps the centre of the branches that were merged into it as its window.

    Parameter names are those of published checkpoints: `encoder.…` and `decoders.{s}.…`. Logits of valid
    frames depend neither on the content nor on the number of padded frames (deviation: the released code
    normalises over padded frames as well, and takes one video at a time).

    Args:
        structure: Rates of the encoder, then of each decoder; rates beyond the length of a video are allowed.
        feature_dim: D.
        num_classes: C.
        feature_maps: Channels F inside a stage (released code: 64).
        dropout: Probability of dropping an element of a layer's residual (released code: 0.5). With 0,
            channels are not masked either.
    """

    def __init__(
        self,
        structure: DilationStructure,
        *,
        feature_dim: int,
        num_classes: int,
        feature_maps: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        first, *later = structure.stages
        channel_masking = CHANNEL_MASKING if dropout > 0 else 0.0
        self.encoder = Stage(first, feature_dim, feature_maps, num_classes, dropout, 1.0, channel_masking)
        self.decoders = nn.ModuleList(
            Stage(rates, num_classes, feature_maps, num_classes, dropout, math.exp(-ATTENTION_DECAY * number))
            for number, rates in enumerate(later)
        )

    def forward(self, features: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """Return the logits of encoder and decoders, (S, B, C, T); values at padded frames mean nothing.

        `features` is (B, D, T); `frame_mask` (B, 1, T), 1 for valid frames and 0 for padding, or None.
        """
        videos = Videos(features, frame_mask)
        latest, maps = self.encoder(features, None, videos)
        logits = [latest]
        for decoder in self.decoders:
            latest, maps = decoder(functional.softmax(latest, dim=1), maps, videos)
            logits.append(latest)
        return torch.stack(logits)


class Stage(nn.Module):
    """Encoder or decoder: 1x1 convolution in, layers, 1x1 convolution out (ASFormer, section 3).

    `attention` is α; `channel_masking` the probability of dropping an input channel while training.
    """

    def __init__(
        self,
        rates: Sequence[int],
        in_channels: int,
        feature_maps: int,
        num_classes: int,
        dropout: float,
        attention: float,
        channel_masking: float = 0.0,
    ) -> None:
        super().__init__()
        self.channel_masking = channel_masking
        self.conv_1x1 = PointwiseConv1d(in_channels, feature_maps, by_frame=True)
        self.layers = nn.ModuleList(AttentionLayer(rate, feature_maps, dropout, attention) for rate in rates)
        self.conv_out = PointwiseConv1d(feature_maps, num_classes)

    def forward(self, inputs: Tensor, reference: Tensor | None, videos: Videos) -> tuple[Tensor, Tensor]:
        """Map (B, in_channels, T) to logits (B, C, T) and feature maps (B, F, T), zero at padded frames.

        `reference` holds the feature maps (B, F, T) of the stage before, from which attention takes its
        values; None in the encoder, where they are those of the layer itself.
        """
        maps = videos.masked(self._enter(inputs))
        for layer in self.layers:
            maps = layer(maps, reference, videos)
        return self.conv_out(maps), maps

    def _enter(self, inputs: Tensor) -> Tensor:
        conv = self.conv_1x1
        if not self.training or self.channel_masking == 0 or conv.bias is None:
            maps: Tensor = conv(inputs)
            return maps
        batch, channels, _ = inputs.shape
        kept = functional.dropout(inputs.new_ones(batch, channels, 1), self.channel_masking)
        # Channels are dropped from the weights, which are fewer: (B, D, 1) * (D, F) -> (B, D, F)
        matrix = kept * conv.weight[..., 0].T
        rows = torch.baddbmm(conv.bias.expand(batch, 1, -1), inputs.transpose(1, 2), matrix)
        return rows.transpose(1, 2)  # (B, T, F) -> (B, F, T)


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
        return centre(self.layer[0])[0]  # type: ignore[arg-type]

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


class Videos:
    """The videos (B, D, T) of one forward pass: attention, masking, normalisation over their valid frames."""

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
