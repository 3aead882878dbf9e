"""When the rates of a network move: estimate and expand at intervals, then end (G2L, section 3.3).

Deviations from the released code: the last update ends the search, with one rate per layer unless another
ending is chosen; Adam's moments of α are reset with α; the interval may be given in steps.

As published, most of the movement happens before the network has learnt anything, a rate of 1 rarely comes
back once it has moved, the largest rates drift down, and rates in between walk at random. With `evidence`
the search starts after a warm-up with one branch, takes steps in log-rate from ρ = 0.5 down to the ρ given,
and moves a rate only where the pull between its outermost branches, averaged over the interval, is more
than two standard errors from zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean, stdev
from typing import Any

import torch
from torch import nn

from g2l.errors import InputError
from g2l.receptive_field.branches import BranchLayer, Estimate, estimate, matching, searched_layers
from g2l.receptive_field.endings import end_layers, forget
from g2l.receptive_field.rates import Rates
from g2l.structure import Ending

FIRST_EXPANSION = 0.5
"""ρ of the first update with `evidence` (RF-Next, section 4)."""
STANDARD_ERRORS = 2.0
"""How far from zero the mean pull of an interval must be to move a rate."""

Limit = Callable[[Sequence[Rates]], Sequence[Rates]]
"""Lowers the rates of an update, given in the order of the network, where they see too far."""


@dataclass(frozen=True, kw_only=True)
class Update:
    """One estimate of all rates.

    Attributes:
        number: 1-based; the last one of a schedule ends it.
        call: Calls of `step` so far.
        layers: Estimate of each layer by name; `rates` are those that the layer moved to.
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
        evidence: Whether rates move only for a reason; `observe` is then called after every optimizer step.
        warm_up: Calls of `step` before the search starts, with one branch per layer.
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
        evidence: bool = False,
        warm_up: int = 0,
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
        self.evidence, self.warm_up = evidence, warm_up
        self._model, self._optimizer, self._limit = model, optimizer, limit
        self._calls = 0
        self._pulls: list[list[float]] = []  # (optimizer steps of this interval, layers)
        searched = searched_layers(model).values()
        self._expansion_rate = min(layer.branches.expansion.expansion_rate for layer in searched)
        for layer in searched:
            if evidence:
                self._set_expansion(layer)
                layer.expand(layer.dilation)
            if warm_up:
                layer.set_branches((layer.dilation,))

    @property
    def finished(self) -> bool:
        """Whether the last update has been made."""
        return len(self.history) >= self.updates

    def step(self, **position: int) -> Update | None:
        """Call after every epoch or iteration; return what was updated at the end of an interval.

        `position`, such as `epoch=3`, is recorded with the update.
        """
        self._calls += 1
        searched = self._calls - self.warm_up
        if searched == 0 and not self.finished:
            self._start()
        if self.finished or searched <= 0 or searched % self.interval:
            return None
        layers = estimate(self._model)
        if self.evidence:
            layers = {
                name: found if found.rates != found.centre and moves else replace(found, rates=found.centre)
                for (name, found), moves in zip(layers.items(), self._significant(layers), strict=True)
            }
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

    def observe(self) -> None:
        """Call after every optimizer step of a search with `evidence`, before gradients are reset.

        The pull of a step is the difference of the gradients of the last and the first mixing weight: how
        much the loss of this batch falls per weight that moves from the shortest to the longest branch.
        """
        if not self.evidence or self.finished or self._calls < self.warm_up:
            return
        layers = list(searched_layers(self._model).values())
        alphas = torch.stack([layer.alpha.detach() for layer in layers])
        slopes = torch.stack(
            [torch.zeros_like(one.alpha) if one.alpha.grad is None else one.alpha.grad for one in layers]
        )
        # dL/dw_i − dL/dw_j = Σ|α| · (dL/d|α_i| − dL/d|α_j|), whatever the weights are
        used = [len(layer.branches.rates) for layer in layers]
        rows = (slopes * torch.where(alphas < 0, -1.0, 1.0)).tolist()
        sizes = alphas.abs().tolist()
        self._pulls.append(
            [
                sum(size[:count]) * (row[0] - row[count - 1])
                for row, size, count in zip(rows, sizes, used, strict=True)
            ]
        )

    def _significant(self, layers: Mapping[str, Estimate]) -> list[bool]:
        """Return, for each layer, whether its pull is beyond noise and towards where its weights moved."""
        pulls, self._pulls = self._pulls, []
        if len(pulls) < 2:
            return [False] * len(layers)
        found = []
        for estimated, series in zip(layers.values(), zip(*pulls, strict=True), strict=True):
            error = stdev(series) / math.sqrt(len(series))
            upwards = sum(estimated.rates) > sum(estimated.centre)
            found.append((fmean(series) if upwards else -fmean(series)) > STANDARD_ERRORS * error)
        return found

    def _set_expansion(self, layer: BranchLayer) -> None:
        """Set the branches' distance for the next update: ρ shrinks by a constant factor."""
        last = self._expansion_rate
        shrunk = len(self.history) / max(self.updates - 1, 1)
        first = max(FIRST_EXPANSION, last)
        layer.branches.expansion = replace(
            layer.branches.expansion,
            expansion_rate=first * (last / first) ** min(shrunk, 1.0),
            logarithmic=True,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return plain values: the calls, all updates, and what was observed since the last one."""
        pulls = {"pulls": self._pulls} if self._pulls else {}
        return {"calls": self._calls, "history": [asdict(update) for update in self.history], **pulls}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue another schedule; call before the states of network and optimizer are loaded.

        A freshly converted network and its optimizer get the shape that they had then, ended if it was.
        """
        self._calls = saved["calls"]
        self.history = [
            Update(
                **values | {"layers": {name: Estimate(**layer) for name, layer in values["layers"].items()}}
            )
            for values in saved["history"]
        ]
        self._pulls = [list(row) for row in saved.get("pulls", [])]
        if not self.history and self._calls >= self.warm_up > 0:
            self._start()
        if self.history:
            last = self.history[-1].layers
            for name, layer in matching(self._model, last).items():
                # Those before the update: `merge` merges them.
                layer.dilation = last[name].centre
                layer.set_branches(last[name].branches)
            self._move(self.history[-1].rates)

    def _start(self) -> None:
        self._move({name: layer.dilation for name, layer in searched_layers(self._model).items()})

    def _move(self, rates: Mapping[str, Rates]) -> None:
        """Set branches around new rates and reset the optimizer's moments of α, or end the search there."""
        layers = matching(self._model, rates)
        for layer in layers.values() if self.evidence else ():
            self._set_expansion(layer)
        if self.finished:
            end_layers(layers, rates, self.ending, self._optimizer)
            return
        for name, layer in layers.items():
            layer.expand(rates[name])
        forget([layer.alpha for layer in layers.values()], self._optimizer)
