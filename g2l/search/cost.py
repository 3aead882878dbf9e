"""What a search will cost, told before it starts (RF-Next users ask for it)."""

from __future__ import annotations

from dataclasses import dataclass

from g2l.config import CandidateCheckpoints, GlobalSearchConfig
from g2l.errors import InputError
from g2l.evaluation import Budget
from g2l.search.space import SearchSpace


@dataclass(frozen=True, kw_only=True)
class SearchCost:
    """One estimate of a search.

    Attributes:
        evaluations: Candidates trained.
        training: Epochs or steps of all of them together.
        training_equivalents: The same in full trainings.
        seconds: Wall-clock time, or None when the time of one evaluation is not known.
        bytes: Disk that the candidates' checkpoints take, or None when the size of one is not known.
    """

    evaluations: int
    training: Budget
    training_equivalents: float
    seconds: float | None
    bytes: int | None


@dataclass(frozen=True, kw_only=True)
class CostPlan:
    """What a search is expected to cost, and what it can cost at most.

    Attributes:
        expected: As many mutants as their chance says, no duplicates, no newcomers.
        maximal: Every child spawns a mutant; all but the leader are replaced in every generation.
    """

    expected: SearchCost
    maximal: SearchCost


def plan_search(
    config: GlobalSearchConfig,
    space: SearchSpace,
    *,
    full_training: Budget,
    steps_per_epoch: int,
    seconds_per_evaluation: float | None = None,
    bytes_per_checkpoint: int | None = None,
) -> CostPlan:
    """Return the cost of `run_global_search` with these settings.

    Args:
        config: Settings of the search.
        space: Its space; no more structures are evaluated than it holds.
        full_training: Training of one final model.
        steps_per_epoch: Batches of one epoch, >= 1.
        seconds_per_evaluation: Measured time of one candidate, or None.
        bytes_per_checkpoint: Size of one candidate's weights, or None.

    Raises:
        InputError: The settings are out of range.
    """
    config.validate()
    if steps_per_epoch < 1:
        raise InputError(f"`steps_per_epoch` must be >= 1, but is {steps_per_epoch} instead.")
    share = _steps(config.budget, steps_per_epoch) / _steps(full_training, steps_per_epoch)

    def cost(evaluations: int) -> SearchCost:
        rounds = -(-evaluations // config.workers)
        kept = _kept(config, evaluations)
        return SearchCost(
            evaluations=evaluations,
            training=Budget(evaluations * config.budget.amount, config.budget.unit),
            training_equivalents=evaluations * share,
            seconds=None if seconds_per_evaluation is None else rounds * seconds_per_evaluation,
            bytes=None if bytes_per_checkpoint is None else kept * bytes_per_checkpoint,
        )

    expected, maximal = expected_evaluations(config), maximal_evaluations(config)
    return CostPlan(expected=cost(min(space.size, expected)), maximal=cost(min(space.size, maximal)))


def expected_evaluations(config: GlobalSearchConfig) -> int:
    """Return the number of candidates when no duplicate and no newcomer occurs."""
    offspring = round(config.generations * _children(config) * (1 + config.mutation_probability))
    return config.population + offspring


def maximal_evaluations(config: GlobalSearchConfig) -> int:
    """Return the largest possible number of candidates."""
    mutants = _children(config) if config.mutation_probability > 0 else 0
    newcomers = max(0, config.generations - 1) * (config.population - 1)
    return config.population + config.generations * (_children(config) + mutants) + newcomers


def _children(config: GlobalSearchConfig) -> int:
    """Children come in pairs."""
    return config.population + config.population % 2


def _kept(config: GlobalSearchConfig, evaluations: int) -> int:
    kept = {
        CandidateCheckpoints.ALL: evaluations,
        CandidateCheckpoints.ELITE: min(config.population, evaluations),
        CandidateCheckpoints.NONE: 0,
    }
    return kept[config.candidate_checkpoints]


def _steps(budget: Budget, steps_per_epoch: int) -> int:
    return budget.amount * (steps_per_epoch if budget.unit == "epochs" else 1)
