"""What a report knows of a run; frozen, and read from files that the stages leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from g2l.config import BackboneConfig
from g2l.metrics.comparison import Comparison
from g2l.structure import DilationStructure
from g2l.wiring import Wiring

HAND_DESIGNED, SEARCHED = "hand-designed", "searched"


@dataclass(frozen=True)
class Scored:
    """One score of a candidate.

    Attributes:
        structure: Its rates.
        spent: Optimiser steps that the search had spent when it was known.
        fitness: In points, or None where it could not be trained.
        fresh: Whether it is a score under another seed than the search's: of the pilot or the race.
        shared: Whether it was scored with the weights of a super-network.
    """

    structure: DilationStructure
    spent: int
    fitness: float | None
    fresh: bool = False
    shared: bool = False


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One generation, as the journal holds it; see `g2l.search.population.GenerationSummary`.

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
        metrics: Of it alone, in percent; empty where the truth is not known.
        prediction: (class index, end) of each segment in frames, the end exclusive.
        truth: The same, or None.
    """

    name: str
    metrics: Mapping[str, float]
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


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """One run: a folder of a command, with the stages in it.

    Attributes:
        label: Told apart from the other runs of a report by it.
        source: Folder or run id that was asked for.
        kind: Of the run (`g2l.tracking.protocol.RunKind`).
        settings: The resolved configuration.
        environment: Command line, versions and commit; empty where it was not written.
        backbone: The network, or None where it is not known.
        data: What `dataset.json` holds; empty where there is none.
        search: The global search, or None.
        local: The local search, or None.
        trainings: Full trainings, the hand-designed structure first.
        differences: Searched minus hand-designed on test, by metric.
        predictions: Of the test partition or of what was given, or None.
        finished: Whether the run has come to its end.
    """

    label: str
    source: str
    kind: str
    settings: Mapping[str, Any]
    environment: Mapping[str, Any] = field(default_factory=dict)
    backbone: BackboneConfig | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    search: GlobalFacts | None = None
    local: LocalFacts | None = None
    trainings: tuple[TrainingFacts, ...] = ()
    differences: Mapping[str, Comparison] = field(default_factory=dict)
    predictions: PredictionFacts | None = None
    finished: bool = True

    @property
    def wiring(self) -> Wiring | None:
        """How the convolutions of the network are connected, where that is known."""
        return None if self.backbone is None else self.backbone.wiring

    @property
    def seconds_per_frame(self) -> float | None:
        """Seconds of a frame as the network sees it, or None where the frame rate is not known."""
        fps = self.reading.get("fps")
        return float(self.reading.get("sample_rate", 1)) / float(fps) if fps else None

    @property
    def fps(self) -> float | None:
        """Frames per second of the feature files, or None."""
        fps = self.reading.get("fps")
        return float(fps) if fps else None

    @property
    def reading(self) -> Mapping[str, Any]:
        """How the data was read."""
        found: Mapping[str, Any] = self.settings.get("data", {})
        return found

    @property
    def subject(self) -> str:
        """The data set and its split, or the label where there is no data set."""
        name, split = self.reading.get("dataset"), self.reading.get("split")
        return self.label if name is None else f"{name} split {split}"

    @property
    def ending(self) -> str:
        """What became of the branches of the network that was kept (`g2l.receptive_field.Ending`)."""
        settings = (self.settings.get(name) or {} for name in ("local_search", "branching", "search"))
        return next((str(found["ending"]) for found in settings if "ending" in found), "single")

    def trained(self, origin: str) -> TrainingFacts | None:
        """Return the training of one origin, or None."""
        return next((training for training in self.trainings if training.origin == origin), None)

    @property
    def structures(self) -> dict[str, DilationStructure]:
        """The structures of the run by what they are called, the hand-designed one first."""
        found: dict[str, DilationStructure] = {}
        if self.backbone is not None:
            found[HAND_DESIGNED] = self.backbone.hand_designed()
        if self.local is not None and self.search is None:
            found["start of the local search"] = self.local.start
        if self.search is not None and self.search.winner is not None:
            found["after the global search"] = self.search.winner
        if self.local is not None and self.local.found is not None:
            found["after the local search"] = self.local.found
        if self.kind == "predict" and self.settings.get("structure"):
            found["of the model"] = DilationStructure(tuple(map(tuple, self.settings["structure"])))
        for training in self.trainings:
            if training.structure not in found.values():
                found[training.origin] = training.structure
        return found
