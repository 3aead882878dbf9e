"""Candidates, the summary of a generation, and the events that a running search reports to its observers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, median
from typing import Any, NamedTuple, Protocol

from g2l.evaluation import Evaluation, EvaluationStatus
from g2l.metrics.scores import metric_value
from g2l.structure import DilationStructure

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


class Proposal(NamedTuple):
    """A structure to evaluate."""

    structure: DilationStructure
    origin: Origin


@dataclass(frozen=True)
class Candidate:
    """An evaluated structure.

    `fitness` is in points, −inf where the evaluation failed. `order` is the position among all structures of
    the search as they were first proposed, 0 for the hand-designed one; completion order does not matter.
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
        return -math.inf
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


def nothing_learnt(scores: Sequence[float]) -> str | None:
    """Return why the fitness of structures that were trained alike shows no learning, None where it does."""
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


@dataclass(frozen=True, kw_only=True)
class GenerationSummary:
    """One generation after survival: the fitness of the members of `population` (best first) in points.

    `evaluations` candidates were trained in it, of which `failures` failed; `cache_hits` proposals needed no
    training: duplicates, and results of other runs.
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
        """Return JSON values; the fitness of a failed candidate is null."""
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


class SearchPhase(StrEnum):
    """Part of a search."""

    SHAPES = "shapes"
    SEARCH = "search"
    RACE = "race"


@dataclass(frozen=True, kw_only=True)
class SearchStatus:
    """State of a search after an evaluation; steps are those of the optimiser.

    Attributes:
        best: Best fitness among the scores that decide now (the longest trainings so far), in points.
        median: Median of those.
        evaluations: Scores so far; `cache_hits` of them were not trained in this run, `failures` failed.
        steps: Decided on so far; those of a smaller network count less.
        completed_steps: Those of them whose evaluation is known.
        trained_steps: Those of them that this process has trained: not replayed, not of other runs.
        planned_steps: Expected for search and race in all, None when unknown; a limit if `limited`.
        workers: Candidates that are trained at once.
    """

    phase: SearchPhase
    generation: int
    best: float
    median: float
    evaluations: int
    cache_hits: int
    failures: int
    steps: int
    completed_steps: int
    trained_steps: int
    planned_steps: int | None
    limited: bool
    full_steps: int | None
    workers: int

    def seconds_left(self, elapsed: float) -> float | None:
        """Return the remaining time at the pace of what this process has trained in `elapsed` seconds.

        Replays and cache hits take no time. None when it is unknown.
        """
        if self.planned_steps is None or not self.trained_steps:
            return None
        return max(0, self.planned_steps - self.completed_steps) * elapsed / self.trained_steps


@dataclass(frozen=True)
class EvaluationEvent:
    """One new evaluation, whether it came from another run through the store, and the state after it."""

    evaluation: Evaluation
    cached: bool
    status: SearchStatus


class SearchObserver(Protocol):
    """Receives the events of a search, in its thread. A resumed search repeats them from the start."""

    def on_evaluation(self, event: EvaluationEvent) -> None:
        """Called once for each new task, in completion order."""
        ...

    def on_generation(self, summary: GenerationSummary) -> None:
        """Called after each generation."""
        ...

    def on_end(self) -> None:
        """Called once, after the last evaluation."""
        ...
