"""ASFormer as its paper and its released weights have it, stated plainly; nothing here is shared with g2l."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class PlainASFormer(nn.Module):
    """One video at a time: an encoder, then decoders that refine the softmax of what came before."""

    def __init__(
        self,
        rates: list[list[int]],
        feature_dim: int,
        num_classes: int,
        feature_maps: int = 64,
        dropout: float = 0.5,
        channel_masking: float = 0.3,
    ) -> None:
        super().__init__()
        self.channel_masking = channel_masking
        self.encoder = PlainStage(rates[0], feature_dim, num_classes, feature_maps, dropout, 1.0)
        self.decoders = nn.ModuleList(
            PlainStage(stage, num_classes, num_classes, feature_maps, dropout, math.exp(-3 * number))
            for number, stage in enumerate(rates[1:])
        )

    def forward(self, features: Tensor) -> list[Tensor]:
        """Map (1, D, T) to one (1, C, T) per stage."""
        if self.training and self.channel_masking > 0:
            features = F.dropout1d(features, self.channel_masking)
        logits, maps = self.encoder(features, None)
        outputs = [logits]
        for decoder in self.decoders:
            logits, maps = decoder(torch.softmax(logits, dim=1), maps)
            outputs.append(logits)
        return outputs


class PlainStage(nn.Module):
    def __init__(
        self, rates: list[int], inputs: int, num_classes: int, feature_maps: int, dropout: float, alpha: float
    ) -> None:
        super().__init__()
        self.conv_1x1 = nn.Conv1d(inputs, feature_maps, 1)
        self.layers = nn.ModuleList(PlainLayer(rate, feature_maps, dropout, alpha) for rate in rates)
        self.conv_out = nn.Conv1d(feature_maps, num_classes, 1)

    def forward(self, x: Tensor, reference: Tensor | None) -> tuple[Tensor, Tensor]:
        maps = self.conv_1x1(x)
        for layer in self.layers:
            maps = layer(maps, reference)
        return self.conv_out(maps), maps


class PlainLayer(nn.Module):
    def __init__(self, rate: int, feature_maps: int, dropout: float, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.feed_forward = PlainFeedForward(rate, feature_maps)
        self.instance_norm = nn.InstanceNorm1d(feature_maps, track_running_stats=False)
        self.att_layer = PlainAttention(rate, feature_maps)
        self.conv_1x1 = nn.Conv1d(feature_maps, feature_maps, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, reference: Tensor | None) -> Tensor:
        out = self.feed_forward(x)
        out = self.alpha * self.att_layer(self.instance_norm(out), reference) + out
        changed: Tensor = x + self.dropout(self.conv_1x1(out))
        return changed


class PlainFeedForward(nn.Module):
    def __init__(self, rate: int, feature_maps: int) -> None:
        super().__init__()
        conv = nn.Conv1d(feature_maps, feature_maps, 3, padding=rate, dilation=rate)
        self.layer = nn.Sequential(conv, nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out


class PlainAttention(nn.Module):
    def __init__(self, window: int, feature_maps: int) -> None:
        super().__init__()
        self.window = window
        self.query_conv = nn.Conv1d(feature_maps, feature_maps // 2, 1)
        self.key_conv = nn.Conv1d(feature_maps, feature_maps // 2, 1)
        self.value_conv = nn.Conv1d(feature_maps, feature_maps // 2, 1)
        self.conv_out = nn.Conv1d(feature_maps // 2, feature_maps, 1)

    def forward(self, x: Tensor, reference: Tensor | None) -> Tensor:
        query, key = self.query_conv(x), self.key_conv(x)
        value = self.value_conv(x if reference is None else reference)
        out: Tensor = self.conv_out(torch.relu(plain_attention(query, key, value, self.window)))
        return out


def plain_attention(query: Tensor, key: Tensor, value: Tensor, window: int) -> Tensor:
    """Return what each frame gets, for (1, c, T), (1, c, T), (1, v, T) and one frame after the other."""
    frames = query.shape[2]
    attended = []
    for frame in range(frames):
        first = frame // window * window - window // 2
        count = window + 2 * (window // 2)
        scores, values, masks = [], [], []
        for place in range(count):
            other = first + place
            inside = 0 <= other < frames
            last_of_even = window % 2 == 0 and place == count - 1
            masks.append(1.0 if inside and not last_of_even else 0.0)
            scores.append(query[0, :, frame] @ key[0, :, other] if inside else query.new_zeros(()))
            values.append(value[0, :, other] if inside else value.new_zeros(value.shape[1]))
        mask = query.new_tensor(masks)
        scaled = torch.stack(scores) / math.sqrt(query.shape[1])
        shares = torch.softmax(scaled + torch.log(mask + 1e-6), dim=0) * mask
        attended.append(shares @ torch.stack(values))
    return torch.stack(attended, dim=1).unsqueeze(0)
