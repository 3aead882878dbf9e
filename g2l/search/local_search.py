"""Expectation-guided iterative search of the rates of one network while it trains (G2L, section 3.3).

Deviations from the released code: the last update ends the search, with one rate per layer unless told
otherwise; Adam's moments of α are forgotten with α; the interval may be given in steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import nn

from g2l.errors import InputError
from g2l.evaluation import Budget
from g2l.receptive_field import Ending, estimate, parameter_groups
from g2l.receptive_field.conversion import ConversionReport, convert
from g2l.receptive_field.rates import Expansion
from g2l.receptive_field.schedule import move, set_branches
from g2l.receptive_field.temporal import layer_rates
from g2l.records import LayerUpdate, LocalSearchUpdate
from g2l.search_config import LocalSearchConfig


class SearchState(Protocol):
    """What the search needs of a training (`g2l.training.state.TrainingState` has it)."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int
    step: int


class LocalSearch:
    """A training callback that moves the rates of a network; one object serves one training.

    Call `prepare` on the network, give the optimizer `parameter_groups`, then train with this callback for
    at least `budget`. On resume do the same with a fresh network of the same structure.

    Args:
        config: Settings of the search.
        longest_video: Frames T of the longest training video: the largest rate unless `config` has one.
        limit: Lowers the rates of an update, given in the order of the network, where they see too far (as
            `SearchSpace.from_rates` does), or None.
        ending: What the last update makes of the branches. Where they stay, `limit` binds the centre only.
        on_update: Called after each update; on resume after a kill it may see an update again.
    """

    def __init__(
        self,
        config: LocalSearchConfig,
        *,
        longest_video: int,
        limit: Callable[[Sequence[int]], Sequence[int]] | None = None,
        ending: Ending = Ending.SINGLE,
        on_update: Callable[[LocalSearchUpdate], None] | None = None,
    ) -> None:
        self.config = config.validate()
        self.expansion = Expansion(
            expansion_rate=config.expansion_rate,
            branches=config.branches,
            max_rate=config.max_rate or longest_video,
        )
        self.history: list[LocalSearchUpdate] = []
        self.ending = Ending(ending)
        self._limit = limit
        self._on_update = on_update

    @property
    def budget(self) -> Budget:
        """The shortest training in which all updates take place."""
        return Budget(self.config.interval.amount * self.config.updates, self.config.interval.unit)

    @property
    def finished(self) -> bool:
        """Whether the last update has been made, and the search has ended."""
        return len(self.history) >= self.config.updates

    def prepare(self, model: nn.Module) -> ConversionReport:
        """Give the convolutions over time in `model` branches, in place.

        Raises:
            InputError: None of them can have branches.
        """
        expansion = self.expansion
        report = convert(
            model,
            max_rate=expansion.max_rate,
            expansion_rate=expansion.expansion_rate,
            branches=expansion.branches,
            types=(nn.Conv1d,),
        )
        if not report.converted:
            reasons = "; ".join(f"{name} {reason}" for name, reason in report.skipped.items())
            raise InputError(
                f"no convolution of the network can be given branches ({reasons or 'all kernels are 1'})."
            )
        return report

    def parameter_groups(self, model: nn.Module, *, learning_rate: float) -> list[dict[str, Any]]:
        """Return the optimizer's parameter groups of a prepared model; the last one holds α."""
        return parameter_groups(
            model, learning_rate=learning_rate, branch_learning_rate=self.config.branch_learning_rate
        )

    def on_step_end(self, state: SearchState) -> None:
        """Update the rates where the interval is in steps and one is over."""
        self._update_if_due(state, state.step, "steps")

    def on_epoch_end(self, state: SearchState, metrics: Mapping[str, float]) -> None:
        """Update the rates where the interval is in epochs and one is over."""
        self._update_if_due(state, state.epoch, "epochs")

    def state_dict(self) -> dict[str, Any]:
        """Return the updates made so far, as plain values."""
        return {"history": [update.as_dict() for update in self.history]}

    def load_state_dict(self, saved: dict[str, Any], state: SearchState) -> None:
        """Restore the updates, and give a freshly prepared model and its optimizer the shape they had then.

        Raises:
            InputError: The saved search was of other layers.
        """
        self.history = [LocalSearchUpdate.from_dict(update) for update in saved["history"]]
        if self.history:
            last = self.history[-1].layers
            set_branches(state.model, {name: _branches(layer) for name, layer in last.items()})
            self._apply(state, self.history[-1].rates)

    def _update_if_due(self, state: SearchState, done: int, unit: Literal["epochs", "steps"]) -> None:
        interval = self.config.interval
        if self.finished or interval.unit != unit or done % interval.amount:
            return
        before = layer_rates(state.model)
        estimates = estimate(state.model)
        after: Sequence[int] = [found.rates[0] for found in estimates.values()]
        if self._limit is not None:
            after = self._limit(after)
        layers = {
            name: LayerUpdate(
                rate_before=before[name],
                branches=tuple(rate for (rate,) in found.branches),
                weights=found.weights,
                expectation=found.expectation[0],
                rate_after=rate,
            )
            for (name, found), rate in zip(estimates.items(), after, strict=True)
        }
        number = len(self.history) + 1
        update = LocalSearchUpdate(number=number, step=state.step, epoch=state.epoch, layers=layers)
        self.history.append(update)
        self._apply(state, update.rates)
        if self._on_update is not None:
            self._on_update(update)

    def _apply(self, state: SearchState, rates: Mapping[str, int]) -> None:
        ending = self.ending if self.finished else None
        move(state.model, {name: (rate,) for name, rate in rates.items()}, state.optimizer, ending)


def _branches(layer: LayerUpdate) -> tuple[tuple[int], list[tuple[int]]]:
    return (layer.rate_before,), [(rate,) for rate in layer.branches]
