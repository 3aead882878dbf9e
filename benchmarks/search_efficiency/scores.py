"""The records of experiment A as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks.search_efficiency.records import Record
from benchmarks.search_efficiency.statistics import Numbers
from benchmarks.search_efficiency.training import RAW


@dataclass(frozen=True)
class ScoreTable:
    """All scores of the benchmark structures of one problem.

    Attributes:
        structures: Their keys.
        seeds: Of the trainings.
        values: Scores (seeds, structures) by step, weights, part and signal.
    """

    structures: tuple[str, ...]
    seeds: tuple[int, ...]
    values: dict[tuple[int, str, str, str], Numbers]

    @property
    def steps(self) -> tuple[int, ...]:
        """When the hold-out was scored, ascending."""
        return tuple(sorted({step for step, _, part, _ in self.values if part == "holdout"}))

    @property
    def weights(self) -> tuple[str, ...]:
        """Which weights were scored, `raw` first."""
        return tuple(
            sorted({weights for _, weights, _, _ in self.values}, key=lambda name: (name != "raw", name))
        )

    def final(self, part: str, weights: str = RAW, signal: str = "f1") -> Numbers:
        """Return the scores of the full trainings, (seeds, structures)."""
        return self.values[self.steps[-1], weights, part, signal]


def score_table(records: Iterable[Record]) -> ScoreTable:
    """Return the scores of all structures that were trained under every seed.

    Args:
        records: Of one problem.
    """
    by_training = {(_key(record), int(record["seed"])): record["scores"] for record in records}
    seeds = tuple(sorted({seed for _, seed in by_training}))
    names = dict.fromkeys(name for name, _ in by_training)
    structures = tuple(name for name in names if all((name, seed) in by_training for seed in seeds))
    missing = np.full((len(seeds), len(structures)), np.nan)
    values: dict[tuple[int, str, str, str], Numbers] = {}
    for row, seed in enumerate(seeds):
        for column, name in enumerate(structures):
            for score in by_training[name, seed]:
                for signal, value in score["values"].items():
                    index = (score["step"], score["weights"], score["part"], signal)
                    values.setdefault(index, missing.copy())[row, column] = value
    return ScoreTable(structures, seeds, values)


def _key(record: Record) -> str:
    return "/".join(",".join(map(str, stage)) for stage in record["structure"])
