"""Comparison of two folders of predictions of the same videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from g2l.datasets.holdout import subjects_of
from g2l.inference.evaluate import EvaluationReport
from g2l.metrics.comparison import MARGIN, Comparison
from g2l.metrics.scores import F1_THRESHOLDS, MEAN_F1
from g2l.metrics.video_comparison import compare_videos

COMPARED = (MEAN_F1, "accuracy", "edit", *(f"f1@{threshold}" for threshold in F1_THRESHOLDS))


@dataclass(frozen=True)
class PredictionComparison:
    """First folder minus second, in points.

    Attributes:
        metrics: Differences by metric. The interval holds for these two models on other videos; it does not
            contain other seeds of their recipes.
        classes: F1 score of the frames of each class in both folders, by name.
    """

    metrics: dict[str, Comparison]
    classes: dict[str, tuple[float, float]]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "metrics": {name: one.as_dict() for name, one in self.metrics.items()},
            "classes": {
                name: {"f1-score": ours, "other": theirs, "difference": ours - theirs}
                for name, (ours, theirs) in self.classes.items()
            },
        }


def compare_predictions(
    ours: EvaluationReport,
    theirs: EvaluationReport,
    *,
    margin: float = MARGIN,
) -> PredictionComparison:
    """Compare two evaluations of the same videos, grouped by subject where their names show one.

    Args:
        ours: Of the first folder.
        theirs: Of the second.
        margin: Difference in points within which the two count as equal.

    Raises:
        InputError: The folders hold different videos.
    """
    subjects = subjects_of(sorted(ours.video_scores))
    metrics = {
        name: compare_videos(
            {(0, 0): ours.video_scores},
            {(0, 0): theirs.video_scores},
            metric=name,
            subjects=subjects,
            margin=margin,
            seed_deviation=0,
        )
        for name in COMPARED
    }
    rows = [report.per_class["classes"] for report in (ours, theirs)]
    names = sorted({name for side in rows for name, row in side.items() if row["support"]})
    scores = {name: tuple(side[name]["f1-score"] if name in side else 0.0 for side in rows) for name in names}
    return PredictionComparison(metrics, {name: (one[0], one[1]) for name, one in scores.items()})
