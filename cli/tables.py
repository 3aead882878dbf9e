"""The tables and summaries that several commands print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import console

if TYPE_CHECKING:
    from g2l.inference.evaluate import EvaluationReport
    from g2l.metrics.summary import Summary
    from g2l.pipeline.compose import PipelineOutcome
    from g2l.search.cost import CostPlan, SearchCost

METRICS = {"accuracy": "accuracy", "edit": "edit", "f1@10": "F1@10", "f1@25": "F1@25", "f1@50": "F1@50"}
COMPARED = {"f1": "mean F1", "accuracy": "accuracy"}


def scores(title: str, rows: Mapping[str, Mapping[str, Summary]]) -> None:
    """Print test metrics, one row per structure."""
    cells = [(name, *(str(summary[metric]) for metric in METRICS)) for name, summary in rows.items()]
    console.table(title, ("structure", *METRICS.values()), cells)


def comparison(title: str, outcome: PipelineOutcome) -> None:
    """Print the hand-designed and the searched structure side by side, and whether they differ."""
    rows = [
        (
            name,
            *(str(contender.test[metric]) for metric in METRICS),
            f"{contender.structure.receptive_field()} frames",
            f"{contender.training_equivalents:.1f} trainings",
        )
        for name, contender in outcome.contenders.items()
    ]
    console.table(title, ("structure", *METRICS.values(), "receptive field", "search cost"), rows)
    baseline, searched = outcome.contenders["hand-designed"], outcome.contenders["searched"]
    if searched.structure == baseline.structure:
        console.data("The search kept the hand-designed structure.")
        return
    for metric, difference in outcome.differences.items():
        console.data(f"Searched against hand-designed, {COMPARED[metric]}: {difference.words()}.")


def evaluation(title: str, report: EvaluationReport) -> None:
    """Print the metrics of predictions and a row per class."""
    values = [f"{report.metrics[metric]:.2f}" for metric in METRICS]
    console.table(title, ("", *METRICS.values()), [("all videos", *values)])
    rows = [
        (name, *(f"{row[key]:.1f}" for key in ("precision", "recall", "f1-score")), f"{row['support']:.0f}")
        for name, row in report.per_class["classes"].items()
    ]
    console.table("frames by class (%)", ("class", "precision", "recall", "F1", "frames"), rows)


def cost_plan(plan: CostPlan) -> None:
    """Say what a search will cost."""
    console.facts("The search will cost", {"expected": _cost(plan.expected), "at most": _cost(plan.maximal)})


def _cost(cost: SearchCost) -> str:
    parts = [
        f"{cost.evaluations} evaluations",
        f"{cost.total_steps:,} steps",
        f"{cost.training_equivalents:.1f} full trainings",
    ]
    if cost.seconds is not None:
        parts.append(f"about {console.duration(cost.seconds)}")
    if cost.bytes is not None:
        parts.append(f"{cost.bytes / 2**20:,.0f} MiB of checkpoints")
    return " · ".join(parts)
