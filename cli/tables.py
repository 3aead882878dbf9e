"""Output of the stages: the status of a running search, tables and summaries at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from g2l.progress import duration

from . import console

if TYPE_CHECKING:
    from g2l.inference.evaluate import EvaluationReport, PredictionComparison
    from g2l.metrics.comparison import Comparison
    from g2l.metrics.summary import Summary
    from g2l.pipeline.pipeline import FoldsOutcome, PipelineOutcome
    from g2l.pipeline.search_outcome import GlobalSearchOutcome, Leader
    from g2l.search.budget import CostPlan, SearchCost
    from g2l.search.candidates import EvaluationEvent, GenerationSummary, SearchStatus
    from g2l.structure import DilationStructure, LayerTopology

METRICS = {"accuracy": "accuracy", "edit": "edit", "f1@10": "F1@10", "f1@25": "F1@25", "f1@50": "F1@50"}
SIGHT = "receptive field\nlook-ahead"
COMPARED = {"f1": "mean F1", "accuracy": "accuracy"}


def _scores(test: Mapping[str, Summary]) -> dict[str, str]:
    return {title: str(test[metric]) for metric, title in METRICS.items()}


def fold_scores(title: str, folds: Mapping[int, Mapping[str, Mapping[str, Summary]]]) -> None:
    """Print test metrics by fold and structure, and the means over several folds that have test videos."""
    from g2l.metrics.summary import mean_over_folds

    folds = {fold: tests for fold, tests in folds.items() if all(tests.values())}
    if not folds:
        console.data(f"{title}: no test videos.")
        return
    if len(folds) == 1:
        (tests,) = folds.values()
        console.table(title, [{"structure": name} | _scores(test) for name, test in tests.items()])
        return
    names = next(iter(folds.values()))
    means = {name: mean_over_folds([tests[name] for tests in folds.values()]) for name in names}
    rows = [
        {"fold": fold, "structure": name} | _scores(test)
        for fold, tests in {**{str(fold): tests for fold, tests in folds.items()}, "mean": means}.items()
        for name, test in tests.items()
    ]
    console.table(title, rows)
    console.data("± is the standard deviation: over seeds within a fold, over the folds in the mean.")


def comparison(title: str, outcome: PipelineOutcome, topology: LayerTopology) -> None:
    """Print the hand-designed and the searched structure side by side, and whether they differ."""
    rows = [
        {"structure": name}
        | _scores(contestant.test)
        | {
            SIGHT: _sight(topology.report(contestant.structure)),
            "epochs": str(contestant.epochs),
            "search cost": f"{contestant.training_equivalents:.1f} trainings",
        }
        for name, contestant in outcome.contestants.items()
    ]
    console.table(title, rows)
    console.data(outcome.contest.reason)
    parts = ", ".join(f"{name} {cost:.1f}" for name, cost in outcome.costs.items())
    console.data(f"Cost: {sum(outcome.costs.values()):.1f} full trainings ({parts}).")
    baseline, searched = outcome.contestants["hand-designed"], outcome.contestants["searched"]
    if searched.structure == baseline.structure:
        console.data("The search kept the hand-designed structure.")
    else:
        _differences(outcome.differences)


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
        _differences(outcome.differences)
    for fold, one in outcome.folds.items():
        console.data(f"Fold {fold}: {one.contest.reason}")


def _differences(found: Mapping[str, Comparison]) -> None:
    for metric, difference in found.items():
        console.data(f"Searched against hand-designed, {COMPARED[metric]}: {difference.words()}.")


def evaluation(title: str, report: EvaluationReport) -> None:
    """Print the metrics of predictions, before smoothing too where it was done, and a row per class."""
    scores = {"all videos": report.metrics}
    if report.unsmoothed is not None:
        scores = {"smoothed": report.metrics, "unsmoothed": report.unsmoothed}
    rows = [
        {"": name} | {title: f"{found[metric]:.2f}" for metric, title in METRICS.items()}
        for name, found in scores.items()
    ]
    console.table(title, rows)
    if undefined := sum(one.edit is None for one in report.video_scores.values()):
        console.data(f"{undefined} of {report.metrics['videos']} videos hold nothing but background.")
    percent = {"precision": "precision", "recall": "recall", "F1": "f1-score"}
    classes = [
        {"class": name}
        | {title: "–" if row[key] is None else f"{row[key]:.1f}" for title, key in percent.items()}
        | {"frames": f"{row['support']:.0f}"}
        for name, row in report.per_class["classes"].items()
    ]
    console.table("frames by class (%)", classes)


def predictions_compared(
    one: str, other: str, ours: EvaluationReport, theirs: EvaluationReport, found: PredictionComparison
) -> None:
    """Print the difference of two folders of predictions by metric and by class."""
    rows = [
        {
            "": title,
            "A": f"{ours.metrics[name]:.2f}",
            "B": f"{theirs.metrics[name]:.2f}",
            "A − B": found.metrics[name].words(),
        }
        for name, title in METRICS.items()
    ]
    console.table(f"A: {one}, B: {other}", rows)
    classes = [
        {"class": name, "A": f"{here:.1f}", "B": f"{there:.1f}", "A − B": f"{here - there:+.1f}"}
        for name, (here, there) in sorted(found.classes.items(), key=lambda one: one[1][0] - one[1][1])
    ]
    console.table("F1 of the frames of each class (%)", classes)
    console.data(f"Mean F1 of A against B: {found.metrics['f1'].words()}.")
    console.data("The intervals hold for these two models on other videos; they do not cover other seeds.")


def best_structures(title: str, found: GlobalSearchOutcome, fitness: str, topology: LayerTopology) -> None:
    """Print the best structures of a search, with their fitness by mean and standard error."""
    roles = {"winner": found.structure, "hand-designed": found.hand_designed}
    rows = [
        {
            "structure": "\n".join(name for name, one in roles.items() if one == leader.structure)
            or str(place),
            "rates, a line per stage": "\n".join(rates(leader.structure, topology)),
            SIGHT: _sight(topology.report(leader.structure)),
            f"hold-out {fitness}": _fitness(leader),
            "steps": f"{leader.steps:,}",
            "seeds": str(leader.seeds),
        }
        for place, leader in enumerate(found.leaders, start=1)
    ]
    console.table(title, rows)


def shapes(found: GlobalSearchOutcome, fitness: str, topology: LayerTopology) -> None:
    """Print what a search of shapes knows of each, the cheapest first."""

    def look_ahead(structure: DilationStructure) -> str:
        if topology.whole_video:
            return "whole video"
        frames = topology.receptive_field(structure).future
        return f"{frames:,} frames" if found.frame_rate is None else f"{frames / found.frame_rate:.3g} s"

    rows = [
        {
            "shape": row.name,
            "multiply-\nadds": f"{row.cost:.2f} ×",
            "ms per 1,000\nframes": "" if row.latency is None else f"{row.latency:.1f}",
            "look-ahead": look_ahead(row.structure),
            "epochs": f"{row.epochs}\n(still rising)" if row.rising else str(row.epochs),
            f"hold-out\n{fitness}": f"{row.fitness:.1f}",
            "difference\n(80 % interval)": ""
            if row.cost == 1
            else f"{row.difference:+.1f} ({row.low:+.1f} to {row.high:+.1f})",
            "pairs": str(row.blocks),
            "within\nmargin": "yes" if row.shown else "no",
        }
        for row in sorted(found.shapes, key=lambda row: row.cost)
    ]
    console.table("Shapes against hand-designed", rows)


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
    """Return what a search found out, in plain words, and that it was allowed to cost so many trainings."""
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
    return [*lines, f"Cost: {found.training_equivalents:.1f}{allowed} full trainings ({parts})."]


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
    full, most = expected.full_steps, maximal.full_steps
    known = expected.seconds is not None and expected.total_steps > 0
    rows = [
        {
            "part": part,
            "steps": f"{steps:,}",
            "full trainings": f"{steps / full:.1f}",
            "time": duration((expected.seconds or 0) * steps / expected.total_steps) if known else "unknown",
            "full trainings at most": f"{at_most / most:.1f}",
        }
        for part, steps, at_most in (
            *((part, steps, maximal.steps.get(part, 0)) for part, steps in expected.steps.items()),
            ("all", expected.total_steps, maximal.total_steps),
        )
    ]
    console.table(title, rows)
    if plan.power is not None:
        console.data(plan.power)
    kept = "" if expected.bytes is None else f" Checkpoints take {_mebibytes(expected.bytes)} while it runs."
    console.data(f"A full training is {console.count(full, 'step')}.{kept}")


def dry_run_of_all(plans: Sequence[CostPlan]) -> None:
    """Print what the searches of several folds would cost together."""
    expected = sum(plan.expected.training_equivalents for plan in plans)
    most = sum(plan.maximal.training_equivalents for plan in plans)
    times = [plan.expected.seconds for plan in plans if plan.expected.seconds is not None]
    about = f", about {duration(sum(times))}" if len(times) == len(plans) else ""
    console.data(
        f"All {len(plans)} folds: {expected:.1f} full trainings{about}; at most {most:.1f} full trainings."
    )


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
    """Return where a search stands, the most wanted first; the time left may be unknown."""
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
    """A search observer that shows the status after each evaluation, and nothing when the search is over."""

    def __init__(
        self, show: Callable[[Sequence[str]], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show, self._clock, self._start, self._trained = show, clock, clock(), 0

    def on_evaluation(self, event: EvaluationEvent) -> None:
        """Show the status; the clock runs from the first training, not from what was replayed before it."""
        status, now = event.status, self._clock()
        if not status.trained_steps or status.trained_steps < self._trained:  # of another search
            self._start = now
        self._trained = status.trained_steps
        self._show(status_fields(status, status.seconds_left(now - self._start)))

    def on_generation(self, summary: GenerationSummary) -> None:
        """Wait for the next evaluation."""

    def on_end(self) -> None:
        """Show nothing any more."""
        self._show(())
