"""Result of the global search, its reason, and a table of the best structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from g2l.metrics.comparison import Comparison
from g2l.metrics.scores import metric_value
from g2l.search.budget import race_budget
from g2l.search.loop import GlobalSearchResult
from g2l.search.proposals.shapes import Proof, Row
from g2l.search.race import Race, RaceResult
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
        known = {name: value[name] for name in ("fitness", "standard_error", "seeds", "steps")}
        return cls(structure=structure_of(value["structure"]), **known)


def leaders_of(result: GlobalSearchResult, metric: str) -> tuple[tuple[Leader, ...], str]:
    """Return the best structures, best first, and in plain words why the winner is the winner.

    Those of the race of the leaders, which have scores under fresh seeds; without one, the best by the score
    that selected them.
    """
    if result.proof is not None:
        return _of_proof(result.proof), result.proof.reason
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


def _of_proof(proof: Proof) -> tuple[Leader, ...]:
    rows = sorted(proof.rows, key=lambda row: -row.difference)
    return tuple(
        Leader(
            structure=row.structure,
            fitness=row.fitness,
            standard_error=None,
            seeds=row.blocks,
            steps=row.steps,
        )
        for row in rows
    )


def shape_columns(proof: Proof, topology: LayerTopology) -> dict[str, list[Any]]:
    """Return the table of a search of shapes: every structure, the cheapest first."""
    rows = sorted(proof.rows, key=lambda row: row.cost)
    reports = [topology.report(row.structure) for row in rows]
    names = (
        "name",
        "cost",
        "multiply_adds",
        "epochs",
        "rising",
        "fitness",
        "difference",
        "low",
        "high",
        "latency",
    )
    return {
        "structure": [row.structure.key for row in rows],
        **{name: [getattr(row, name) for row in rows] for name in (*names, "blocks", "shown", "latency")},
        "front": [row in proof.front for row in rows],
        **{name: [report[name] for report in reports] for name in reports[0]},
    }


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
    if race.difference is None:
        return "It is the only one that could be trained under fresh seeds."
    error = "unknown" if race.standard_error is None else f"{race.standard_error:.1f}"
    if race.winner.structure != result.hand_designed.structure:
        return (
            f"Under fresh seeds it is {race.difference:.1f} points above the hand-designed structure "
            f"(standard error {error}): more than noise."
        )
    if race.difference > 0:
        return (
            f"The best leader is {race.difference:.1f} points above the hand-designed structure under "
            f"fresh seeds (standard error {error}): no more than noise, and ties go to the hand-designed one."
        )
    return "No leader is above the hand-designed structure under fresh seeds."


def race_columns(
    results: Sequence[RaceResult], hand_designed: DilationStructure, topology: LayerTopology
) -> dict[str, list[Any]]:
    """Return the table of a race, best first."""
    reports = [topology.report(one.structure) for one in results]
    return {
        "rank": list(range(1, len(results) + 1)),
        "structure": [one.structure.key for one in results],
        "hand_designed": [one.structure == hand_designed for one in results],
        **{name: [report[name] for report in reports] for name in reports[0]},
        "mean": [None if one.failed else one.mean for one in results],
        "standard_error": [one.standard_error for one in results],
        "seeds": [len(one.scores) for one in results],
    }


def structure_of(value: Sequence[Sequence[int]]) -> DilationStructure:
    """Return the structure that `DilationStructure.as_lists` gave."""
    return DilationStructure(tuple(map(tuple, value)))


@dataclass(frozen=True, kw_only=True)
class GlobalSearchOutcome:
    """Result of a global search.

    Attributes:
        structure: The winner.
        epochs: How long to train it, or None for as long as the recipe says.
        hand_designed: The 2^l structure as it is in the space that was searched.
        fitness: Its hold-out fitness after the candidates' budget, in percent.
        hand_designed_fitness: That of the 2^l structure by the same budget and seed.
        evaluations: Trainings of candidates, in this run or, where they were shared, in another.
        steps: Optimiser steps of all of them.
        final_steps: Optimiser steps of the final comparison.
        full_steps: Optimiser steps of one full training.
        seconds: Time that training the candidates took.
        proxy_steps: Optimiser steps of one candidate.
        frame_rate: Frames per second as the network sees them, or None.
        leaders: The best structures, best first.
        shapes: What is known of every shape, the cheapest first; empty for a search of rates.
        reason: Why the winner is the winner, in plain words.
        differences: Winner minus hand-designed after full trainings, on test, by metric; empty where they
            are the same structure, or no comparison was asked for.
        run_id: Identifier of the run.
    """

    structure: DilationStructure
    epochs: int | None = None
    hand_designed: DilationStructure
    fitness: float
    hand_designed_fitness: float
    evaluations: int
    steps: int
    final_steps: int
    full_steps: int
    seconds: float
    proxy_steps: int
    frame_rate: float | None = None
    leaders: tuple[Leader, ...]
    shapes: tuple[Row, ...] = ()
    reason: str
    differences: Mapping[str, Comparison]
    run_id: str

    @property
    def training_equivalents(self) -> float:
        """Cost of the search in full trainings, its final comparison included."""
        return (self.steps + self.final_steps) / self.full_steps

    @classmethod
    def from_result(cls, result: Mapping[str, Any], run_id: str) -> Self:
        """Return the outcome of a stage from what it wrote as its result.

        Args:
            result: The JSON values of `result.json`.
            run_id: Identifier of the run.
        """
        parsed = {
            "structure": structure_of(result["structure"]),
            "hand_designed": structure_of(result["hand_designed"]),
            "epochs": result.get("epochs"),  # 0.1.0 kept none
            "leaders": tuple(map(Leader.from_dict, result["leaders"])),
            "shapes": tuple(
                Row(**{**row, "structure": structure_of(row["structure"])})
                for row in result.get("shapes", ())
            ),
            "differences": {name: Comparison.from_dict(one) for name, one in result["differences"].items()},
        }
        names = {each.name for each in fields(cls)}
        plain = {name: value for name, value in result.items() if name in names}
        return cls(**{**plain, **parsed, "run_id": run_id})
