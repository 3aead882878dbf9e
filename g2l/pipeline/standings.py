"""The best structures of a search as a person wants to see them, and why the winner is the winner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from g2l.metrics.scores import metric_value
from g2l.search.loop import GlobalSearchResult
from g2l.search.race import Race, race_budget
from g2l.structure import DilationStructure, LayerTopology

SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Leader:
    """One of the best structures.

    Attributes:
        structure: Its rates.
        fitness: Mean hold-out fitness in points, None where it could not be trained.
        standard_error: Of that mean, None of a single seed.
        seeds: Number of scores.
        steps: Optimiser steps of each training.
    """

    structure: DilationStructure
    fitness: float | None
    standard_error: float | None
    seeds: int
    steps: int

    def as_dict(self, topology: LayerTopology) -> dict[str, Any]:
        """Return the row as JSON values, with receptive field and look-ahead (`LayerTopology.report`)."""
        return asdict(self) | {"structure": self.structure.as_lists()} | topology.report(self.structure)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Return the row that `as_dict` wrote."""
        fields = {name: value[name] for name in ("fitness", "standard_error", "seeds", "steps")}
        return cls(structure=DilationStructure(tuple(map(tuple, value["structure"]))), **fields)


def leaders_of(result: GlobalSearchResult, metric: str) -> tuple[tuple[Leader, ...], str]:
    """Return the best structures, best first, and in plain words why the winner is the winner.

    Those of the race of the leaders, which have scores under fresh seeds; without one, the best by the score
    that selected them.
    """
    if result.race is not None:
        return _of_race(result, result.race), _reason(result.race, result)
    rows = [
        Leader(
            structure=evaluation.structure,
            fitness=metric_value(evaluation.metrics, metric) if evaluation.metrics else None,
            standard_error=None,
            seeds=1,
            steps=evaluation.budget.amount,
        )
        for evaluation in result.population[:SHOWN]
    ]
    best = "It has the best score, under one seed; a difference of a point or two is noise."
    return tuple(rows), result.verdict or best


def _of_race(result: GlobalSearchResult, race: Race) -> tuple[Leader, ...]:
    return tuple(
        Leader(
            structure=standing.structure,
            fitness=None if standing.failed else standing.mean,
            standard_error=standing.standard_error,
            seeds=len(standing.scores),
            steps=race_budget(result.proxy, result.full_steps),
        )
        for standing in race.results
    )


def _reason(race: Race, result: GlobalSearchResult) -> str:
    choice = race.choice
    if choice.difference is None:
        return "It is the only one that could be trained under fresh seeds."
    error = "unknown" if choice.standard_error is None else f"{choice.standard_error:.1f}"
    if choice.winner.structure != result.hand_designed.structure:
        return (
            f"Under fresh seeds it is {choice.difference:.1f} points above the hand-designed structure "
            f"(standard error {error}): more than noise."
        )
    if choice.tie:
        return (
            f"The best leader is {choice.difference:.1f} points above the hand-designed structure under "
            f"fresh seeds (standard error {error}): no more than noise, and ties go to the hand-designed one."
        )
    return "No leader is above the hand-designed structure under fresh seeds."
