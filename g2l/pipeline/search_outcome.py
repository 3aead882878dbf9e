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
from g2l.structure import DilationStructure, LayerTopology

SHOWN = 5


@dataclass(frozen=True)
class Leader:
    """One of the best structures.

    `fitness` is the mean of so many `seeds` hold-out scores in points, None where it could not be trained;
    its standard error is None of a single seed. `steps` are those of the optimiser in each training.
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
        known = {one.name: value[one.name] for one in fields(cls)}
        return cls(**known | {"structure": DilationStructure(value["structure"])})


def leaders_of(result: GlobalSearchResult, metric: str) -> tuple[Leader, ...]:
    """Return the best structures, best first.

    Those of the race of the leaders, which have scores under fresh seeds; without one, the best by the score
    that selected them.
    """
    if result.proof is not None:
        rows = sorted(result.proof.rows, key=lambda row: -row.difference)
        return tuple(Leader(row.structure, row.fitness, None, row.blocks, row.steps) for row in rows)
    if result.race is not None:
        return race_leaders(result)
    return tuple(
        Leader(
            structure=one.structure,
            fitness=metric_value(one.metrics, metric) if one.metrics else None,
            standard_error=None,
            seeds=1,
            steps=one.budget.amount,
        )
        for one in result.population[:SHOWN]
    )


def race_leaders(result: GlobalSearchResult) -> tuple[Leader, ...]:
    """Return those of the race, best first; none without a race."""
    steps = race_budget(result.proxy, result.full_steps)
    return tuple(
        Leader(
            structure=one.structure,
            fitness=None if one.failed else one.mean,
            standard_error=one.standard_error,
            seeds=len(one.scores),
            steps=steps,
        )
        for one in (() if result.race is None else result.race.results)
    )


def reason_of(result: GlobalSearchResult) -> str:
    """Return in plain words why the winner is the winner."""
    race = result.race
    if result.proof is not None:
        return result.proof.reason
    if race is None:
        best = "It has the best score, under one seed; a difference of a point or two is noise."
        return result.verdict or best
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


def shape_columns(proof: Proof, topology: LayerTopology) -> dict[str, list[Any]]:
    """Return the table of a search of shapes: every structure, the cheapest first."""
    rows = sorted(proof.rows, key=lambda row: row.cost)
    reports = [topology.report(row.structure) for row in rows]
    names = [
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
        "blocks",
        "shown",
    ]
    return {
        "structure": [row.structure.key for row in rows],
        **{name: [getattr(row, name) for row in rows] for name in names},
        "front": [row in proof.front for row in rows],
        **{name: [report[name] for report in reports] for name in reports[0]},
    }


def race_columns(
    leaders: Sequence[Leader], hand_designed: DilationStructure, topology: LayerTopology
) -> dict[str, list[Any]]:
    """Return the table of a race, best first."""
    reports = [topology.report(one.structure) for one in leaders]
    return {
        "rank": list(range(1, len(leaders) + 1)),
        "structure": [one.structure.key for one in leaders],
        "hand_designed": [one.structure == hand_designed for one in leaders],
        **{name: [report[name] for report in reports] for name in reports[0]},
        "mean": [one.fitness for one in leaders],
        "standard_error": [one.standard_error for one in leaders],
        "seeds": [one.seeds for one in leaders],
    }


@dataclass(frozen=True, kw_only=True)
class GlobalSearchOutcome:
    """Result of a global search.

    Attributes:
        structure: The winner.
        epochs: How long to train it, or None for as long as the recipe says.
        hand_designed: The 2^l structure as it is in the space that was searched.
        fitness: Hold-out fitness of the winner after the candidates' budget, in percent.
        hand_designed_fitness: That of the 2^l structure by the same budget and seed.
        evaluations: Trainings of candidates, in this run or, where they were shared, in another.
        steps: Optimiser steps of all of them; then those of the final comparison, of one full training and
            of one candidate.
        seconds: Time that training the candidates took.
        frame_rate: Frames per second as the network sees them, or None.
        leaders: The best structures, best first.
        shapes: What is known of every shape, the cheapest first; empty for a search of rates.
        differences: Winner minus hand-designed after full trainings, on test, by metric; empty where they
            are the same structure, or no comparison was asked for.
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
        """Return the outcome of a stage from its `result.json`."""
        parsed = {
            "structure": DilationStructure(result["structure"]),
            "hand_designed": DilationStructure(result["hand_designed"]),
            "epochs": result.get("epochs"),  # 0.1.0 kept none
            "leaders": tuple(map(Leader.from_dict, result["leaders"])),
            "shapes": tuple(
                Row(**{**row, "structure": DilationStructure(row["structure"])})
                for row in result.get("shapes", ())
            ),
            "differences": {name: Comparison.from_dict(one) for name, one in result["differences"].items()},
        }
        names = {each.name for each in fields(cls)}
        plain = {name: value for name, value in result.items() if name in names}
        return cls(**{**plain, **parsed, "run_id": run_id})
