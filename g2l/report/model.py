"""What a report knows of a run; frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from g2l.config import BackboneConfig
from g2l.metrics.comparison import Comparison
from g2l.report.stage_facts import GlobalFacts, LocalFacts, PredictionFacts, TrainingFacts
from g2l.structure import DilationStructure, LayerTopology

HAND_DESIGNED = "hand-designed"


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """One run: a folder of a command, with the stages in it.

    Attributes:
        label: Told apart from the other runs of a report by it.
        source: Folder or run id that was asked for.
        kind: Of the run (`g2l.records.RunKind`).
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
    def topology(self) -> LayerTopology | None:
        """How the convolutions of the network are connected, where that is known."""
        return None if self.backbone is None else self.backbone.topology

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
