"""When the rates of a network move: estimate and expand at intervals, then end (G2L, section 3.3).

Deviations from the released code: the last update ends the search, with one rate per layer unless another
ending is chosen; Adam's moments of α are reset with α; the interval may be given in steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import nn

from g2l.errors import InputError
from g2l.receptive_field.branches import Estimate
from g2l.receptive_field.endings import end_layers, forget
from g2l.receptive_field.layers import estimate, matching
from g2l.receptive_field.rates import Ending, Rates

Limit = Callable[[Sequence[Rates]], Sequence[Rates]]
"""Lowers the rates of an update, given in the order of the network, where they see too far."""


@dataclass(frozen=True, kw_only=True)
class Update:
    """One estimate of all rates.

    Attributes:
        number: 1-based; the last one of a schedule ends it.
        call: Calls of `step` so far.
        layers: What the branch weights of each layer said, by name, in the order of the network; `rates` are
            those that the layer moved to.
        position: What `step` was given, such as the epoch.
    """

    number: int
    call: int
    layers: Mapping[str, Estimate]
    position: Mapping[str, int] = field(default_factory=dict)

    @property
    def rates(self) -> dict[str, Rates]:
        """The rates of each layer after the update."""
        return {name: found.rates for name, found in self.layers.items()}


class SearchSchedule:
    """Moves the rates of a network during the training by any loop.

    In `DistributedDataParallel` every process has one. Their α are equal, as the gradients are, so all find
    the same rates; the network has to be wrapped anew when the schedule is finished (see `finish`).

    Args:
        model: A converted network, wrapped or not.
        optimizer: Has its parameters, those of α included (`parameter_groups`).
        interval: Calls of `step` between two updates: epochs or iterations, whatever a call stands for.
        updates: Estimates in all; the last one ends the search.
        ending: How it ends.
        limit: Lowers the rates of an update, or None. Where branches stay, it binds their centre only.

    Raises:
        InputError: A number is below 1, or no layer of the network is searched.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        interval: int,
        updates: int,
        ending: Ending = Ending.SINGLE,
        limit: Limit | None = None,
    ) -> None:
        for name, value in (("interval", interval), ("updates", updates)):
            if value < 1:
                raise InputError(f"`{name}` must be >= 1, but is {value} instead.")
        if not estimate(model):
            raise InputError(
                "no layer of the network has branches to search.", hint="call convert(model) first."
            )
        self.interval, self.updates, self.ending = interval, updates, Ending(ending)
        self.history: list[Update] = []
        self._model, self._optimizer, self._limit = model, optimizer, limit
        self._calls = 0

    @property
    def finished(self) -> bool:
        """Whether the last update has been made."""
        return len(self.history) >= self.updates

    def step(self, **position: int) -> Update | None:
        """Call after every epoch or iteration; return what was updated at the end of an interval.

        Args:
            position: Recorded with an update, such as `epoch=3`.
        """
        self._calls += 1
        if self.finished or self._calls % self.interval:
            return None
        layers = estimate(self._model)
        if self._limit is not None:
            limited = self._limit([found.rates for found in layers.values()])
            layers = {
                name: replace(found, rates=tuple(rates))
                for (name, found), rates in zip(layers.items(), limited, strict=True)
            }
        number = len(self.history) + 1
        update = Update(number=number, call=self._calls, layers=layers, position=position)
        self.history.append(update)
        self._move(update.rates)
        return update

    def state_dict(self) -> dict[str, Any]:
        """Return plain values: the calls and all updates."""
        return {"calls": self._calls, "history": [asdict(update) for update in self.history]}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue another schedule; call before the states of network and optimizer are loaded.

        A freshly converted network and its optimizer get the shape that they had then, ended if it was.

        Raises:
            InputError: The saved schedule was of other layers.
        """
        self._calls = saved["calls"]
        self.history = [_update(values) for values in saved["history"]]
        if self.history:
            last = self.history[-1].layers
            for name, layer in matching(self._model, last).items():
                # Those before the update: `merge` merges them.
                layer.dilation = last[name].centre
                layer.set_branches(last[name].branches)
            self._move(self.history[-1].rates)

    def _move(self, rates: Mapping[str, Rates]) -> None:
        """Set branches around new rates and reset the optimizer's moments of α, or end the search there."""
        layers = matching(self._model, rates)
        if self.finished:
            end_layers(layers, rates, self.ending, self._optimizer)
            return
        for name, layer in layers.items():
            layer.expand(rates[name])
        forget([layer.alpha for layer in layers.values()], self._optimizer)


def _update(values: Mapping[str, Any]) -> Update:
    layers = {
        name: Estimate(
            centre=tuple(layer["centre"]),
            branches=tuple(map(tuple, layer["branches"])),
            weights=tuple(layer["weights"]),
            expectation=tuple(layer["expectation"]),
            rates=tuple(layer["rates"]),
        )
        for name, layer in values["layers"].items()
    }
    return Update(**{**values, "layers": layers})
