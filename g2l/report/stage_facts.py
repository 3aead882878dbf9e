"""What a report knows of the stages of a run; frozen, and read from files that the stages leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from g2l.structure import DilationStructure


@dataclass(frozen=True)
class Scored:
    """One score of a candidate.

    Attributes:
        structure: Its rates.
        spent: Optimiser steps that the search had spent when it was known.
        fitness: In points, or None where it could not be trained.
        fresh: Whether it is a score under another seed than the search's: of the race.
        shared: Whether it was scored with the weights of a super-network.
    """

    structure: DilationStructure
    spent: int
    fitness: float | None
    fresh: bool = False
    shared: bool = False


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One generation, as the journal holds it; see `g2l.search.candidates.GenerationSummary`.

    Attributes:
        members: Fitness and origin of each member, None for one that failed.
    """

    number: int
    best: float
    mean: float
    median: float
    diversity: float
    evaluations: int
    cache_hits: int
    failures: int
    members: tuple[tuple[float | None, str], ...]


@dataclass(frozen=True, kw_only=True)
class GlobalFacts:
    """A global search.

    Attributes:
        strategy: Its name.
        fitness: Name of the fitness.
        winner: The structure it found, or None while it runs.
        hand_designed: The 2^l structure as it is in the space that was searched.
        scores: All scores, in the order in which they became known.
        generations: In order.
        result: What the stage wrote when it had finished, else empty; see `GlobalSearchOutcome`.
    """

    strategy: str
    fitness: str
    winner: DilationStructure | None
    hand_designed: DilationStructure
    scores: tuple[Scored, ...]
    generations: tuple[Generation, ...]
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BranchStep:
    """One estimate of a rate: what the branches were, and what their weights made of them."""

    branches: tuple[int, ...]
    weights: tuple[float, ...]
    expectation: float
    rate: int


@dataclass(frozen=True)
class LayerPath:
    """The path of one rate.

    Attributes:
        name: Of the layer.
        start: Its first rate.
        steps: Its updates in order.
    """

    name: str
    start: int
    steps: tuple[BranchStep, ...]

    @property
    def rates(self) -> tuple[int, ...]:
        """The rate before the first update and after each."""
        return (self.start, *(step.rate for step in self.steps))


@dataclass(frozen=True, kw_only=True)
class LocalFacts:
    """A local search.

    Attributes:
        start: Where it started.
        found: Where it ended, or None while it runs.
        paths: Of each layer, in the order of the network.
        steps: Optimiser steps, or None while it runs.
        holdout: Hold-out metrics of its weights in percent; empty where nothing was held out.
    """

    start: DilationStructure
    found: DilationStructure | None
    paths: tuple[LayerPath, ...]
    steps: int | None = None
    holdout: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SeedFacts:
    """One training.

    Attributes:
        seed: Its seed.
        test: Test metrics in percent.
        holdout: Hold-out metrics in percent; empty where nothing was held out.
        steps: Optimiser steps.
    """

    seed: int
    test: Mapping[str, float]
    holdout: Mapping[str, float]
    steps: int


@dataclass(frozen=True)
class TrainingFacts:
    """One structure, trained under several seeds.

    Attributes:
        origin: `hand-designed`, `searched` or where the structure came from.
        structure: Its rates.
        seeds: Those that have finished.
    """

    origin: str
    structure: DilationStructure
    seeds: tuple[SeedFacts, ...]


@dataclass(frozen=True)
class VideoFacts:
    """One predicted video.

    Attributes:
        name: Its name.
        metrics: Of it alone, in percent, None where not defined; empty where the truth is not known.
        prediction: (class index, end) of each segment in frames, the end exclusive.
        truth: The same, or None.
    """

    name: str
    metrics: Mapping[str, float | None]
    prediction: tuple[tuple[int, int], ...]
    truth: tuple[tuple[int, int], ...] | None


@dataclass(frozen=True, kw_only=True)
class PredictionFacts:
    """Predictions, and their scores where the truth is known.

    Attributes:
        classes: Class names in index order.
        background: Those whose segments count neither for Edit nor for F1.
        videos: In the order of their names.
        metrics: Of all videos, in percent; empty where the truth is not known.
        per_class: Precision, recall, F1 score and support of each class, by name.
        confusion: Frames of each true class (outer) predicted as each class (inner).
    """

    classes: tuple[str, ...]
    background: tuple[str, ...]
    videos: tuple[VideoFacts, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] = ()
