"""What a search will cost, told before it starts (RF-Next users ask for it)."""

from __future__ import annotations

from dataclasses import dataclass

from g2l.errors import InputError
from g2l.search.budget import proxy_steps
from g2l.search.noise_control import allowed_steps, race_steps
from g2l.search.space import SearchSpace
from g2l.search_config import CandidateCheckpoints, GlobalSearchConfig, Strategy

CHECKPOINT_SIZE = 3
"""Size of such a checkpoint in networks: weights and two moments of Adam."""


FINAL_COMPARISON = "final comparison"
"""The part that follows the search: whole trainings of the winner and of the hand-designed structure."""


@dataclass(frozen=True, kw_only=True)
class SearchCost:
    """One estimate of a search.

    Attributes:
        evaluations: Candidates trained.
        steps: Optimiser steps of each part: `search`, `race`, and the final comparison.
        full_steps: Optimiser steps of one full training.
        seconds: Wall-clock time, or None when the time of a step is not known.
        bytes: Disk that checkpoints take while it runs, or None when the size of one is not known.
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
    """What a search is expected to cost, and what it can cost at most.

    Attributes:
        expected: As many mutants as their chance says, no duplicates, no newcomers.
        maximal: As many candidates as can be: every child spawns a mutant, all but the
            leader are replaced in every generation.
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
        InputError: The settings are out of range, or leave nothing to search with.
    """
    config.validate()
    if full_steps < 1:
        raise InputError(f"`full_steps` must be >= 1, but is {full_steps} instead.")
    proxy = proxy_steps(config, full_steps)
    allowed_steps(config, proxy, full_steps)

    def cost(candidates: int) -> SearchCost:
        steps = _parts(config, min(space.size, candidates), proxy, full_steps)
        evaluations = _evaluations(config, steps, proxy)
        return SearchCost(
            evaluations=evaluations,
            steps=steps,
            full_steps=full_steps,
            seconds=None
            if seconds_per_step is None
            else sum(steps.values()) * seconds_per_step / config.workers,
            bytes=None
            if bytes_per_checkpoint is None
            else _networks_on_disk(config, evaluations) * bytes_per_checkpoint,
        )

    return CostPlan(expected=cost(expected_evaluations(config)), maximal=cost(maximal_evaluations(config)))


def expected_evaluations(config: GlobalSearchConfig) -> int:
    """Return the number of candidates of the genetic search when no duplicate and no newcomer occurs."""
    offspring = round(config.generations * _children(config) * (1 + config.mutation_probability))
    return config.population + offspring


def maximal_evaluations(config: GlobalSearchConfig) -> int:
    """Return the largest possible number of candidates of the genetic search."""
    mutants = _children(config) if config.mutation_probability > 0 else 0
    newcomers = max(0, config.generations - 1) * (config.population - 1)
    return config.population + config.generations * (_children(config) + mutants) + newcomers


def _parts(config: GlobalSearchConfig, candidates: int, proxy: int, full_steps: int) -> dict[str, int]:
    """Return the steps of each part; a limit in trainings makes the search take what the others leave."""
    race = race_steps(config, proxy, full_steps)
    final = 2 * config.final_seeds * full_steps
    search = candidates * proxy
    if config.trainings is not None:
        search = max(0, int(config.trainings * full_steps) - race - final)
    parts = {"search": search, "race": race, FINAL_COMPARISON: final}
    return {name: steps for name, steps in parts.items() if steps}


def _evaluations(config: GlobalSearchConfig, steps: dict[str, int], proxy: int) -> int:
    race = steps.get("race", 0) // max(1, 2 * proxy)
    return steps.get("search", 0) // proxy + race


def _children(config: GlobalSearchConfig) -> int:
    """Children come in pairs."""
    return config.population + config.population % 2


def _networks_on_disk(config: GlobalSearchConfig, evaluations: int) -> int:
    kept = {
        CandidateCheckpoints.ALL: evaluations,
        CandidateCheckpoints.ELITE: min(config.population, evaluations),
        CandidateCheckpoints.NONE: 0,
    }
    continued = config.strategy is Strategy.ONE_SHOT
    return kept[config.candidate_checkpoints] + CHECKPOINT_SIZE * evaluations * continued
