"""Which inputs the taps of a convolution read, whatever its rate: one rule per axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from torch import Tensor, nn
from torch.nn import functional

from g2l.receptive_field.rates import Rates

Convolution = nn.modules.conv._ConvNd
"""The common base of torch's convolutions, transposed ones included."""
CONVOLUTIONS: tuple[type[Convolution], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED: tuple[type[Convolution], ...] = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)

Pads = tuple[tuple[int, int], ...]
"""Positions added before and after each axis; negative numbers cut."""


def is_wide(module: nn.Module) -> TypeGuard[Convolution]:
    """Return whether a module is a convolution with a kernel above 1: one that has a rate."""
    return isinstance(module, CONVOLUTIONS + TRANSPOSED) and max(module.kernel_size) > 1


def torch_class(conv: Convolution) -> type[Convolution]:
    """Return the class of torch that a convolution is an instance of."""
    return next(kind for kind in CONVOLUTIONS + TRANSPOSED if isinstance(conv, kind))


class CausalConv1d(nn.Conv1d):
    """`nn.Conv1d` whose last tap is at the present frame; (B, in_channels, T) to (B, out_channels, T).

    Zeros are read before the first frame. The padding follows from `dilation` at every call.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, dilation=dilation)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        (taps,), (rate,) = self.kernel_size, self.dilation
        padded = functional.pad(input, ((taps - 1) * rate, 0))
        return functional.conv1d(padded, weight, bias, self.stride, 0, self.dilation, self.groups)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Where the taps are, and what is around them: what stays when a convolution changes its rate.

    Tap k of K reads (k − a)·d positions from the anchor tap a, which alone stays where it is. To keep the
    size of the output, L + a·d positions are added before the input and R + (K − 1 − a)·d after it.

    Attributes:
        taps: Kernel size K of each axis.
        anchors: a: K // 2 where the taps are centred, K − 1 where they read nothing later.
        before: L: what is added before the input (negative: left out) beside the extent of the taps.
        after: R, likewise.
        follows: Whether the module itself pads its input by the extent of the taps at `dilation`.
    """

    taps: tuple[int, ...]
    anchors: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    follows: bool = False

    @classmethod
    def of(
        cls, taps: Sequence[int], anchors: Sequence[int], padding: Sequence[int], rates: Sequence[int]
    ) -> Geometry:
        """Return that of a convolution which at `rates` adds `padding` on both sides of each axis."""
        axes = list(zip(taps, anchors, padding, rates, strict=True))
        return cls(
            taps=tuple(taps),
            anchors=tuple(anchors),
            before=tuple(pad - anchor * rate for _, anchor, pad, rate in axes),
            after=tuple(pad - (size - 1 - anchor) * rate for size, anchor, pad, rate in axes),
        )

    @property
    def keeps_size(self) -> bool:
        """Whether, at stride 1, the anchor reads position t for position t, and the size stays."""
        return not self.follows and not any(self.before) and not any(self.after)

    def pads(self, rates: Rates, centre: Rates) -> Pads:
        """Return what a branch at `rates` adds before and after each axis; `centre` is `dilation`."""
        present = centre if self.follows else (0,) * len(rates)
        return tuple(
            (before + anchor * (rate - now), after + (size - 1 - anchor) * (rate - now))
            for size, anchor, before, after, rate, now in zip(
                self.taps, self.anchors, self.before, self.after, rates, present, strict=True
            )
        )

    def merged(self, rates: Rates) -> Geometry:
        """Return that of a kernel of rate 1 whose outermost taps are where those here are at `rates`."""
        taps = tuple(1 + (size - 1) * rate for size, rate in zip(self.taps, rates, strict=True))
        anchors = tuple(anchor * rate for anchor, rate in zip(self.anchors, rates, strict=True))
        return replace(self, taps=taps, anchors=anchors)
