"""The searched structure against the hand-designed one: the same recipe, the same seeds, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from g2l.datasets.holdout import subjects_of
from g2l.metrics.comparison import Comparison, compare
from g2l.metrics.scores import MEAN_F1, metric_value
from g2l.metrics.summary import Summary
from g2l.metrics.video_comparison import Trainings, compare_videos
from g2l.pipeline.train import TrainingOutcome
from g2l.structure import DilationStructure, LayerTopology

COMPARED = (MEAN_F1, "accuracy")
"""What the comparison is made in: one for segments, one for frames. Of many, one would differ by luck."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One row of the final comparison.

    Attributes:
        structure: Its rates.
        test: Test metrics over the seeds, in percent.
        training_equivalents: What finding it cost, in full trainings.
    """

    structure: DilationStructure
    test: Mapping[str, Summary]
    training_equivalents: float

    def as_dict(self, topology: LayerTopology) -> dict[str, Any]:
        """Return the row as JSON values, with receptive field and look-ahead (`LayerTopology.report`)."""
        return {
            "structure": self.structure.as_lists(),
            **topology.report(self.structure),
            "training_equivalents": self.training_equivalents,
            "test": {
                metric: {"mean": score.mean, "std": score.std, "runs": score.runs}
                for metric, score in self.test.items()
            },
        }


def differences(
    searched: TrainingOutcome, baseline: TrainingOutcome, group_pattern: str | None = None
) -> dict[str, Comparison]:
    """Return searched minus hand-designed on test, by metric, over the seeds that both were trained with.

    Args:
        searched: One training per seed.
        baseline: Of the hand-designed structure, under the same seeds.
        group_pattern: Finds the subject in a video name, see `DataConfig`.
    """
    pairs = list(zip(searched.seeds, baseline.seeds, strict=True))
    if pairs and all(seed.videos for pair in pairs for seed in pair):
        sides: list[Trainings] = [
            {(0, one.seed): one.videos for one in side.seeds} for side in (searched, baseline)
        ]
        subjects = subjects_of(sorted(pairs[0][0].videos), group_pattern)
        return {
            metric: compare_videos(sides[0], sides[1], metric=metric, subjects=subjects)
            for metric in COMPARED
        }
    return {
        metric: compare(
            [metric_value(ours.test, metric) for ours, _ in pairs],
            [metric_value(theirs.test, metric) for _, theirs in pairs],
        )
        for metric in COMPARED
    }


def difference_metrics(found: Mapping[str, Comparison]) -> dict[str, float]:
    """Return the differences as metrics of a run; a single seed has no interval."""
    metrics = {}
    for name, one in found.items():
        metrics[f"difference/{name}"] = one.estimate
        if one.low is not None and one.high is not None:
            metrics |= {f"difference/{name}_low": one.low, f"difference/{name}_high": one.high}
    return metrics
