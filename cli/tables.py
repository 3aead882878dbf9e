"""Output of the stages: the status of a running search, tables and summaries at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from g2l.progress import duration

from . import console

if TYPE_CHECKING:
    from g2l.inference.evaluate import EvaluationReport, PredictionComparison
    from g2l.metrics.summary import Summary
    from g2l.pipeline.pipeline import FoldsOutcome, PipelineOutcome
    from g2l.pipeline.search_outcome import GlobalSearchOutcome, Leader
    from g2l.search.budget import CostPlan, SearchCost
    from g2l.search.candidates import EvaluationEvent, GenerationSummary, SearchStatus
    from g2l.structure import DilationStructure, LayerTopology

METRICS = {"accuracy": "accuracy", "edit": "edit", "f1@10": "F1@10", "f1@25": "F1@25", "f1@50": "F1@50"}
SIGHT = "receptive field\nlook-ahead"
COMPARED = {"f1": "mean F1", "accuracy": "accuracy"}


def scores(title: str, rows: Mapping[str, Mapping[str, Summary]]) -> None:
    """Print test metrics, one row per structure."""
    cells = [
        (name, *(str(summary[metric]) for metric in METRICS)) for name, summary in rows.items() if summary
    ]
    if not cells:
        console.data(f"{title}: no test videos.")
        return
    console.table(title, ("structure", *METRICS.values()), cells)


def fold_scores(title: str, folds: Mapping[int, Mapping[str, Mapping[str, Summary]]]) -> None:
    """Print test metrics by fold and structure, and the means over several folds."""
    from g2l.metrics.summary import mean_over_folds

    if len(folds) == 1:
        (rows,) = folds.values()
        scores(title, rows)
        return
    names = next(iter(folds.values()))
    means = {name: mean_over_folds([rows[name] for rows in folds.values()]) for name in names}
    cells = [
        (place, name, *(str(summary[metric]) for metric in METRICS))
        for place, rows in {**{str(fold): rows for fold, rows in folds.items()}, "mean": means}.items()
        for name, summary in rows.items()
    ]
    console.table(title, ("fold", "structure", *METRICS.values()), cells)
    console.data("± is the standard deviation: over seeds within a fold, over the folds in the mean.")


def comparison(title: str, outcome: PipelineOutcome, topology: LayerTopology) -> None:
    """Print the hand-designed and the searched structure side by side, and whether they differ."""
    rows = [
        (
            name,
            *(str(contestant.test[metric]) for metric in METRICS),
            _sight(topology.report(contestant.structure)),
            str(contestant.epochs),
            f"{contestant.training_equivalents:.1f} trainings",
        )
        for name, contestant in outcome.contestants.items()
    ]
    console.table(title, ("structure", *METRICS.values(), SIGHT, "epochs", "search cost"), rows)
    console.data(outcome.contest.reason)
    parts = ", ".join(f"{name} {cost:.1f}" for name, cost in outcome.costs.items())
    console.data(f"Cost: {sum(outcome.costs.values()):.1f} full trainings ({parts}).")
    baseline, searched = outcome.contestants["hand-designed"], outcome.contestants["searched"]
    if searched.structure == baseline.structure:
        console.data("The search kept the hand-designed structure.")
        return
    for metric, difference in outcome.differences.items():
        console.data(f"Searched against hand-designed, {COMPARED[metric]}: {difference.words()}.")


def fold_comparison(title: str, outcome: FoldsOutcome) -> None:
    """Print both structures in every fold, the means, whether they differ, and what each fold exports."""
    folds = {
        fold: {name: contestant.test for name, contestant in one.contestants.items()}
        for fold, one in outcome.folds.items()
    }
    fold_scores(title, folds)
    if all(one.trainings["searched"] is one.trainings["hand-designed"] for one in outcome.folds.values()):
        console.data("The search kept the hand-designed structure in every fold.")
    else:
        for metric, difference in outcome.differences.items():
            console.data(f"Searched against hand-designed, {COMPARED[metric]}: {difference.words()}.")
    for fold, one in outcome.folds.items():
        console.data(f"Fold {fold}: {one.contest.reason}")


def evaluation(title: str, report: EvaluationReport) -> None:
    """Print the metrics of predictions, before smoothing too where it was done, and a row per class."""
    rows = {"all videos": report.metrics}
    if report.unsmoothed is not None:
        rows = {"smoothed": report.metrics, "unsmoothed": report.unsmoothed}
    values = [(name, *(f"{row[metric]:.2f}" for metric in METRICS)) for name, row in rows.items()]
    console.table(title, ("", *METRICS.values()), values)
    if undefined := sum(scores.edit is None for scores in report.video_scores.values()):
        console.data(f"{undefined} of {report.metrics['videos']} videos hold nothing but background.")
    classes = [
        (
            name,
            *("–" if row[key] is None else f"{row[key]:.1f}" for key in ("precision", "recall", "f1-score")),
            f"{row['support']:.0f}",
        )
        for name, row in report.per_class["classes"].items()
    ]
    console.table("frames by class (%)", ("class", "precision", "recall", "F1", "frames"), classes)


def predictions_compared(
    one: str, other: str, ours: EvaluationReport, theirs: EvaluationReport, found: PredictionComparison
) -> None:
    """Print the difference of two folders of predictions by metric and by class."""
    rows = [
        (title, f"{ours.metrics[name]:.2f}", f"{theirs.metrics[name]:.2f}", found.metrics[name].words())
        for name, title in METRICS.items()
    ]
    console.table(f"A: {one}, B: {other}", ("", "A", "B", "A − B"), rows)
    classes = [
        (name, f"{here:.1f}", f"{there:.1f}", f"{here - there:+.1f}")
        for name, (here, there) in sorted(found.classes.items(), key=lambda one: one[1][0] - one[1][1])
    ]
    console.table("F1 of the frames of each class (%)", ("class", "A", "B", "A − B"), classes)
    console.data(f"Mean F1 of A against B: {found.metrics['f1'].words()}.")
    console.data("The intervals hold for these two models on other videos; they do not cover other seeds.")


def best_structures(title: str, found: GlobalSearchOutcome, fitness: str, topology: LayerTopology) -> None:
    """Print the best structures of a search, with their fitness by mean and standard error."""
    rows = [
        (
            "\n".join(_names(leader.structure, found)) or str(place),
            "\n".join(rates(leader.structure, topology)),
            _sight(topology.report(leader.structure)),
            _fitness(leader),
            f"{leader.steps:,}",
            str(leader.seeds),
        )
        for place, leader in enumerate(found.leaders, start=1)
    ]
    columns = ("structure", "rates, a line per stage", SIGHT, f"hold-out {fitness}", "steps", "seeds")
    console.table(title, columns, rows)


def shapes(found: GlobalSearchOutcome, fitness: str, topology: LayerTopology) -> None:
    """Print what a search of shapes knows of each, the cheapest first."""

    def look_ahead(structure: DilationStructure) -> str:
        if topology.whole_video:
            return "whole video"
        frames = topology.receptive_field(structure).future
        return f"{frames:,} frames" if found.frame_rate is None else f"{frames / found.frame_rate:.3g} s"

    rows = [
        (
            row.name,
            f"{row.cost:.2f} ×",
            "" if row.latency is None else f"{row.latency:.1f}",
            look_ahead(row.structure),
            f"{row.epochs}\n(still rising)" if row.rising else str(row.epochs),
            f"{row.fitness:.1f}",
            "" if row.cost == 1 else f"{row.difference:+.1f} ({row.low:+.1f} to {row.high:+.1f})",
            str(row.blocks),
            "yes" if row.shown else "no",
        )
        for row in sorted(found.shapes, key=lambda row: row.cost)
    ]
    columns = (
        "shape",
        "multiply-\nadds",
        "ms per 1,000\nframes",
        "look-ahead",
        "epochs",
        f"hold-out\n{fitness}",
        "difference\n(80 % interval)",
        "pairs",
        "within\nmargin",
    )
    console.table("Shapes against hand-designed", columns, rows)


def rates(structure: DilationStructure, topology: LayerTopology) -> list[str]:
    """Return the rates of each stage; those of convolutions side by side on a line of their own."""
    return [
        "\n".join(" ".join(map(str, column)) for column in stage) for stage in topology.columns(structure)
    ]


def _sight(report: Mapping[str, Any]) -> str:
    """Return what `LayerTopology.report` returned, in two lines."""
    frames = f"{report['receptive_field']:,} frames\n{report['look_ahead']:,} frames"
    return f"whole video\n(convolutions:\n{frames})" if report.get("whole_video") else frames


def search_summary(found: GlobalSearchOutcome, *, trainings: float | None) -> list[str]:
    """Return what a search found out, in plain words.

    Args:
        found: Its outcome.
        trainings: What it was allowed to cost in full trainings, or None.
    """
    kept = found.structure == found.hand_designed
    name = next((row.name for row in found.shapes if row.structure == found.structure), str(found.structure))
    lines = [f"Winner: {'the hand-designed structure' if kept else name}. {found.reason}"]
    if found.epochs is not None:
        lines.append(f"Best length of its training: {console.count(found.epochs, 'epoch')}.")
    lines += [
        f"Winner against hand-designed after full trainings, {COMPARED[metric]} on test: {one.words()}."
        for metric, one in found.differences.items()
    ]
    allowed = "" if trainings is None else f" of at most {trainings:.1f}"
    parts = f"{console.count(found.steps, 'step')} of {console.count(found.evaluations, 'evaluation')}"
    if found.final_steps:
        parts += f", {console.count(found.final_steps, 'step')} of the final comparison"
    lines.append(f"Cost: {found.training_equivalents:.1f}{allowed} full trainings ({parts}).")
    return lines


def _names(structure: DilationStructure, found: GlobalSearchOutcome) -> list[str]:
    roles = {"winner": found.structure, "hand-designed": found.hand_designed}
    return [name for name, one in roles.items() if one == structure]


def _fitness(leader: Leader) -> str:
    if leader.fitness is None:
        return "failed"
    error = "" if leader.standard_error is None else f" ± {leader.standard_error:.1f}"
    return f"{leader.fitness:.1f}{error}"


def cost_plan(plan: CostPlan) -> None:
    """Print what a search or a pipeline will cost."""
    costs = {"expected": _cost(plan.expected), "at most": _cost(plan.maximal)}
    if plan.power is not None:
        costs["sensitivity"] = plan.power
    console.facts("Cost", costs)


def dry_run(title: str, plan: CostPlan) -> None:
    """Print what a search would cost, part by part."""
    expected, maximal = plan.expected, plan.maximal
    rows = [
        (
            part,
            f"{steps:,}",
            f"{steps / expected.full_steps:.1f}",
            _share_of_time(expected, steps),
            f"{maximal.steps.get(part, 0) / maximal.full_steps:.1f}",
        )
        for part, steps in (*expected.steps.items(), ("all", expected.total_steps))
    ]
    rows[-1] = (*rows[-1][:-1], f"{maximal.training_equivalents:.1f}")
    columns = ("part", "steps", "full trainings", "time", "full trainings at most")
    console.table(title, columns, rows)
    full = f"A full training is {console.count(expected.full_steps, 'step')}."
    if plan.power is not None:
        console.data(plan.power)
    kept = "" if expected.bytes is None else f" Checkpoints take {_mebibytes(expected.bytes)} while it runs."
    console.data(full + kept)


def dry_run_of_all(plans: Sequence[CostPlan]) -> None:
    """Print what the searches of several folds would cost together."""
    expected, most = (
        sum(cost.training_equivalents for cost in costs)
        for costs in ([plan.expected for plan in plans], [plan.maximal for plan in plans])
    )
    times = [plan.expected.seconds for plan in plans]
    seconds = [time for time in times if time is not None]
    about = f", about {duration(sum(seconds))}" if len(seconds) == len(times) else ""
    console.data(
        f"All {len(plans)} folds: {expected:.1f} full trainings{about}; at most {most:.1f} full trainings."
    )


def _share_of_time(cost: SearchCost, steps: int) -> str:
    if cost.seconds is None or not cost.total_steps:
        return "unknown"
    return duration(cost.seconds * steps / cost.total_steps)


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"


def _cost(cost: SearchCost) -> str:
    parts = [
        console.count(cost.evaluations, "evaluation"),
        console.count(cost.total_steps, "step"),
        f"{cost.training_equivalents:.1f} full trainings of {console.count(cost.full_steps, 'step')}",
    ]
    if cost.seconds is not None:
        parts.append(f"about {duration(cost.seconds)}")
    if cost.bytes is not None:
        parts.append(f"{_mebibytes(cost.bytes)} on disk")
    return " · ".join(parts)


def status_fields(status: SearchStatus, seconds_left: float | None) -> list[str]:
    """Return where a search stands, the most wanted first.

    Args:
        status: After its latest evaluation.
        seconds_left: How long it will go on, or None when that is not known.
    """
    planned, full = status.planned_steps, status.full_steps
    about = "" if status.limited else "about "
    steps = f"{status.completed_steps:,}" + ("" if planned is None else f" of {about}{planned:,}") + " steps"
    if full is not None:
        of = "" if planned is None else f" of {planned / full:.1f}"
        steps += f" ({status.completed_steps / full:.1f}{of} trainings)"
    fields = [
        f"generation {status.generation}" if status.phase == "search" else status.phase.value,
        f"best {status.best:.1f}, median {status.median:.1f}",
        steps,
    ]
    if seconds_left is not None:
        fields.append(f"{'at most' if status.limited else 'about'} {duration(seconds_left)} left")
    fields += [console.count(status.evaluations, "evaluation"), f"{status.cache_hits:,} cached"]
    if status.failures:
        fields.append(f"{status.failures:,} failed")
    return [*fields, console.count(status.workers, "worker")]


class SearchView:
    """A search observer that shows the status after each evaluation.

    Args:
        show: Takes the fields, and nothing when the search is over.
        clock: Seconds, from any start.
    """

    def __init__(
        self, show: Callable[[Sequence[str]], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show = show
        self._clock = clock
        self._start = clock()

    def on_evaluation(self, event: EvaluationEvent) -> None:
        """Show the status; the clock runs from the first training, not from what was replayed before it."""
        status, now = event.status, self._clock()
        if not status.trained_steps:
            self._start = now
        self._show(status_fields(status, status.seconds_left(now - self._start)))

    def on_generation(self, summary: GenerationSummary) -> None:
        """Wait for the next evaluation."""

    def on_end(self) -> None:
        """Show nothing any more."""
        self._show(())
