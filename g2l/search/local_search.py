"""The local search as a training callback around a `SearchSchedule` (G2L, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from torch import nn

from g2l.config import LocalSearchConfig
from g2l.errors import InputError
from g2l.receptive_field import convert, parameter_groups
from g2l.receptive_field.schedule import SearchSchedule, Update
from g2l.records import LayerUpdate, LocalSearchUpdate, now


class Progress(Protocol):
    """Progress of a training that the search needs (see `TrainingState`): epochs and steps completed."""

    epoch: int
    step: int


class LocalSearch:
    """Calls `schedule` after each step or epoch of a training, as `unit` says; see `TrainingCallback`.

    `on_update` is called after each update; on resume after a kill it may see an update again.
    """

    def __init__(
        self,
        schedule: SearchSchedule,
        unit: Literal["epochs", "steps"],
        on_update: Callable[[LocalSearchUpdate], None] | None = None,
    ) -> None:
        self._schedule, self._unit, self._on_update = schedule, unit, on_update

    @property
    def history(self) -> list[LocalSearchUpdate]:
        """All updates so far."""
        return list(map(_record, self._schedule.history))

    def on_step_end(self, state: Progress) -> None:
        """Update the rates where the interval is in steps and one is over."""
        self._schedule.observe()
        self._count(state, "steps")

    def on_epoch_end(self, state: Progress, metrics: Mapping[str, float]) -> None:
        """Update the rates where the interval is in epochs and one is over."""
        self._count(state, "epochs")

    def state_dict(self) -> dict[str, Any]:
        """Return the updates so far, as plain values."""
        return self._schedule.state_dict()

    def load_state_dict(self, saved: dict[str, Any], state: Progress) -> None:
        """Restore the updates, and the shape that model and optimizer had then."""
        self._schedule.load_state_dict(saved)

    def _count(self, state: Progress, unit: str) -> None:
        if unit == self._unit:
            update = self._schedule.step(step=state.step, epoch=state.epoch, at=now())
            if update is not None and self._on_update is not None:
                self._on_update(_record(update))


def give_branches(
    model: nn.Module, config: LocalSearchConfig, *, longest_video: int, learning_rate: float
) -> list[dict[str, Any]]:
    """Give the convolutions over time in `model` branches, and return the optimizer's parameter groups.

    The largest rate is that of `config`, else `longest_video`, the frames T of the longest training video.

    Raises:
        InputError: No convolution can have branches.
    """
    report = convert(
        model,
        max_rate=config.max_rate or longest_video,
        expansion_rate=config.expansion_rate,
        branches=config.branches,
        types=(nn.Conv1d,),
    )
    if not report.converted:
        reasons = "; ".join(f"{name} {reason}" for name, reason in report.skipped.items())
        raise InputError(
            f"no convolution of the network can be given branches ({reasons or 'all kernels are 1'})."
        )
    return parameter_groups(
        model, learning_rate=learning_rate, branch_learning_rate=config.branch_learning_rate
    )


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
