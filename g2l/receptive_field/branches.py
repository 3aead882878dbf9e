"""Convolutions at several dilation rates at once, with one shared weight, and the networks that have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from g2l.errors import InputError
from g2l.kernels.taps import TapConvolution, by_products, convolve_by_taps, mixing_weights, tap_plan
from g2l.receptive_field.geometry import Convolution, Geometry, is_wide
from g2l.receptive_field.padding import PaddedConv, PaddedConvTranspose, PaddedLayer, derive, restore_class
from g2l.receptive_field.rates import Expansion, Rates, expectation

INITIAL_ALPHA = 0.01
"""Raw branch weight after every expansion, as in the released code."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Estimate from the branch weights of one layer."""

    centre: Rates
    """Its present rates, which the branches are around."""
    branches: tuple[Rates, ...]
    """Its branches d_i, ascending, each with one rate per axis."""
    weights: tuple[float, ...]
    """Their mixing weights w_i, summing to 1."""
    expectation: tuple[float, ...]
    """Σ w_i d_i of each axis."""
    rates: Rates
    """The expectation, rounded and clamped."""


@dataclass(kw_only=True)
class Branches:
    """The branches of one layer."""

    rates: tuple[Rates, ...]
    """One rate per axis of each branch; at most as many as there are α."""
    expansion: Expansion
    frozen: bool = False
    """Whether the search is over and the rates stay (RF-Next: `multiple`)."""


class BranchLayer(PaddedLayer):
    """A convolution with branches: output Σ_i w_i conv_{d_i}(x), w_i = |α_i| / Σ|α_j|.

    It is the same module as before, with another class, a parameter `alpha` of shape (expansion.branches,)
    and the rates in its extra state, so that a state dict is complete in the middle of a search. `dilation`
    is the present rate, the centre of the branches. `alpha` keeps its size when the clamp merges branches:
    its first entries are in use, the others have no effect.

    Deviation from the released 1-D code: branches are mixed before the ReLU, as in RF-Next, so that a
    branch convolution is a convolution with a sparse longer kernel.
    """

    PREFIX = "Branch"
    alpha: nn.Parameter
    """Raw branch weights."""
    branches: Branches

    def estimate(self) -> Estimate:
        """Return the estimate of the branch weights; changes nothing."""
        rates = self.branches.rates
        weights = mixing_weights(self.alpha[: len(rates)].tolist())
        axes = list(zip(*rates, strict=True))
        return Estimate(
            centre=self.dilation,
            branches=rates,
            weights=weights,
            expectation=tuple(expectation(axis, weights) for axis in axes),
            rates=tuple(
                self.branches.expansion.expected_rate(axis, weights) if size > 1 else axis[0]
                for axis, size in zip(axes, self.kernel_size, strict=True)
            ),
        )

    def expand(self, rates: Sequence[int]) -> None:
        """Set branches around `rates`, one per axis, which are clamped, and reset their weights."""
        expansion = self.branches.expansion
        self.dilation = tuple(
            expansion.clamp(rate) if size > 1 else rate
            for rate, size in zip(rates, self.kernel_size, strict=True)
        )
        self.set_branches(expansion.branch_rates(self.dilation, self.kernel_size))

    def set_branches(self, rates: Sequence[Rates]) -> None:
        """Set the branches and reset `alpha`, which stays the same parameter."""
        if not 1 <= len(rates) <= len(self.alpha) or min(map(min, rates)) < 1:
            raise InputError(
                f"`rates` must hold 1 to {len(self.alpha)} branches with rates >= 1, but is {tuple(rates)} "
                "instead."
            )
        self.branches.rates = tuple(map(tuple, rates))
        with torch.no_grad():
            self.alpha.fill_(INITIAL_ALPHA)

    def mixing_weights(self) -> Tensor:
        """Return w_i, shape (branches in use,), with the gradient of α; equal where every α is zero."""
        magnitudes = self.alpha[: len(self.branches.rates)].abs()
        total = magnitudes.sum()
        # Two conditions, since the gradient of a division by zero is NaN even where its result is not chosen.
        shares = magnitudes / torch.where(total > 0, total, 1.0)
        return torch.where(total > 0, shares, 1 / len(magnitudes))

    def terms(self) -> list[tuple[Tensor | None, Rates]]:
        """Return mixing weight and rates of each branch."""
        return list(zip(self.mixing_weights().unbind(), self.branches.rates, strict=True))

    def get_extra_state(self) -> Tensor:
        """Return the rates: shape (1 + size of α, axes); first the centre, then the branches, then zeros."""
        unused = len(self.alpha) - len(self.branches.rates)
        nothing = (0,) * len(self.dilation)
        return torch.tensor([self.dilation, *self.branches.rates, *[nothing] * unused])

    def set_extra_state(self, state: Tensor) -> None:
        """Take over the rates of a state dict, which brings α along."""
        centre, *branches = (tuple(row) for row in state.tolist())
        self.dilation = centre
        self.branches.rates = tuple(row for row in branches if any(row))

    def note(self) -> str:
        """Return the branches, for `print(model)`."""
        return f"branches={self.branches.rates}"


