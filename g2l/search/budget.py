"""Optimiser steps: what a candidate takes, what a search has spent, what it may spend, what it will cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from g2l.config import CandidateCheckpoints, GlobalSearchConfig, ProxyChoice, Strategy
from g2l.errors import InputError
from g2l.evaluation import EvaluationTask
from g2l.search.space import SearchSpace

FINAL_COMPARISON = "final comparison"
"""Part of the cost that follows the search: full trainings of the winner and the hand-designed structure."""
ROUNDS = 3
"""Fresh seeds of a race; a fourth would cost more than the differences that it could still show are worth."""


class StepBudget:
    """Counts optimiser steps; a training that continues a shorter one is charged for the rest only.

    A charge does not depend on what other runs have left in the store: a budget buys the same search
    everywhere. `steps_of` returns the steps of a task that is trained from the start. `spent` is what was
    charged, `completed` that of known results, `trained` that of what was trained now.
    """

    def __init__(self, steps_of: Callable[[EvaluationTask], int]) -> None:
        self.steps_of = steps_of
        self._charged: dict[EvaluationTask, int] = {}
        self.spent = 0
        self.completed = 0
        self.trained = 0

    def cost(self, task: EvaluationTask) -> int:
        """Return the steps that `task` costs on top of those charged so far."""
        shorter = [
            self.steps_of(one)
            for one in self._charged
            if replace(one, budget=task.budget) == task and one.budget.unit == task.budget.unit
        ]
        return max(0, self.steps_of(task) - max(shorter, default=0))

    def charge(self, task: EvaluationTask) -> int:
        """Count the cost of `task` as spent and return it."""
        cost = self.cost(task)
        self._charged[task] = self._charged.get(task, 0) + cost
        self.spent += cost
        return cost

    def charged(self, task: EvaluationTask) -> int:
        """Return what `task` was charged."""
        return self._charged[task]

    def complete(self, task: EvaluationTask, *, trained: bool) -> None:
        """Count the charge of `task` as completed, and as trained if it was not replayed or stored."""
        steps = self._charged[task]
        self.completed += steps
        self.trained += steps if trained else 0


def task_steps(task: EvaluationTask) -> int:
    """Return the optimiser steps of a task whose budget is in steps."""
    return task.budget.amount * len(task.holdouts)


def proxy_steps(config: GlobalSearchConfig, full_steps: int | None) -> int:
    """Return the optimiser steps of one candidate; `third` is refused where a full training is unknown.

    A third of a full training: in `benchmarks/search_efficiency` one score after it has a rank correlation of
    0.80 to 0.92 with the result under other seeds, on four data sets; after a tenth −0.36 to 0.70.
    """
    if config.proxy is not ProxyChoice.THIRD:
        return config.budget.amount
    if full_steps is None:
        raise InputError("`proxy` can only be third where the length of a full training is known.")
    return -(-full_steps // 3)


def allowed_steps(config: GlobalSearchConfig, proxy: int, full_steps: int | None) -> int | None:
    """Return the steps that a search of rates may spend before its race; None without a limit."""
    if config.trainings is None:
        return None
    if full_steps is None:
        raise InputError("`trainings` can only be set where the length of a full training is known.")
    allowed = int(config.trainings * full_steps) - race_steps(config, proxy, full_steps)
    if allowed < 2 * proxy * config.holdouts:
        raise InputError(
            f"the budget of the search must pay for two candidates of {proxy * config.holdouts} steps beside "
            f"the race, but is {config.trainings:g} trainings of {full_steps} steps instead.",
            hint="raise --budget (24 suits --space rates), shorten the candidates' training, or use fewer "
            "leaders.",
        )
    return allowed


def race_steps(config: GlobalSearchConfig, proxy: int, full_steps: int | None) -> int:
    """Return the most optimiser steps that a race takes, 0 where there is none."""
    return (config.leaders + 1) * ROUNDS * race_budget(proxy, full_steps) if config.leaders else 0


def race_budget(proxy: int, full_steps: int | None) -> int:
    """Return the steps of one training of the race: twice the proxy's, at most half of a full training."""
    return 2 * proxy if full_steps is None else min(2 * proxy, max(proxy, full_steps // 2))


@dataclass(frozen=True, kw_only=True)
class SearchCost:
    """One estimate of a search: candidates trained, and optimiser steps of its parts and of a full training.

    `seconds` of wall-clock time and `bytes` of kept weights are None where they cannot be known.
    """

    evaluations: int
    steps: dict[str, int]
    full_steps: int
    seconds: float | None
    bytes: int | None

    def followed_by(self, parts: Mapping[str, int], *, workers: int) -> SearchCost:
        """Return the cost with trainings one after the other, by name, after those of so many workers."""
        seconds = self.seconds
        if seconds is not None:
            seconds += sum(parts.values()) * seconds * workers / self.total_steps
        return replace(self, steps={**self.steps, **parts}, seconds=seconds)

    @property
    def total_steps(self) -> int:
        """Optimiser steps of all parts."""
        return sum(self.steps.values())

    @property
    def training_equivalents(self) -> float:
        """The same in full trainings."""
        return self.total_steps / self.full_steps


@dataclass(frozen=True, kw_only=True)
class CostPlan:
    """Estimates of a search before it starts.

    `expected` has the expected number of mutants and no duplicates or newcomers; in `maximal` every child has
    a mutant, and all but the leader are replaced in every generation. `power` is a sentence about the
    differences that the search can show; None where that is not known.
    """

    expected: SearchCost
    maximal: SearchCost
    power: str | None = None


def plan_search(
    config: GlobalSearchConfig,
    space: SearchSpace,
    *,
    full_steps: int,
    seconds_per_step: float | None = None,
    bytes_per_checkpoint: int | None = None,
) -> CostPlan:
    """Return the cost of a search of rates with these settings, and of the comparison that follows.

    Args:
        config: Settings of the search, its budget in steps.
        space: No more structures are evaluated than it holds.
        full_steps: Optimiser steps of one final training, >= 1.
        seconds_per_step: Measured time of one optimiser step of one candidate, or None.
        bytes_per_checkpoint: Size of one candidate's weights, or None.

    Raises:
        InputError: The settings are out of range, or leave too little for a search.
    """
    config.validate()
    if full_steps < 1:
        raise InputError(f"`full_steps` must be >= 1, but is {full_steps} instead.")
    proxy = proxy_steps(config, full_steps)
    allowed = allowed_steps(config, proxy, full_steps)
    race = race_steps(config, proxy, full_steps)

    def cost(candidates: int) -> SearchCost:
        each = proxy * config.holdouts
        if config.strategy is Strategy.RANDOM and allowed is not None:
            candidates = allowed // each  # it samples until the budget ends
        search = min(space.size, candidates) * each
        if allowed is not None:
            search = min(search, allowed)
        parts = {"search": search, "race": race, FINAL_COMPARISON: 2 * config.final_seeds * full_steps}
        steps = {name: part for name, part in parts.items() if part}
        evaluations = search // each + race // max(1, 2 * proxy)
        kept = {
            CandidateCheckpoints.ALL: evaluations,
            CandidateCheckpoints.ELITE: min(config.population, evaluations),
            CandidateCheckpoints.NONE: 0,
        }[config.candidate_checkpoints]
        return SearchCost(
            evaluations=evaluations,
            steps=steps,
            full_steps=full_steps,
            seconds=seconds_per_step and sum(steps.values()) * seconds_per_step / config.workers,
            bytes=bytes_per_checkpoint and kept * bytes_per_checkpoint,
        )

    return CostPlan(expected=cost(expected_evaluations(config)), maximal=cost(maximal_evaluations(config)))


def expected_evaluations(config: GlobalSearchConfig) -> int:
    """Return the number of candidates of the genetic search without duplicates and newcomers."""
    offspring = round(config.generations * _children(config) * (1 + config.mutation_probability))
    return config.population + offspring


def maximal_evaluations(config: GlobalSearchConfig) -> int:
    """Return the largest possible number of candidates of the genetic search."""
    mutants = _children(config) if config.mutation_probability > 0 else 0
    newcomers = max(0, config.generations - 1) * (config.population - 1)
    return config.population + config.generations * (_children(config) + mutants) + newcomers


def _children(config: GlobalSearchConfig) -> int:
    """Return the children of a generation, which come in pairs."""
    return config.population + config.population % 2
