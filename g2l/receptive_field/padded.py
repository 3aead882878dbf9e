"""Convolutions that torch's own cannot express: those with another padding on each side."""

from __future__ import annotations

from torch import Tensor, nn

from g2l.receptive_field.causal import CausalConv1d
from g2l.receptive_field.classes import Convolution, Derived, derive
from g2l.receptive_field.convolve import convolve, convolve_transposed, flat, output_padding, pad_outside
from g2l.receptive_field.geometry import Geometry, Pads
from g2l.receptive_field.probe import added
from g2l.receptive_field.rates import Rates


class PaddedLayer(Derived):
    """A convolution whose padding follows from its geometry and `dilation` at every call.

    Attributes:
        geometry: What its taps read at any rate.
    """

    geometry: Geometry

    def note(self) -> str:
        """Return what is added around the input, for `print(model)`."""
        return f"pads={self.geometry.pads(self.dilation, self.dilation)}"


class _PaddedConv(PaddedLayer):
    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        pads = self.geometry.pads(self.dilation, self.dilation)
        x, (missing,) = pad_outside(input, [pads], self.padding_mode)
        return convolve(
            x, weight, bias, rates=self.dilation, pads=missing, stride=self.stride, groups=self.groups
        )


class _PaddedConvTranspose(PaddedLayer):
    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return the transposed convolution; arguments and shapes are those of torch's module."""
        pads = self.geometry.pads(self.dilation, self.dilation)
        return convolve_transposed(
            input,
            self.weight,
            self.bias,
            rates=self.dilation,
            pads=pads,
            extra=output_padding(self, input, output_size, pads, self.dilation),
            stride=self.stride,
            groups=self.groups,
        )


class PaddedConv1d(_PaddedConv, nn.Conv1d):
    """`nn.Conv1d` with a padding of its own on each side."""


class PaddedConv2d(_PaddedConv, nn.Conv2d):
    """`nn.Conv2d` with a padding of its own on each side."""


class PaddedConv3d(_PaddedConv, nn.Conv3d):
    """`nn.Conv3d` with a padding of its own on each side."""


class PaddedConvTranspose1d(_PaddedConvTranspose, nn.ConvTranspose1d):
    """`nn.ConvTranspose1d` that may cut less than nothing."""


class PaddedConvTranspose2d(_PaddedConvTranspose, nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` that may cut less than nothing."""


class PaddedConvTranspose3d(_PaddedConvTranspose, nn.ConvTranspose3d):
    """`nn.ConvTranspose3d` that may cut less than nothing."""


PADDED: dict[type[Convolution], type[Derived]] = {
    nn.Conv1d: PaddedConv1d,
    nn.Conv2d: PaddedConv2d,
    nn.Conv3d: PaddedConv3d,
    nn.ConvTranspose1d: PaddedConvTranspose1d,
    nn.ConvTranspose2d: PaddedConvTranspose2d,
    nn.ConvTranspose3d: PaddedConvTranspose3d,
}
"""Our class for each class of torch."""


def settle(conv: Convolution, geometry: Geometry, rates: Rates) -> None:
    """Make a convolution without branches compute that of `geometry` at `rates`.

    It stays of its own class where that class can express it; its weight must have the taps of the geometry.

    Args:
        conv: The convolution.
        geometry: What its taps read.
        rates: Its rate from now on, of each axis.
    """
    conv.kernel_size, conv.dilation = geometry.taps, rates
    if isinstance(conv, CausalConv1d):
        return  # it pads by its own dilation
    if geometry.follows:
        geometry = _measured(conv, geometry)
    pads = geometry.pads(rates, rates)
    if conv.padding == "same" and pads == _receptive_field(geometry.taps, rates):
        set_padding(conv, "same")
    elif all(before == after >= 0 for before, after in pads):
        set_padding(conv, tuple(before for before, _ in pads))
    else:
        derive(conv, PADDED)
        conv.geometry = geometry  # type: ignore[assignment]


def set_padding(conv: Convolution, padding: str | tuple[int, ...]) -> None:
    """Set the padding of a convolution, once its kernel size and rate are set."""
    conv.padding = padding
    if isinstance(padding, str):
        same = _receptive_field(conv.kernel_size, conv.dilation)
        pads = same if padding == "same" else ((0, 0),) * len(same)
    else:
        pads = tuple((amount, amount) for amount in padding)
    # What torch makes of the padding when a convolution is built, for modes other than zeros.
    conv._reversed_padding_repeated_twice = flat(pads)


def _receptive_field(taps: tuple[int, ...], rates: Rates) -> Pads:
    """Return what torch adds for `same`."""
    totals = ((size - 1) * rate for size, rate in zip(taps, rates, strict=True))
    return tuple((total // 2, total - total // 2) for total in totals)


def _measured(conv: Convolution, geometry: Geometry) -> Geometry:
    """Return the geometry of a convolution that pads itself, with what it now adds as something that stays.

    Its `forward` may have a kernel size in mind that is no longer its own.
    """
    kind = next(kind for kind in PADDED if isinstance(conv, kind))
    axes = list(zip(added(conv, kind), geometry.taps, geometry.anchors, strict=True))
    earlier = tuple(amount * anchor // (size - 1) if size > 1 else 0 for amount, size, anchor in axes)
    return Geometry(
        taps=geometry.taps,
        anchors=geometry.anchors,
        before=tuple(before - less for before, less in zip(geometry.before, earlier, strict=True)),
        after=tuple(
            after - (amount - less)
            for after, (amount, _, _), less in zip(geometry.after, axes, earlier, strict=True)
        ),
    )
