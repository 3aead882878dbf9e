"""Candidates, their order, and the summary of a generation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, median
from typing import Any

from g2l.evaluation import Evaluation, EvaluationStatus
from g2l.metrics.scores import metric_value
from g2l.structure import DilationStructure

FAILED_FITNESS = -math.inf

FLOOR = 5.0
"""Points of fitness below which a network has learnt nothing: 50 steps of 18 real score channels give 13."""

SAME_SCORE = 1e-6
"""Points of spread below which scores are equal but for rounding."""


class Origin(StrEnum):
    """How a candidate was proposed."""

    HAND_DESIGNED = "hand-designed"
    RANDOM = "random"
    CROSSOVER = "crossover"
    MUTATION = "mutation"
    RACE = "race"
    SHAPE = "shape"


@dataclass(frozen=True)
class Proposal:
    """A structure to evaluate."""

    structure: DilationStructure
    origin: Origin


@dataclass(frozen=True)
class Candidate:
    """An evaluated structure.

    Attributes:
        evaluation: Its metrics.
        fitness: The number it is ranked by, in points; −inf when its evaluation failed.
        order: Position among all structures of the search in the order in which they were first proposed;
            0 is the hand-designed one. Independent of completion order.
        origin: How it was proposed.
    """

    evaluation: Evaluation
    fitness: float
    order: int
    origin: Origin

    @property
    def structure(self) -> DilationStructure:
        """The dilation rates."""
        return self.evaluation.structure

    @property
    def failed(self) -> bool:
        """Whether its evaluation failed."""
        return self.evaluation.status is EvaluationStatus.FAILED


def fitness_of(evaluation: Evaluation, metric: str) -> float:
    """Return the fitness of an evaluation.

    Deviation (METHOD, section 3, fix 4): one metric ranks, selects and filters; the released code ranks by
    F1@10 and selects by accuracy.
    """
    if evaluation.status is EvaluationStatus.FAILED:
        return FAILED_FITNESS
    return metric_value(evaluation.metrics, metric)


def ranked(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return distinct candidates, best first; ties go to the earlier one, so first to the hand-designed."""
    distinct = {candidate.order: candidate for candidate in candidates}
    return tuple(sorted(distinct.values(), key=lambda candidate: (-candidate.fitness, candidate.order)))


def diversity(structures: Sequence[DilationStructure]) -> float:
    """Return the mean share of genes in which two structures differ, over all pairs.

    It is 0 for fewer than two structures, and for structures of several shapes.
    """
    pairs = math.comb(len(structures), 2)
    if not pairs or len({structure.shape for structure in structures}) > 1:
        return 0.0
    genes = list(zip(*(structure.rates for structure in structures), strict=True))
    equal = sum(math.comb(count, 2) for gene in genes for count in Counter(gene).values())
    return 1.0 - equal / (pairs * len(genes))


@dataclass(frozen=True, kw_only=True)
class GenerationSummary:
    """One generation, after survival.

    Attributes:
        generation: 0 for the first population.
        best: Fitness of the leader, in points.
        mean: Mean fitness of the population without failed candidates.
        median: Median of the same.
        diversity: Mean share of genes in which two members differ, in [0, 1].
        evaluations: Candidates trained in this generation.
        cache_hits: Proposals that needed no training: duplicates, and results of other runs.
        failures: Candidates of this generation whose evaluation failed.
        population: Its members, best first.
    """

    generation: int
    best: float
    mean: float
    median: float
    diversity: float
    evaluations: int = 0
    cache_hits: int = 0
    failures: int = 0
    population: tuple[Candidate, ...]

    @classmethod
    def of(cls, generation: int, population: Sequence[Candidate], **counts: int) -> GenerationSummary:
        """Summarise a ranked population of which at least one member has not failed."""
        scores = [member.fitness for member in population if not member.failed]
        return cls(
            generation=generation,
            best=max(scores),
            mean=fmean(scores),
            median=median(scores),
            diversity=diversity([member.structure for member in population]),
            population=tuple(population),
            **counts,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON values; the fitness of a failed candidate is null."""
        members = [
            {
                "structure": member.structure.as_lists(),
                "fitness": None if member.failed else member.fitness,
                "order": member.order,
                "origin": member.origin.value,
            }
            for member in self.population
        ]
        return {**vars(self), "population": members}


def nothing_learnt(scores: Sequence[float]) -> str | None:
    """Return why scores cannot rank structures, or None where they can.

    Args:
        scores: Fitness in points of the structures that were trained alike; fewer than two prove nothing.
    """
    if len(scores) < 2:
        return None
    hint = "Train longer, raise the learning rate, or standardise the features (--normalize train)."
    if max(scores) < FLOOR:
        return (
            f"Nothing was learnt: the best of {len(scores)} structures scores {max(scores):.1f} points, "
            f"below the floor of {FLOOR:g}. {hint}"
        )
    if max(scores) - min(scores) < SAME_SCORE and max(scores) < 100:
        return f"Nothing was learnt: all {len(scores)} structures score {max(scores):.1f} points. {hint}"
    return None
