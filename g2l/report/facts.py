"""Facts of a run for the report, most of them as the JSON files of its folder hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from g2l.config import FAMILIES, BackboneConfig
from g2l.figures.results import HoldoutCurve
from g2l.figures.search import Scored, path_of
from g2l.metrics.comparison import Comparison
from g2l.metrics.scores import MEAN_F1, VideoScores
from g2l.models.size import multiply_adds_per_frame
from g2l.records import DatasetRecord, LocalSearchUpdate
from g2l.structure import DilationStructure, LayerTopology

HAND_DESIGNED = "hand-designed"
MOST_FRAMES = 2**24
"""Frames of one video that a figure can draw."""


@dataclass(frozen=True, kw_only=True)
class Leader:
    """One of the best structures of a search, with its mean hold-out fitness; None where it failed."""

    structure: DilationStructure
    fitness: float | None
    standard_error: float | None
    seeds: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A shape of a search against the hand-designed structure; see `g2l.search.proposals.shapes.Row`."""

    structure: DilationStructure
    name: str
    cost: float
    multiply_adds: int
    difference: float
    low: float
    high: float
    blocks: int
    shown: bool


@dataclass(frozen=True, kw_only=True)
class GlobalResult:
    """Result of a global search; see `g2l.pipeline.search_outcome.GlobalSearchOutcome`."""

    fitness: float
    hand_designed: DilationStructure
    hand_designed_fitness: float
    evaluations: int
    steps: int
    final_steps: int
    full_steps: int
    seconds: float
    leaders: tuple[Leader, ...]
    shapes: tuple[Shape, ...] = ()
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class GlobalFacts:
    """A global search: all scores in the order in which they became known; no winner while it runs.

    `curves` are hold-out curves by name of the shape.
    """

    strategy: str
    fitness: str
    winner: DilationStructure | None
    hand_designed: DilationStructure
    scores: tuple[Scored, ...]
    result: GlobalResult | None = None
    curves: Mapping[str, HoldoutCurve] = field(default_factory=dict)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The hand-designed shape first; empty for a search of rates."""
        return () if self.result is None else self.result.shapes


@dataclass(frozen=True, kw_only=True)
class LocalFacts:
    """A local search; no result while it runs."""

    start: DilationStructure
    found: DilationStructure | None
    updates: Sequence[LocalSearchUpdate]
    steps: int | None = None

    @property
    def paths(self) -> dict[str, list[int]]:
        """The rate of each layer before the first update and after each, in the order of the network."""
        return {
            name: path_of(self.updates, name) for name in (self.updates[0].layers if self.updates else ())
        }


@dataclass(frozen=True, kw_only=True)
class ContextFacts:
    """Hold-out scores in percent against receptive fields in frames; see `g2l.pipeline.context_curve`."""

    frames: tuple[int, ...]
    f1: tuple[float, ...]
    edit: tuple[float, ...]
    accuracy: tuple[float, ...]
    error: float
    needed: int
    words: str

    def __post_init__(self) -> None:
        if {len(scores) for scores in self.scores.values()} != {len(self.frames)}:
            raise ValueError("expected a score of every metric for each of `frames`")
        if self.needed not in range(len(self.frames)):
            raise ValueError("expected `needed` to be the place of one of `frames`")

    @property
    def scores(self) -> dict[str, tuple[float, ...]]:
        """The scores by metric."""
        return {"f1": self.f1, "edit": self.edit, "accuracy": self.accuracy}


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

    metrics: Mapping[str, float | None]
    prediction: tuple[tuple[int, ...], ...]
    truth: tuple[tuple[int, ...], ...] | None


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """Frame-wise scores of one class in percent, None for a class that does not occur; support in frames."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: float


