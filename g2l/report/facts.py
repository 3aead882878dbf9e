"""Facts of a run for the report: frozen, typed, checked when read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from g2l.config import BackboneConfig
from g2l.metrics.comparison import Comparison
from g2l.metrics.scores import VideoScores
from g2l.records import DatasetRecord
from g2l.structure import DilationStructure, LayerTopology

HAND_DESIGNED = "hand-designed"


@dataclass(frozen=True)
class Scored:
    """One score of a candidate, in points (None: failed), and the optimiser steps spent until it was known.

    `fresh` scores are not comparable with those that select: of another seed, or with shared weights.
    """

    structure: DilationStructure
    spent: int
    fitness: float | None
    fresh: bool = False


@dataclass(frozen=True, kw_only=True)
class LeaderFacts:
    """One of the best structures of a search, with its mean hold-out fitness; None where it failed."""

    structure: DilationStructure
    fitness: float | None
    standard_error: float | None
    seeds: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class GlobalResult:
    """Result of a global search; see `g2l.pipeline.search_outcome.GlobalSearchOutcome`."""

    fitness: float
    hand_designed_fitness: float
    evaluations: int
    steps: int
    final_steps: int
    full_steps: int
    seconds: float
    leaders: tuple[LeaderFacts, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class GlobalFacts:
    """A global search: all scores in the order in which they became known; no winner while it runs.

    `hand_designed` is the 2^l structure as it is in the space that was searched.
    """

    strategy: str
    fitness: str
    winner: DilationStructure | None
    hand_designed: DilationStructure
    scores: tuple[Scored, ...]
    result: GlobalResult | None = None


@dataclass(frozen=True)
class BranchStep:
    """One estimate of a rate: the branches, their weights, the expectation, and the rate it became."""

    branches: tuple[int, ...]
    weights: tuple[float, ...]
    expectation: float
    rate: int


@dataclass(frozen=True)
class LayerPath:
    """The path of one rate: name of the layer, first rate, updates in order."""

    name: str
    start: int
    steps: tuple[BranchStep, ...]

    @property
    def rates(self) -> tuple[int, ...]:
        """The rate before the first update and after each."""
        return (self.start, *(step.rate for step in self.steps))


@dataclass(frozen=True, kw_only=True)
class LocalFacts:
    """A local search: the path of each layer in the order of the network; no result while it runs."""

    start: DilationStructure
    found: DilationStructure | None
    paths: tuple[LayerPath, ...]
    steps: int | None = None


@dataclass(frozen=True)
class SeedFacts:
    """One training: test metrics in percent, optimiser steps, scores by test video (empty in 0.1.0)."""

    seed: int
    test: Mapping[str, float]
    steps: int
    videos: Mapping[str, VideoScores] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingFacts:
    """One structure, and the seeds whose training has finished.

    `origin` is `hand-designed`, `searched` or where the structure came from.
    """

    origin: str
    structure: DilationStructure
    seeds: tuple[SeedFacts, ...]


@dataclass(frozen=True)
class VideoFacts:
    """One predicted video; segments are (class index, exclusive end in frames).

    Metrics are in percent, None where not defined; there are none where the truth is not known.
    """

    name: str
    metrics: Mapping[str, float | None]
    prediction: tuple[tuple[int, int], ...]
    truth: tuple[tuple[int, int], ...] | None


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """Frame-wise scores of one class in percent, None for a class that does not occur; support in frames."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True, kw_only=True)
class PredictionFacts:
    """Predictions by name of the video, and their scores in percent where the truth is known.

    `confusion` holds the frames of each true class (outer) predicted as each class (inner).
    """

    classes: tuple[str, ...]
    background: tuple[str, ...]
    videos: tuple[VideoFacts, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    per_class: Mapping[str, ClassScores] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """One run: a folder of a command, with the stages in it.

    Attributes:
        label: Unique among the runs of a report.
        source: Folder or run id that was asked for.
        kind: Of the run (`g2l.records.RunKind`).
        fps: Frames per second of the feature files, or None.
        given: The structure of the model that predicted, or None.
        data: What `dataset.json` holds, or None.
        trainings: Full trainings, the hand-designed structure first.
        differences: Searched minus hand-designed on test, by metric.
        shipped: Which structure a pipeline exported, and why, in words; else empty.
        unfinished: Why the numbers are not final, or None.
    """

    label: str
    source: str
    kind: str
    settings: Mapping[str, Any]
    command: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    dataset: str | None = None
    split: str | None = None
    fps: float | None = None
    sample_rate: int = 1
    ending: str = "single"
    given: DilationStructure | None = None
    backbone: BackboneConfig | None = None
    data: DatasetRecord | None = None
    search: GlobalFacts | None = None
    local: LocalFacts | None = None
    trainings: tuple[TrainingFacts, ...] = ()
    differences: Mapping[str, Comparison] = field(default_factory=dict)
    shipped: str = ""
    predictions: PredictionFacts | None = None
    unfinished: str | None = None

    @property
    def topology(self) -> LayerTopology | None:
        """How the convolutions of the network are connected, where that is known."""
        return None if self.backbone is None else self.backbone.topology

    @property
    def seconds_per_frame(self) -> float | None:
        """Seconds of a frame as the network sees it, or None where the frame rate is not known."""
        return None if self.fps is None else self.sample_rate / self.fps

    @property
    def subject(self) -> str:
        """The data set and its split, or the label where there is no data set."""
        return self.label if self.dataset is None else f"{self.dataset} split {self.split}"

    @property
    def structures(self) -> dict[str, DilationStructure]:
        """The structures of the run by name, the hand-designed one first."""
        found: dict[str, DilationStructure] = {}
        if self.backbone is not None:
            found[HAND_DESIGNED] = self.backbone.hand_designed()
        if self.local is not None and self.search is None:
            found["start of the local search"] = self.local.start
        if self.search is not None and self.search.winner is not None:
            found["after the global search"] = self.search.winner
        if self.local is not None and self.local.found is not None:
            found["after the local search"] = self.local.found
        if self.given is not None:
            found["of the model"] = self.given
        for training in self.trainings:
            if training.structure not in found.values():
                found[training.origin] = training.structure
        return found
