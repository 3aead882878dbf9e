"""Convolutions that are padded or cut outside of torch's own `_conv_forward`, in the ways that are in use."""

from __future__ import annotations

import torch
from pytorch_tcn.conv import TemporalConv1d
from torch import nn
from torch.nn import functional

from g2l.receptive_field import CausalConv1d


class PadsOnce(nn.Conv1d):
    """Pads the left by what it worked out when it was built."""

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        self.receptive_field = (self.kernel_size[0] - 1) * self.dilation[0]

    def forward(self, x):
        return super().forward(functional.pad(x, (self.receptive_field, 0)))


class PadsAlways(nn.Conv1d):
    """Pads the left by what its dilation is at the time."""

    def forward(self, x):
        return super().forward(functional.pad(x, ((self.kernel_size[0] - 1) * self.dilation[0], 0)))


class PadsByMemory(nn.Conv1d):
    """Pads the left by its dilation, but by the kernel size that it was built with."""

    def __init__(self, channels, outputs, size, **options) -> None:
        super().__init__(channels, outputs, size, **options)
        self.others = size - 1

    def forward(self, x):
        return super().forward(functional.pad(x, (self.others * self.dilation[0], 0)))


class PadsBothSides(nn.Conv1d):
    def forward(self, x):
        reach = self.kernel_size[0] // 2 * self.dilation[0]
        return super().forward(functional.pad(x, (reach, reach)))


class CutsTheEnd(nn.Conv1d):
    """Is padded by torch on both sides."""

    def forward(self, x):
        return super().forward(x)[..., : -self.padding[0]]


class Chomp(nn.Module):
    """A convolution whose end is cut off by the layer after it, as in the TCN of the well-known paper."""

    def __init__(self, channels, outputs, size, *, dilation) -> None:
        super().__init__()
        self.cut = (size - 1) * dilation
        self.conv = nn.Conv1d(channels, outputs, size, dilation=dilation, padding=self.cut)

    def forward(self, x):
        return self.conv(x)[..., : -self.cut]


def temporal(channels, outputs, size, *, dilation):
    return TemporalConv1d(channels, outputs, size, dilation=dilation, causal=True)


def temporal_norm(channels, outputs, size, *, dilation):
    return nn.utils.parametrizations.weight_norm(temporal(channels, outputs, size, dilation=dilation))


def temporal_centred(channels, outputs, size, *, dilation):
    return TemporalConv1d(channels, outputs, size, dilation=dilation, causal=False)


def cuts_the_end(channels, outputs, size, *, dilation):
    return CutsTheEnd(channels, outputs, size, dilation=dilation, padding=(size - 1) * dilation)


CAUSAL = {
    "native": CausalConv1d,
    "pads once": PadsOnce,
    "pads always": PadsAlways,
    "pads by memory": PadsByMemory,
    "cuts the end": cuts_the_end,
    "chomp": Chomp,
    "pytorch-tcn": temporal,
    "pytorch-tcn with weight norm": temporal_norm,
}
CENTRED = {"pads both sides": PadsBothSides, "pytorch-tcn": temporal_centred}


def causal_oracle(weight, bias, x, rate):
    reach = (weight.shape[-1] - 1) * rate
    return functional.conv1d(functional.pad(x, (reach, 0)), weight, bias, dilation=rate)


def centred_oracle(weight, bias, x, rate):
    return functional.conv1d(x, weight, bias, padding=weight.shape[-1] // 2 * rate, dilation=rate)


def weights_of(model):
    """Return weight and bias of the only convolution."""
    (conv,) = (module for module in model.modules() if isinstance(module, nn.Conv1d))
    return conv.weight.detach().clone(), conv.bias.detach().clone()


def mixed(oracle, weight, bias, x, rates, alpha):
    shares = torch.tensor(alpha).abs() / torch.tensor(alpha).abs().sum()
    return sum(share * oracle(weight, bias, x, rate) for share, rate in zip(shares, rates, strict=True))