@dataclass(frozen=True, kw_only=True)
class PredictionFacts:
    """Predictions by name of the video, and their scores in percent where the truth is known.

    `confusion` holds the frames of each true class (outer) predicted as each class (inner).
    """

    classes: tuple[str, ...]
    videos: Mapping[str, VideoFacts]
    background: tuple[str, ...] = ()
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    per_class: Mapping[str, ClassScores] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        classes = len(self.classes)
        sizes = {len(row) for row in (self.confusion, *self.confusion)}
        if (self.confusion or self.per_class) and sizes != {classes}:
            raise ValueError(f"expected `confusion` to have {classes} rows and columns")
        for name, video in self.videos.items():
            for row in (video.prediction, *([] if video.truth is None else [video.truth])):
                labels, ends = zip(*row, strict=True)
                rising = all(later > earlier for earlier, later in pairwise((0, *ends)))
                if not rising or ends[-1] > MOST_FRAMES or not set(labels) <= set(range(classes)):
                    raise ValueError(f"expected segments of {name} with rising ends and known classes")


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """One run: a folder of a command, with the stages in it.

    Attributes:
        label: Unique among the runs of a report.
        source: Folder or run id that was asked for.
        kind: Of the run (`g2l.records.RunKind`).
        fps: Frames per second of the feature files, or None.
        monitor: The metric of the hold-out curves.
        given: The structure of the model that predicted, or None.
        data: What `dataset.json` holds, or None.
        trainings: Full trainings, the hand-designed structure first.
        differences: Searched minus hand-designed on test, by metric.
        shipped: Name of the structure that a pipeline exported; else empty.
        reason: Why it was, in words; of several folds, what each exported and which videos choices have seen.
        curves: Hold-out curves of trainings by what was trained.
        unfinished: Why the numbers are not final, or None.
    """

    label: str
    source: str
    kind: str
    settings: Mapping[str, Any]
    command: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    dataset: str | None = None
    split: str | None = None
    fps: float | None = None
    sample_rate: int = 1
    ending: str = "single"
    monitor: str = MEAN_F1
    given: DilationStructure | None = None
    backbone: BackboneConfig | None = None
    data: DatasetRecord | None = None
    search: GlobalFacts | None = None
    local: LocalFacts | None = None
    trainings: tuple[TrainingFacts, ...] = ()
    differences: Mapping[str, Comparison] = field(default_factory=dict)
    shipped: str = ""
    reason: str = ""
    curves: Mapping[str, HoldoutCurve] = field(default_factory=dict)
    context: ContextFacts | None = None
    predictions: PredictionFacts | None = None
    unfinished: str | None = None

    @property
    def topology(self) -> LayerTopology | None:
        """How the convolutions of the network are connected, where that is known."""
        return None if self.backbone is None else self.backbone.topology

    def multiply_adds(self, structure: DilationStructure) -> int | None:
        """Return the multiply-adds per frame of a network with these rates, where that is known."""
        if self.backbone is None or self.data is None or self.backbone.name not in FAMILIES:
            return None
        if not self.backbone.topology.suits(structure):
            return None
        size = {"feature_dim": self.data.feature_dim, "num_classes": len(self.data.class_frames)}
        return multiply_adds_per_frame(self.backbone, structure, **size)

    @property
    def seconds_per_frame(self) -> float | None:
        """Seconds of a frame as the network sees it, or None where the frame rate is not known."""
        return self.sample_rate / self.fps if self.fps else None

    @property
    def subject(self) -> str:
        """The data set and its split or splits, or the label where there is no data set."""
        if self.dataset is None:
            return self.label
        return f"{self.dataset} split{'s' if ',' in str(self.split) else ''} {self.split}"

    @property
    def structures(self) -> dict[str, DilationStructure]:
        """The structures of the run by name, the hand-designed one first."""
        search, local = self.search, self.local
        named = {
            HAND_DESIGNED: self.backbone and self.backbone.hand_designed(),
            "start of the local search": local.start if local and search is None else None,
            "after the global search": search and search.winner,
            "after the local search": local and local.found,
            "of the model": self.given,
        }
        found = {name: one for name, one in named.items() if isinstance(one, DilationStructure)}
        for training in self.trainings:
            if training.structure not in found.values():
                found[training.origin] = training.structure
        return found


def one_run(runs: Sequence[RunFacts]) -> bool:
    """Return whether runs are one, or one of several folds with its folds."""
    first, *others = runs
    return all(first.kind == "folds" and one.source.startswith(f"{first.source}/") for one in others)
