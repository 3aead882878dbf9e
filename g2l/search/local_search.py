"""The local search as a training callback around a `SearchSchedule` (G2L, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from g2l.errors import InputError
from g2l.evaluation import Budget
from g2l.receptive_field import Ending, convert, parameter_groups
from g2l.receptive_field.rates import Rates
from g2l.receptive_field.schedule import SearchSchedule, Update
from g2l.records import LayerUpdate, LocalSearchUpdate, now
from g2l.search_config import LocalSearchConfig


class SearchState(Protocol):
    """What the search needs of a training (`g2l.training.state.TrainingState` has it)."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int
    step: int


class LocalSearch:
    """Moves the rates of a network during one training, of at least `budget`.

    Call `prepare` on the network, give the optimizer `parameter_groups`, then train with this callback. On
    resume do the same with a fresh network of the same structure.

    Args:
        config: Settings of the search.
        longest_video: Frames T of the longest training video: the largest rate unless `config` has one.
        limit: See `SearchSchedule`, of rates of one axis.
        ending: What the last update makes of the branches.
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
        self.config, self.max_rate, self.ending = config.validate(), config.max_rate or longest_video, ending
        self._limit, self._on_update = limit, on_update
        self._schedule: SearchSchedule | None = None

    @property
    def budget(self) -> Budget:
        """The shortest training in which all updates take place."""
        return Budget(self.config.interval.amount * self.config.updates, self.config.interval.unit)

    @property
    def history(self) -> list[LocalSearchUpdate]:
        """All updates so far."""
        return [] if self._schedule is None else list(map(_record, self._schedule.history))

    @property
    def finished(self) -> bool:
        """Whether the last update has been made, and the search has ended."""
        return self._schedule is not None and self._schedule.finished

    def prepare(self, model: nn.Module) -> None:
        """Give the convolutions over time in `model` branches, in place.

        Raises:
            InputError: None of them can have branches.
        """
        config = self.config
        report = convert(
            model,
            max_rate=self.max_rate,
            expansion_rate=config.expansion_rate,
            branches=config.branches,
            types=(nn.Conv1d,),
        )
        if not report.converted:
            reasons = "; ".join(f"{name} {reason}" for name, reason in report.skipped.items())
            raise InputError(
                f"no convolution of the network can be given branches ({reasons or 'all kernels are 1'})."
            )

    def parameter_groups(self, model: nn.Module, *, learning_rate: float) -> list[dict[str, Any]]:
        """Return the optimizer's parameter groups of a prepared model; the last one holds α."""
        return parameter_groups(
            model, learning_rate=learning_rate, branch_learning_rate=self.config.branch_learning_rate
        )

    def on_step_end(self, state: SearchState) -> None:
        """Update the rates where the interval is in steps and one is over."""
        self._count(state, "steps")

    def on_epoch_end(self, state: SearchState, metrics: Mapping[str, float]) -> None:
        """Update the rates where the interval is in epochs and one is over."""
        self._count(state, "epochs")

    def state_dict(self) -> dict[str, Any]:
        """Return the updates made so far, as plain values."""
        return {} if self._schedule is None else self._schedule.state_dict()

    def load_state_dict(self, saved: dict[str, Any], state: SearchState) -> None:
        """Restore the updates, and the shape that model and optimizer had then."""
        if saved:
            self._schedule_of(state).load_state_dict(saved)

    def _count(self, state: SearchState, unit: str) -> None:
        if unit != self.config.interval.unit:
            return
        update = self._schedule_of(state).step(step=state.step, epoch=state.epoch, at=now())
        if update is not None and self._on_update is not None:
            self._on_update(_record(update))

    def _schedule_of(self, state: SearchState) -> SearchSchedule:
        if self._schedule is None:
            self._schedule = SearchSchedule(
                state.model,
                state.optimizer,
                interval=self.config.interval.amount,
                updates=self.config.updates,
                ending=self.ending,
                limit=None if self._limit is None else self._limited,
            )
        return self._schedule

    def _limited(self, rates: Sequence[Rates]) -> list[Rates]:
        assert self._limit is not None
        return [(rate,) for rate in self._limit([rate for (rate,) in rates])]


def _record(update: Update) -> LocalSearchUpdate:
    layers = {
        name: LayerUpdate(
            rate_before=found.centre[0],
            branches=tuple(rate for (rate,) in found.branches),
            weights=found.weights,
            expectation=found.expectation[0],
            rate_after=found.rates[0],
        )
        for name, found in update.layers.items()
    }
    return LocalSearchUpdate(number=update.number, layers=layers, **update.position)
