"""Optimiser steps: what a candidate takes, what a search has spent, what it may spend, what it will cost."""

from __future__ import annotations

from dataclasses import dataclass

from g2l.errors import InputError
from g2l.evaluation import EvaluationTask, TrainingSegment
from g2l.search.race import ROUNDS, race_budget
from g2l.search.space import SearchSpace
from g2l.search_config import CandidateCheckpoints, GlobalSearchConfig, ProxyChoice, Strategy

RUNGS = 3
"""Lengths of the trainings that verify the structures of a one-shot search."""
GROWTH = 2
"""Length of a rung over that of the one below."""
REDUCTION = 3
"""One of so many structures of a rung is promoted to the next one."""
SUPER_NETWORK_PROXIES = 3
"""Length of a super-network in proxies where that of a full training is unknown."""
CHECKPOINT_SIZE = 3
"""Size of a training checkpoint in networks: weights and two moments of Adam."""
FINAL_COMPARISON = "final comparison"
"""Part of the cost that follows the search: full trainings of the winner and the hand-designed structure."""

_Start = tuple[int, tuple[TrainingSegment, ...], object]
"""What a training shares with others up to some step: seed, segments before, rates."""


class StepBudget:
    """Counts optimiser steps; a training that continues an earlier one is charged for the rest only.

    A charge does not depend on what other runs have left in the store: a budget buys the same search
    everywhere.

    Attributes:
        spent: Steps charged so far.
        completed: Those whose result is known.
        trained: Those that were trained now.
    """

    def __init__(self) -> None:
        self._reached: dict[_Start, set[int]] = {}
        self._pending: dict[EvaluationTask, int] = {}
        self.spent = 0
        self.completed = 0
        self.trained = 0

    def cost(self, task: EvaluationTask) -> int:
        """Return the steps that `task`, with a budget in steps, costs on top of those charged so far."""
        segments = _segments(task)
        total = segments[-1][1]
        for start, until in reversed(segments):
            reached = [step for step in self._reached.get(start, ()) if step <= until]
            if reached:
                return total - max(reached)
        return total

    def charge(self, task: EvaluationTask) -> int:
        """Count the cost of `task` as spent and return it."""
        cost = self.cost(task)
        for start, until in _segments(task):
            self._reached.setdefault(start, set()).add(until)
        self.spent += cost
        self._pending[task] = self._pending.get(task, 0) + cost
        return cost

    def complete(self, task: EvaluationTask, *, trained: bool) -> None:
        """Count the charge of `task` as completed.

        Args:
            task: Charged before.
            trained: Whether it was trained now, not replayed or taken from another run.
        """
        steps = self._pending.pop(task, 0)
        self.completed += steps
        self.trained += steps if trained else 0


def _segments(task: EvaluationTask) -> list[tuple[_Start, int]]:
    """Return every segment of a training with what led to it, and the step at which it ends."""
    segments: list[tuple[_Start, int]] = []
    for number, segment in enumerate(task.history):
        rates = segment.rates if segment.structure is None else segment.structure
        segments.append(((task.seed, task.history[:number], rates), segment.until))
    last = task.history[-1].until if task.history else 0
    if task.budget.amount > last:
        segments.append(((task.seed, task.history, task.structure), task.budget.amount))
    return segments