class BranchConv(BranchLayer, PaddedConv):
    """A convolution with branches."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if by_products(input) and (taps := self.as_taps(input, weight, bias)) is not None:
            return convolve_by_taps(input, *taps)
        return super()._conv_forward(input, weight, bias)

    def as_taps(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> TapConvolution | None:
        """Return what the tap products need, or None where they do not compute this convolution of `x`."""
        if len(self.kernel_size) != 1 or x.dim() != 3 or self.groups > 1 or self.stride != (1,):
            return None
        if self.padding_mode != "zeros" or not self.geometry.keeps_size:
            return None
        (taps,), (anchor,) = self.kernel_size, self.geometry.anchors
        rates = tuple(rate for (rate,) in self.branches.rates)
        alpha = self.alpha if len(self.alpha) == len(rates) else self.alpha[: len(rates)]
        return TapConvolution(weight, bias, alpha, tap_plan(rates, taps, anchor, x.shape[-1]))


class BranchConvTranspose(BranchLayer, PaddedConvTranspose):
    """A transposed convolution with branches."""


def add_branches(conv: Convolution, geometry: Geometry, expansion: Expansion) -> BranchLayer:
    """Give a convolution branches around its present rate, in place, and return it."""
    if isinstance(conv, PaddedLayer):
        restore_class(conv)
    # Not the weight itself: to compute a parametrized one may change it (spectral norm does).
    like, rates = next(chain(conv.parameters(), conv.buffers())), conv.dilation
    derive(conv, BranchConv, BranchConvTranspose)
    assert isinstance(conv, BranchLayer)
    alpha = torch.full((expansion.branches,), INITIAL_ALPHA, device=like.device, dtype=like.dtype)
    conv.alpha = nn.Parameter(alpha)
    conv.geometry, conv.branches = geometry, Branches(rates=(rates,), expansion=expansion)
    conv.expand(rates)
    return conv


def take_branches(conv: BranchLayer) -> Geometry:
    """Give a layer its own class back, without branches and at no rate yet; return its geometry."""
    geometry = conv.geometry
    del conv.alpha, conv.branches, conv.geometry
    restore_class(conv)
    return geometry


def inside(model: nn.Module) -> nn.Module:
    """Return the network inside of data parallelism or `torch.compile`, which prefix its names."""
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif isinstance(compiled := getattr(model, "_orig_mod", None), nn.Module):
            model = compiled
        else:
            return model


def branch_layers(model: nn.Module) -> dict[str, BranchLayer]:
    """Return the layers with branches by name, in the order of the network."""
    return {name: module for name, module in inside(model).named_modules() if isinstance(module, BranchLayer)}


def searched_layers(model: nn.Module) -> dict[str, BranchLayer]:
    """Return those of the layers with branches whose search is not over."""
    return {name: layer for name, layer in branch_layers(model).items() if not layer.branches.frozen}


def wide_layers(model: nn.Module) -> dict[str, Convolution]:
    """Return every convolution with a kernel above 1 by name, in the order of the network."""
    return {name: module for name, module in inside(model).named_modules() if is_wide(module)}


def structure(model: nn.Module) -> dict[str, Rates]:
    """Return the present rates, one per axis, of every convolution with a kernel above 1."""
    return {name: layer.dilation for name, layer in wide_layers(model).items()}


def centre(layer: Convolution) -> Rates:
    """Return the present rates of a convolution; of a merged one, those that its branches were around."""
    rates: Rates = getattr(layer, "merged_centre", layer.dilation)
    return rates


def estimate(model: nn.Module) -> dict[str, Estimate]:
    """Return the estimates of the branch weights of all searched layers (G2L, section 3.3)."""
    return {name: layer.estimate() for name, layer in searched_layers(model).items()}


def expand(model: nn.Module, rates: Mapping[str, Sequence[int]]) -> None:
    """Set branches around new rates, one per axis for each searched layer, and reset their weights."""
    for name, layer in matching(model, rates).items():
        layer.expand(rates[name])


def matching(model: nn.Module, named: Mapping[str, object]) -> dict[str, BranchLayer]:
    """Return the searched layers, which must be those named."""
    layers = searched_layers(model)
    if layers.keys() != named.keys():
        differing = ", ".join(sorted(layers.keys() ^ named.keys()))
        raise InputError(
            f"`rates` must name the {len(layers)} layers with branches, but differs in {differing}."
        )
    return layers


def parameter_groups(
    model: nn.Module,
    *,
    learning_rate: float,
    branch_learning_rate: float = 2e-3,
    weight_decay: float | None = None,
) -> list[dict[str, Any]]:
    """Return two groups for any optimizer of torch: the network's own parameters, then the branch weights α.

    α has its own learning rate, because in the few steps of an interval it would hardly move with that of
    the network, and no weight decay, which would only change the size of the next step. With
    `weight_decay` None, that of the optimizer holds for the network.
    """
    alphas = [layer.alpha for layer in branch_layers(model).values()]
    chosen = {id(alpha) for alpha in alphas}
    network: dict[str, Any] = {
        "params": [value for value in model.parameters() if id(value) not in chosen],
        "lr": learning_rate,
    }
    if weight_decay is not None:
        network["weight_decay"] = weight_decay
    return [network, {"params": alphas, "lr": branch_learning_rate, "weight_decay": 0.0}]
