"""What every convolution with branches has, of any kind and dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from g2l.errors import InputError
from g2l.receptive_field.classes import Derived
from g2l.receptive_field.geometry import Geometry, Pads
from g2l.receptive_field.mixing import branch_weights
from g2l.receptive_field.rates import Expansion, Rates, expectation, expected_rate, mixing_weights

INITIAL_ALPHA = 0.01
"""Raw branch weight after every expansion, as in the released code."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What the branch weights of one layer say.

    Attributes:
        centre: Its present rates, which the branches are around.
        branches: Its branches d_i, ascending, each with one rate per axis.
        weights: Their mixing weights w_i, summing to 1.
        expectation: Σ w_i d_i of each axis.
        rates: The expectation, rounded and clamped.
    """

    centre: Rates
    branches: tuple[Rates, ...]
    weights: tuple[float, ...]
    expectation: tuple[float, ...]
    rates: Rates


@dataclass(kw_only=True)
class Branches:
    """The branches of one layer.

    Attributes:
        rates: One rate per axis of each branch; several, but no more than there are α.
        expansion: How a rate becomes several.
        frozen: Whether the search is over and the rates stay (RF-Next: `multiple`).
    """

    rates: tuple[Rates, ...]
    expansion: Expansion
    frozen: bool = False


class BranchLayer(Derived):
    """A convolution with branches: output Σ_i w_i conv_{d_i}(x), w_i = |α_i| / Σ|α_j|.

    It is the very module that it was, with another class, a parameter `alpha` of shape (expansion.branches,)
    and the rates in its extra state, so that a state dict is complete in the middle of a search. `dilation`
    is the present rate, the centre of the branches. `alpha` keeps its size when the clamp merges branches:
    its first entries are in use, the others have no effect.

    Deviation from the released 1-D code: branches are mixed before the ReLU, as in RF-Next, so that a
    branch convolution is a convolution with a sparse longer kernel.

    Attributes:
        alpha: Raw branch weights.
        geometry: What its taps read at any rate.
        branches: Its branches.
    """

    alpha: nn.Parameter
    geometry: Geometry
    branches: Branches

    def estimate(self) -> Estimate:
        """Return what the branch weights say; changes nothing."""
        rates, largest = self.branches.rates, self.branches.expansion.max_rate
        weights = mixing_weights(self.alpha[: len(rates)].tolist())
        axes = list(zip(*rates, strict=True))
        return Estimate(
            centre=self.dilation,
            branches=rates,
            weights=weights,
            expectation=tuple(expectation(axis, weights) for axis in axes),
            rates=tuple(
                expected_rate(axis, weights, max_rate=largest) if size > 1 else axis[0]
                for axis, size in zip(axes, self.kernel_size, strict=True)
            ),
        )

    def expand(self, rates: Sequence[int]) -> None:
        """Set branches around `rates`, one per axis, which are clamped, and start their weights anew."""
        expansion = self.branches.expansion
        self.dilation = tuple(
            expansion.clamp(rate) if size > 1 else rate
            for rate, size in zip(rates, self.kernel_size, strict=True)
        )
        self.set_branches(expansion.branch_rates(self.dilation, self.kernel_size))

    def set_branches(self, rates: Sequence[Rates]) -> None:
        """Set the branches and reset `alpha`, which stays the same parameter.

        Raises:
            InputError: There is no branch, there are more than α has entries, or a rate is below 1.
        """
        if not 1 <= len(rates) <= len(self.alpha) or min(map(min, rates)) < 1:
            raise InputError(
                f"`rates` must hold 1 to {len(self.alpha)} branches with rates >= 1, but is {tuple(rates)} "
                "instead."
            )
        self.branches.rates = tuple(map(tuple, rates))
        with torch.no_grad():
            self.alpha.fill_(INITIAL_ALPHA)

    def mixing_weights(self) -> Tensor:
        """Return w_i, shape (branches in use,), with the gradient of α."""
        return branch_weights(self.alpha[: len(self.branches.rates)])

    def branch_pads(self) -> list[Pads]:
        """Return what each branch adds around its input."""
        return [self.geometry.pads(rates, self.dilation) for rates in self.branches.rates]

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