def proxy_steps(config: GlobalSearchConfig, full_steps: int | None) -> int:
    """Return the optimiser steps of one candidate.

    A third of a full training: in `benchmarks/search_efficiency` one score after it has a rank correlation of
    0.80 to 0.92 with the result under other seeds, on four data sets; after a tenth −0.36 to 0.70.

    Raises:
        InputError: They depend on the length of a full training, which is unknown.
    """
    if config.proxy is not ProxyChoice.THIRD:
        return config.budget.amount
    if full_steps is None:
        raise InputError("`proxy` can only be third where the length of a full training is known.")
    return -(-full_steps // 3)


def rung_budgets(proxy: int, full_steps: int | None) -> tuple[int, ...]:
    """Return the budgets of the rungs in optimiser steps, ascending, none above a full training."""
    budgets = [proxy * GROWTH**rung for rung in range(RUNGS)]
    return tuple(budget for budget in budgets if full_steps is None or budget <= full_steps) or (proxy,)


def verification_steps(count: int, rungs: tuple[int, ...]) -> int:
    """Return the steps of the successive halving of `count` structures."""
    total, before = 0, 0
    for steps in rungs:
        total += count * (steps - before)
        count, before = count // REDUCTION, steps
    return total


def allowed_steps(config: GlobalSearchConfig, proxy: int, full_steps: int | None) -> int | None:
    """Return the steps that the strategy may spend, or None when there is no limit.

    Raises:
        InputError: The settings need the length of a full training, or leave too little for a search.
    """
    if config.trainings is None:
        return None
    if full_steps is None:
        raise InputError("`trainings` can only be set where the length of a full training is known.")
    rest = race_steps(config, proxy, full_steps) + 2 * config.final_seeds * full_steps
    allowed = int(config.trainings * full_steps) - rest
    if allowed < 2 * proxy:
        raise InputError(
            f"`trainings` must leave room for two candidates of {proxy} steps beside race and final "
            f"comparison, but is {config.trainings:g} trainings of {full_steps} steps instead.",
            hint="allow more trainings, shorten the candidates' budget, or use fewer final seeds.",
        )
    return allowed


def race_steps(config: GlobalSearchConfig, proxy: int, full_steps: int | None) -> int:
    """Return the most optimiser steps that a race takes, 0 where there is none."""
    return (config.leaders + 1) * ROUNDS * race_budget(proxy, full_steps) if config.leaders else 0


@dataclass(frozen=True, kw_only=True)
class SearchCost:
    """One estimate of a search.

    Attributes:
        evaluations: Candidates trained.
        steps: Optimiser steps of each part: `search`, `race`, and the final comparison.
        full_steps: Optimiser steps of one full training.
        seconds: Wall-clock time, or None when the time of a step is unknown.
        bytes: Disk space of checkpoints during the search, or None when the size of one is unknown.
    """

    evaluations: int
    steps: dict[str, int]
    full_steps: int
    seconds: float | None
    bytes: int | None

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

    Attributes:
        expected: The expected number of mutants, no duplicates, no newcomers.
        maximal: Every child spawns a mutant, all but the leader are replaced in every generation.
    """

    expected: SearchCost
    maximal: SearchCost


def plan_search(
    config: GlobalSearchConfig,
    space: SearchSpace,
    *,
    full_steps: int,
    seconds_per_step: float | None = None,
    bytes_per_checkpoint: int | None = None,
) -> CostPlan:
    """Return the cost of `run_global_search` with these settings, and of the comparison that follows.

    Args:
        config: Settings of the search, its budget in steps.
        space: Its space; no more structures are evaluated than it holds.
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
        one_shot = config.strategy is Strategy.ONE_SHOT
        search = min(space.size, candidates) * proxy
        if one_shot:
            verified = min(space.size, config.population)
            search = full_steps + verification_steps(verified, rung_budgets(proxy, full_steps))
        if allowed is not None:
            search = allowed
        parts = {"search": search, "race": race, FINAL_COMPARISON: 2 * config.final_seeds * full_steps}
        steps = {name: part for name, part in parts.items() if part}
        evaluations = search // proxy + race // max(1, 2 * proxy)
        kept = {
            CandidateCheckpoints.ALL: evaluations,
            CandidateCheckpoints.ELITE: min(config.population, evaluations),
            CandidateCheckpoints.NONE: 0,
        }[config.candidate_checkpoints]
        networks = kept + CHECKPOINT_SIZE * evaluations * one_shot
        seconds = (
            None if seconds_per_step is None else sum(steps.values()) * seconds_per_step / config.workers
        )
        return SearchCost(
            evaluations=evaluations,
            steps=steps,
            full_steps=full_steps,
            seconds=seconds,
            bytes=None if bytes_per_checkpoint is None else networks * bytes_per_checkpoint,
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
