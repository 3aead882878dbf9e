"""What the global search found, as the stage returns it and as `result.json` holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from g2l.metrics.comparison import Comparison
from g2l.pipeline.standings import Leader
from g2l.structure import DilationStructure


@dataclass(frozen=True, kw_only=True)
class GlobalSearchOutcome:
    """What the global search found.

    Attributes:
        structure: The winner.
        hand_designed: The 2^l structure as it is in the space that was searched.
        fitness: Its hold-out fitness after the candidates' budget, in percent.
        hand_designed_fitness: That of the 2^l structure by the same budget and seed.
        evaluations: Trainings of candidates, in this run or, where they were shared, in another.
        steps: Optimiser steps of all of them.
        final_steps: Optimiser steps of the final comparison.
        full_steps: Optimiser steps of one full training.
        seconds: Time that training the candidates took.
        proxy_steps: Optimiser steps of one candidate.
        leaders: The best structures, best first.
        reason: Why the winner is the winner, in plain words.
        differences: Winner minus hand-designed after full trainings, on test, by metric; empty where they
            are the same structure, or no comparison was asked for.
        run_id: The tracked run, or None.
    """

    structure: DilationStructure
    hand_designed: DilationStructure
    fitness: float
    hand_designed_fitness: float
    evaluations: int
    steps: int
    final_steps: int
    full_steps: int
    seconds: float
    proxy_steps: int
    leaders: tuple[Leader, ...]
    reason: str
    differences: Mapping[str, Comparison]
    run_id: str | None = None

    @property
    def training_equivalents(self) -> float:
        """What the search cost in full trainings, its final comparison included."""
        return (self.steps + self.final_steps) / self.full_steps

    @classmethod
    def from_result(cls, structure: DilationStructure, found: Mapping[str, Any], run_id: str | None) -> Self:
        """Return the outcome of a stage from what it wrote as its result.

        Args:
            structure: The winner.
            found: The JSON values of `result.json`.
            run_id: The tracked run, or None.
        """
        parsed = {
            "hand_designed": DilationStructure(tuple(map(tuple, found["hand_designed"]))),
            "leaders": tuple(map(Leader.from_dict, found["leaders"])),
            "differences": {name: Comparison.from_dict(one) for name, one in found["differences"].items()},
        }
        known = {name: found[name] for name in cls.__dataclass_fields__ if name in found}
        return cls(**{**known, **parsed, "structure": structure, "run_id": run_id})
