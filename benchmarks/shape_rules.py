"""Which rule ships a shape: simulated searches, the real code on synthetic curves.

    python -m benchmarks.shape_rules            # the table of benchmarks/shape_rules.json
    python -m benchmarks.shape_rules --searches 20 --output table.json

True differences, noise and best lengths are those of METHOD, section 8. A search ships a structure and its
number of epochs; it gains its true score minus that of the hand-designed structure at its own best length.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from g2l.config import BackboneConfig, GlobalSearchConfig, Preference, Space
from g2l.evaluation import Evaluation, EvaluationTask
from g2l.files import write_json
from g2l.models.size import multiply_adds_per_frame
from g2l.search import proof
from g2l.search.engine import Search
from g2l.search.executors.base import SerialExecutor
from g2l.search.proof import Estimate, Rule, shrunken
from g2l.search.proposals.shapes import Proof, search_shapes
from g2l.search.shapes import ShapeSpace, canonical_shapes
from g2l.structure import DilationStructure

EPOCHS, FULL_STEPS, ROTATIONS, SHARE = 50, 1000, 4, 0.83
BUDGETS = (3.0, 5.0, 10.0, 20.0)
CHOSEN = "shrunken around −1"
LOSS = -1.0
"""Points below which a shipped structure counts as a loss."""

# True differences of 8,5,5 · 3×6 · 3×8 · 3×5 (growth 3) · 2×6 · 3×4 · 4×6, and noise of a paired difference.
WORLDS = {
    "gtea": ((0.7, 0.6, 0.5, 0.3, -0.6, 0.5, 0.9), 3.5),
    "short videos": ((-0.8, 0.6, -1.0, -0.3, -1.0, -3.7, 0.9), 2.3),
    "third set": ((0.2, -0.2, 0.6, -0.2, -1.4, -3.0, -1.0), 2.3),
    "gaze": ((-1.0, -2.4, -0.9, -2.0, -3.5, -6.0, -2.0), 3.5),
    "long videos": ((-3.0, -9.0, -3.0, -4.0, -11.0, -20.0, -8.0), 2.3),
    "all equal": ((0.0,) * 7, 2.3),
}
SCATTER = 0.7
"""Standard deviation of what is added to a true difference in each search: the figures are uncertain, too."""
BEST_LENGTH = (80.0, 75.0, 70.0, 70.0, 65.0, 55.0, 50.0, 80.0)
"""Epochs, the hand-designed structure first."""


@dataclass(frozen=True)
class World:
    """Hold-out curves of all shapes, a function of the task and the seed of the world."""

    structures: tuple[DilationStructure, ...]
    differences: NDArray[np.float64]
    noise: float
    seed: int

    def true_score(self, structure: DilationStructure, epochs: NDArray[np.float64] | float) -> Any:
        """Return the score that many trainings would have on average."""
        number = self.structures.index(structure)
        distance = np.log(np.asarray(epochs) / BEST_LENGTH[number])
        peak = 65.0 + (0.0 if number == 0 else self.differences[number - 1])
        return np.maximum(0.0, peak - np.where(distance < 0, 8.0, 2.0) * distance**2)

    def __call__(self, task: EvaluationTask) -> Evaluation:
        """Return the curve of a task."""
        number, holdout = self.structures.index(task.structure), task.holdouts[0]
        single = self.noise / np.sqrt(2)

        def draw(*key: int) -> np.random.Generator:
            return np.random.default_rng([self.seed, *key])

        offset = 4.0 * draw(1, holdout).normal() + 1.5 * draw(2, task.seed).normal()
        offset += np.sqrt(0.5) * single * draw(3, number, holdout).normal()
        offset += np.sqrt(0.5) * single * draw(4, number, task.seed).normal()
        jitter = 1.5 * draw(5, number, task.seed).normal(size=500)[: task.budget.amount]
        epochs = np.arange(1, task.budget.amount + 1, dtype=np.float64)
        curve = np.clip(self.true_score(task.structure, epochs) + offset + jitter, 0, 100)
        names = ("f1@10", "f1@25", "f1@50")
        values = tuple(map(float, curve))
        return Evaluation(
            **vars(task),
            metrics=dict.fromkeys(names, values[-1]),
            curve=dict.fromkeys(names, values),
            seconds=1.0,
        )


def averages(scores: NDArray[np.float64], holdouts: Sequence[int]) -> Estimate:
    """Return the mean paired differences with their own t-intervals."""
    differences = scores - scores[0]
    blocks = np.isfinite(differences).sum(axis=1)
    mean = np.nan_to_num(np.nanmean(differences, axis=1))
    spread = np.array([np.nanstd(row, ddof=1) if np.isfinite(row).sum() > 1 else 30.0 for row in differences])
    return Estimate(mean, spread / np.sqrt(blocks.clip(1)) + 1e-6, blocks, float(max(1, blocks.max() - 1)))


def quadratic(scores: NDArray[np.float64], holdouts: Sequence[int], costs: NDArray[np.float64]) -> Estimate:
    """Return differences from a quadratic regression over the logarithm of the cost, with block effects."""
    rows, blocks = np.nonzero(np.isfinite(scores))
    size = np.log2(costs[: len(scores)])
    design = np.column_stack([size[rows], size[rows] ** 2, np.eye(scores.shape[1])[blocks]])
    inverse = np.linalg.pinv(design.T @ design)
    solution = inverse @ design.T @ scores[rows, blocks]
    residuals = scores[rows, blocks] - design @ solution
    freedom = max(1.0, len(rows) - np.linalg.matrix_rank(design))
    variance = (proof.NOISE_WEIGHT * proof.NOISE**2 + residuals @ residuals) / (proof.NOISE_WEIGHT + freedom)
    features = np.column_stack([size, size**2])
    error = np.sqrt(np.einsum("ij,jk,ik->i", features, inverse[:2, :2], features) * variance)
    return Estimate(
        features @ solution[:2], error, np.isfinite(scores).sum(axis=1), proof.NOISE_WEIGHT + freedom
    )


def rules(space: ShapeSpace) -> dict[str, Rule]:
    """Return the rules that are compared, by name."""
    costs = np.array([space.cost(one) for one in space.structures])
    return {
        "averages": averages,
        CHOSEN: shrunken,
        "shrunken around 0": partial(shrunken, prior_mean=0.0),
        "quadratic in cost": partial(quadratic, costs=costs),
    }


def space_of(budget: float | None) -> ShapeSpace:
    """Return the default space around 4 × 10 with a budget in training equivalents."""
    backbone = BackboneConfig()
    names = {backbone.hand_designed(): "4×10"}
    names |= {shape.structure(largest=1000): str(shape) for shape in canonical_shapes(4, 10)}
    return ShapeSpace(
        names=names,
        multiply_adds={
            one: multiply_adds_per_frame(backbone, one, feature_dim=128, num_classes=10) for one in names
        },
        epochs=EPOCHS,
        max_epochs=2 * EPOCHS,
        full_steps=FULL_STEPS,
        share=SHARE,
        rotations=ROTATIONS,
        trainings=budget,
    )


def searched(space: ShapeSpace, world: World, rule: Rule, prefer: Preference = Preference.SHOWN) -> Proof:
    """Return the outcome of one search."""
    with SerialExecutor(world) as executor:
        search = Search(
            space,
            GlobalSearchConfig(space=Space.SHAPES, prefer=prefer),
            executor,
            seed=world.seed * 1000,
            hand_designed=space.structures[0],
            full_steps=FULL_STEPS,
            journal=None,
            store=None,
            observers=(),
            progress=None,
        )
        return search_shapes(search, space, rule)


def gain(world: World, found: Proof) -> float:
    """Return the true score of what is shipped minus the best of the hand-designed structure."""
    best = world.true_score(world.structures[0], BEST_LENGTH[0])
    return float(world.true_score(found.winner.structure, found.winner.epochs) - best)


def cell(job: tuple[str, float, str, str, int]) -> dict[str, Any]:
    """Return a row of the table."""
    name, budget, rule_name, prefer, searches = job
    space = space_of(budget)
    differences, noise = WORLDS[name]
    gains, shipped, costs = [], 0, []
    for seed in range(searches):
        scatter = SCATTER * np.random.default_rng([seed, 99]).normal(size=7) * (name != "all equal")
        world = World(space.structures, np.array(differences) + scatter, noise, seed)
        found = searched(space, world, rules(space)[rule_name], Preference(prefer))
        gains.append(gain(world, found))
        costs.append(found.winner.cost)
        shipped += found.winner.structure != space.structures[0]
    return {
        "data": name,
        "budget": budget,
        "rule": rule_name,
        "prefer": prefer,
        "searches": searches,
        "worse_than_1": round(100 * float(np.mean(np.array(gains) < LOSS)), 1),
        "worse_than_margin": round(100 * float(np.mean(np.array(gains) < -1.5)), 1),
        "gain": round(float(np.mean(gains)), 2),
        "gain_error": round(float(stats.sem(gains)), 2),
        "shipped": round(100 * shipped / searches, 1),
        "cost": round(float(np.mean(costs)), 2),
    }


def main() -> None:
    """Simulate what the table lacks, and write it after each cell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    names = list(rules(space_of(None)))
    jobs = [
        (world, budget, rule, "shown", options.searches)
        for budget in BUDGETS
        for rule in names
        for world in WORLDS
    ]
    jobs += [(world, 5.0, CHOSEN, "cheapest", options.searches) for world in WORLDS]
    rows = json.loads(options.output.read_text(encoding="utf-8")) if options.output.exists() else []
    known = {(row["data"], row["budget"], row["rule"], row["prefer"], row["searches"]) for row in rows}
    with Pool() as pool:
        for row in pool.imap_unordered(cell, [job for job in jobs if job not in known]):
            rows.append(row)
            write_json(options.output, sorted(rows, key=str))
    print(table(rows))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the means over all data, and each kind of data at the default budget, as Markdown."""
    lines = [
        "| rule | budget | worse than −1 (%) | worse than −1.5 (%) | gain | shipped (%) | multiply-adds |",
        "|---|---|---|---|---|---|---|",
    ]
    keys = ("worse_than_1", "worse_than_margin", "gain", "shipped", "cost")
    for rule, prefer, budget in dict.fromkeys((row["rule"], row["prefer"], row["budget"]) for row in rows):
        of = [row for row in rows if (row["rule"], row["prefer"], row["budget"]) == (rule, prefer, budget)]
        means = [f"{np.mean([row[key] for row in of]):.2f}" for key in keys]
        lines.append(
            f"| {rule}{'' if prefer == 'shown' else ', ' + prefer} | {budget:g} | {' | '.join(means)} |"
        )
    lines += [
        "",
        "| data | worse than −1 (%) | worse than −1.5 (%) | gain | shipped (%) | multiply-adds |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if (row["rule"], row["prefer"], row["budget"]) == (CHOSEN, "shown", 5.0):
            lines.append(f"| {row['data']} | {' | '.join(f'{row[key]:.2f}' for key in keys)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
