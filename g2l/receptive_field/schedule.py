"""When the rates of a network move: estimate and expand at intervals, then end (G2L, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from g2l.errors import InputError
from g2l.receptive_field.branch_layer import BranchLayer, Estimate
from g2l.receptive_field.ending import Ending
from g2l.receptive_field.endings import end_layers, forget
from g2l.receptive_field.layers import estimate, expand, matching
from g2l.receptive_field.rates import Rates


@dataclass(frozen=True, kw_only=True)
class Update:
    """One estimate of all rates.

    Attributes:
        number: 1-based; the last one of a schedule ends it.
        call: Calls of `step` so far.
        layers: What the branch weights of each layer said, by name, in the order of the network.
    """

    number: int
    call: int
    layers: Mapping[str, Estimate]

    @property
    def rates(self) -> dict[str, Rates]:
        """The rates of each layer after the update."""
        return {name: found.rates for name, found in self.layers.items()}


class SearchSchedule:
    """Moves the rates of a network while anyone's loop trains it.

    In `DistributedDataParallel` every process has one. Their α are equal, as the gradients are, so all find
    the same rates; the network has to be wrapped anew when the schedule is finished (see `finish`).

    Args:
        model: A converted network, wrapped or not.
        optimizer: Has its parameters, those of α included (`parameter_groups`).
        interval: Calls of `step` between two updates: epochs or iterations, whatever a call stands for.
        updates: Estimates in all; the last one ends the search.
        ending: How it ends.

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
        self._model, self._optimizer = model, optimizer
        self._calls = 0

    @property
    def finished(self) -> bool:
        """Whether the last update has been made."""
        return len(self.history) >= self.updates

    def step(self) -> Update | None:
        """Call after every epoch or iteration; return what was updated where an interval is over."""
        self._calls += 1
        if self.finished or self._calls % self.interval:
            return None
        update = Update(number=len(self.history) + 1, call=self._calls, layers=estimate(self._model))
        self.history.append(update)
        self._apply(update.rates)
        return update

    def state_dict(self) -> dict[str, Any]:
        """Return plain values: the calls and all updates."""
        return {"calls": self._calls, "history": [asdict(update) for update in self.history]}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where another schedule was; call before the states of network and optimizer are loaded.

        A freshly converted network and its optimizer get the shape that they had then, ended if it was.

        Raises:
            InputError: The saved schedule was of other layers.
        """
        self._calls = saved["calls"]
        self.history = [_update(values) for values in saved["history"]]
        if self.history:
            last = self.history[-1].layers
            branches = {name: (found.centre, found.branches) for name, found in last.items()}
            set_branches(self._model, branches)
            self._apply(self.history[-1].rates)

    def _apply(self, rates: Mapping[str, Rates]) -> None:
        move(self._model, rates, self._optimizer, self.ending if self.finished else None)


def move(
    model: nn.Module,
    rates: Mapping[str, Sequence[int]],
    optimizer: torch.optim.Optimizer,
    ending: Ending | None,
) -> None:
    """Set branches around new rates and forget what the optimizer knows of α, or end the search there.

    Args:
        model: The network.
        rates: One rate per axis for each searched layer.
        optimizer: Of the network.
        ending: How the search ends, or None while it goes on.

    Raises:
        InputError: `rates` names other layers than those that are searched.
    """
    layers = matching(model, rates)
    if ending is None:
        expand(model, rates)
        forget([layer.alpha for layer in layers.values()], optimizer)
    else:
        end_layers(layers, rates, ending, optimizer)


def set_branches(model: nn.Module, branches: Mapping[str, tuple[Rates, Sequence[Rates]]]) -> None:
    """Give each searched layer the branches that it had before an update: those that `merge` merges.

    Args:
        model: The network.
        branches: Centre and branches of each searched layer.

    Raises:
        InputError: `branches` names other layers than those that are searched.
    """
    layers: dict[str, BranchLayer] = matching(model, branches)
    for name, layer in layers.items():
        layer.dilation, rates = branches[name]
        layer.set_branches(rates)


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
    return Update(number=values["number"], call=values["call"], layers=layers)
