"""What a search with two objectives found: fitness against cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from g2l.search import pareto
from g2l.search.population import Candidate, Origin
from g2l.structure import DilationStructure, LayerTopology


@dataclass(frozen=True, kw_only=True)
class TradeoffRow:
    """One structure of the table.

    Attributes:
        structure: Its rates.
        fitness: In points; higher is better.
        cost: The second objective; lower is better.
        on_front: Whether no other structure is at least as good in both and better in one.
        hand_designed: Whether it is the 2^l structure.
    """

    structure: DilationStructure
    fitness: float
    cost: float
    on_front: bool
    hand_designed: bool

    def as_dict(self, topology: LayerTopology) -> dict[str, Any]:
        """Return the row as JSON values."""
        return {
            "structure": self.structure.key,
            **topology.report(self.structure),
            "fitness": self.fitness,
            "cost": self.cost,
            "on_front": self.on_front,
            "hand_designed": self.hand_designed,
        }


def tradeoff(candidates: Iterable[Candidate]) -> tuple[TradeoffRow, ...]:
    """Return a row for each candidate that did not fail, the cheapest first, of equal cost the fittest first.

    Args:
        candidates: Trained alike (same budget), each structure once.
    """
    ran = [candidate for candidate in candidates if not candidate.failed]
    ran.sort(key=lambda candidate: (candidate.cost, -candidate.fitness, candidate.order))
    values = np.array([(-candidate.fitness, candidate.cost) for candidate in ran]).reshape(-1, 2)
    return tuple(
        TradeoffRow(
            structure=candidate.structure,
            fitness=candidate.fitness,
            cost=candidate.cost,
            on_front=bool(front == 0),
            hand_designed=candidate.origin is Origin.HAND_DESIGNED,
        )
        for candidate, front in zip(ran, pareto.fronts(values), strict=True)
    )
