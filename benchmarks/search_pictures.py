"""Draws how noise, racing and strategies work, for the documents: `python -m benchmarks.search_pictures`.

Nothing is trained: the real search code runs on a toy, whose scores rise with training towards the worth of
a structure and are disturbed by the seed. The pictures explain; what is measured is in `search_efficiency`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from g2l.config import Budget, GlobalSearchConfig, ProxyChoice, Strategy
from g2l.evaluation import Evaluation, EvaluationTask
from g2l.figures.style import PAGE, canvas, save_figure, styled
from g2l.files import fingerprint
from g2l.search.budget import ROUNDS
from g2l.search.candidates import EvaluationEvent, GenerationSummary, SearchPhase
from g2l.search.engine import Search
from g2l.search.executors.base import SerialExecutor
from g2l.search.loop import run_global_search
from g2l.search.race import choose, next_round, race_results
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure, LayerTopology

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
SPACE = SearchSpace(LayerTopology(), (3, 3), tuple(2**exponent for exponent in range(8)))
TARGET = SPACE.from_rates([1, 4, 16, 8, 2, 32])
HAND_DESIGNED = DilationStructure.hand_designed(2, 3)
FULL_STEPS, PROXY = 400, 100
SEED_SPREAD = 1.9
"""Points between seeds, measured on 18 real score channels (see docs/searching.md)."""
SPREADS = {"short sequences": (0.4, SEED_SPREAD), "long sequences": (6.1, 2.7)}
"""Points between structures, and between seeds, measured on two data sets."""
RUNS = 2000


class Toy:
    """Scores that rise with training towards the worth of a structure, disturbed by the seed."""

    def __call__(self, task: EvaluationTask) -> Evaluation:
        """Return the score of a task."""
        pairs = zip(task.structure.rates, TARGET.rates, strict=True)
        octaves = sum(abs(math.log2(a) - math.log2(b)) for a, b in pairs) / SPACE.genes
        learnt = 1 - math.exp(-task.budget.amount / PROXY)
        noise = np.random.default_rng([int(fingerprint(task.structure.as_lists()), 16), task.seed])
        score = max(0.0, (90 - 15 * octaves) * learnt + noise.normal(0, SEED_SPREAD))
        metrics = dict.fromkeys(("f1@10", "f1@25", "f1@50"), score)
        return Evaluation(**vars(task), metrics=metrics, seconds=1.0)


@dataclass
class Course:
    """What a search evaluated, in order."""

    spent: list[int] = field(default_factory=list)
    findings: list[EvaluationEvent] = field(default_factory=list)

    def on_evaluation(self, finding: EvaluationEvent) -> None:
        """Keep one evaluation."""
        self.findings.append(finding)
        self.spent.append(finding.status.completed_steps)

    def on_generation(self, summary: GenerationSummary) -> None:
        """Draw no generations."""

    def on_end(self) -> None:
        """Nothing is left to do."""


def course(strategy: Strategy) -> Course:
    """Return what a strategy does with twenty full trainings."""
    seen = Course()
    config = GlobalSearchConfig(
        strategy=strategy, trainings=20.0, proxy=ProxyChoice.FIXED, budget=Budget(PROXY, "steps"), leaders=3
    )
    run_global_search(Search(SPACE, config, SerialExecutor(Toy()), seed=0, hand_designed=HAND_DESIGNED,
                      full_steps=FULL_STEPS, observers=[seen]))  # fmt: skip
    return seen


@styled
def draw_course(seen: Course) -> Figure:
    """Return every evaluation of a search as a point: when, how it scored, and how long it was trained."""
    figure, ((axes,),) = canvas(PAGE, 2.6)
    for marker, race, label in (("o", False, "search"), ("^", True, "race under fresh seeds")):
        chosen = [
            (spent / FULL_STEPS, finding.evaluation.metrics["f1@10"], finding.evaluation.budget.amount)
            for spent, finding in zip(seen.spent, seen.findings, strict=True)
            if (finding.status.phase is SearchPhase.RACE) is race
        ]
        spent, scores, steps = zip(*chosen, strict=True)
        points = axes.scatter(
            spent, scores, c=steps, vmin=0, vmax=FULL_STEPS, marker=marker, s=24, cmap="plasma", label=label
        )
    axes.set_xlabel("spent so far (full trainings)")
    axes.set_ylabel("score (points)")
    axes.set_ylim(0, 100)
    axes.legend(loc="lower right")
    figure.colorbar(points, ax=axes, label="steps of the training")
    return figure


@styled
def draw_noise() -> Figure:
    """Return what the best of many scores under one seed promises, and what it is worth."""
    generator = np.random.default_rng(0)
    counts = [2, 5, 10, 20, 50, 100]
    figure, grid = canvas(PAGE, 2.6, columns=len(SPREADS))
    for axes, (name, (spread, seeds)) in zip(grid[0], SPREADS.items(), strict=True):
        worth = generator.normal(0, spread, (RUNS, max(counts)))
        scores = worth + generator.normal(0, seeds, worth.shape)
        leaders = [scores[:, :count].argmax(axis=1) for count in counts]
        rows = np.arange(RUNS)
        axes.plot(counts, [scores[rows, one].mean() for one in leaders], marker="o", label="its score")
        axes.plot(counts, [worth[rows, one].mean() for one in leaders], marker="s", label="its worth")
        axes.set_xscale("log")
        axes.set_title(f"{name}:\n{spread} points between structures, {seeds} between seeds")
        axes.set_xlabel("candidates")
        axes.set_ylabel("points above the mean")
        axes.legend()
    return figure


@styled
def draw_race() -> Figure:
    """Return how often a race replaces the hand-designed structure, and what that is worth."""
    generator = np.random.default_rng(0)
    spreads = [0.0, 0.5, 1.0, 2.0, 3.0, 5.0]
    found = np.array([[_race(generator, spread) for _ in range(RUNS // 4)] for spread in spreads])
    figure, ((replaced, worth),) = canvas(PAGE, 2.6, columns=2)
    replaced.plot(spreads, 100 * found[:, :, 2].mean(axis=1), marker="o", label="replaced")
    replaced.plot(spreads, 100 * (found[:, :, 1] < 0).mean(axis=1), marker="s", label="by a worse one")
    replaced.set_ylabel("races (%)")
    for column, label in ((0, "best of the five"), (1, "winner of the race")):
        worth.plot(spreads, found[:, :, column].mean(axis=1), marker="o", label=label)
    worth.set_ylabel("points above hand-designed")
    for axes in (replaced, worth):
        axes.set_xlabel("points between structures")
        axes.legend()
    return figure


def _race(generator: np.random.Generator, spread: float) -> tuple[float, float, bool]:
    """Return the worth of the best and of the winner of one race above the hand-designed one, and who won."""
    structures = [HAND_DESIGNED, *(SPACE.sample(generator) for _ in range(4))]
    worth = dict(zip(structures, generator.normal(0, spread, len(structures)), strict=True))
    scores: dict[DilationStructure, list[float]] = {structure: [] for structure in structures}
    for _ in range(ROUNDS):
        for one in next_round(race_results(scores), HAND_DESIGNED):
            scores[one].append(worth[one] + generator.normal(0, SEED_SPREAD))
    winner = choose(race_results(scores), HAND_DESIGNED).winner.structure
    reference = worth[HAND_DESIGNED]
    return max(worth.values()) - reference, worth[winner] - reference, winner != HAND_DESIGNED


def main() -> None:
    """Draw all pictures."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    save_figure(FIGURES / "noise.svg", draw_noise())
    save_figure(FIGURES / "race.svg", draw_race())
    for strategy in Strategy:
        save_figure(FIGURES / f"strategy-{strategy}.svg", draw_course(course(strategy)))


if __name__ == "__main__":
    main()
