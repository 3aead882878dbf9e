"""ASFormer (BMVC 2021), with the dilation rate of every layer as an argument."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from g2l.models.attention_layer import AttentionLayer, Videos
from g2l.models.convolutions import PointwiseConv1d
from g2l.structure import DilationStructure

CHANNEL_MASKING = 0.3
"""Probability of dropping a feature channel of a whole video while training (released code; 0.5 for GTEA)."""
ATTENTION_DECAY = 3.0
"""Attention counts e^(−3·s) in decoder s, counted from 0: the first one's as much as the encoder's, then less
and less (ASFormer, section 3 on the decoder; the 3 is the released code's)."""


class ASFormer(nn.Module):
    """An encoder and decoders of layers that first convolve, then attend; each decoder refines probabilities.

    The rate of a layer is that of its dilated convolution and, as in the paper, the window of its attention,
    in frames. The window is read off the convolution at each call, so that what changes the one changes both.
    A dense kernel remembers the centre of the branches that were merged into it, and its window stays that.

    Parameter names are those of the checkpoints in circulation: `encoder.…` and `decoders.{s}.…`.
    Logits of valid frames do not depend on what the padded frames hold, nor on how many there are
    (deviation: the released code normalises over padded frames as well, and takes one video at a time).

    Args:
        structure: Rates of the encoder, then of each decoder; rates beyond the length of a video are allowed.
        feature_dim: D.
        num_classes: C.
        feature_maps: Channels F inside a stage (released code: 64).
        dropout: Probability of dropping an element of a layer's residual (released code: 0.5). 0 means that
            nothing is random: then channels are not masked either.
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
        """Return the logits of encoder and decoders.

        Args:
            features: (B, D, T).
            frame_mask: (B, 1, T), 1 for valid frames and 0 for padding; None when all are valid.

        Returns:
            (S, B, C, T). Values at padded frames mean nothing.
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

    Args:
        rates: Of its layers.
        in_channels: Channels of its inputs.
        feature_maps: F.
        num_classes: C.
        dropout: See `ASFormer`.
        attention: α, what attention counts beside the convolution.
        channel_masking: Probability of dropping a channel of the inputs of a video while training.
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
        """Return logits and feature maps.

        Args:
            inputs: (B, in_channels, T).
            reference: Feature maps (B, F, T) of the stage before, which attention takes its values from; None
                in the encoder, where they are those of the layer itself.
            videos: Those of the inputs.

        Returns:
            (B, C, T), and (B, F, T) that are zero at padded frames.
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
