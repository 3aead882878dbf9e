"""Synthetic fitnesses, importable by name so that worker processes can unpickle them."""

from __future__ import annotations

import math
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from g2l.config import Budget
from g2l.evaluation import Evaluation, EvaluationTask
from g2l.search.executors.base import attempt
from g2l.structure import DilationStructure

BUDGET = Budget(7, "steps")
TARGET = DilationStructure(((4, 1, 16, 2), (32, 8, 1, 4)))
"""The best of the small searches."""
METRICS = ("accuracy", "edit", "f1@10", "f1@25", "f1@50")


def score(structure: DilationStructure, target: DilationStructure, scale: float = 12.0) -> float:
    """100 at the target, `scale` less per octave of mean distance, never below 0."""
    octaves = [abs(math.log2(a) - math.log2(b)) for a, b in zip(structure.rates, target.rates, strict=True)]
    return max(0.0, 100.0 - scale * sum(octaves) / len(octaves))


def evaluation(structure: DilationStructure, value: float, seed: int = 0, **changes) -> Evaluation:
    return Evaluation(
        **{"structure": structure, "budget": BUDGET, "seed": seed, "seconds": 0.5}
        | {"metrics": dict.fromkeys(METRICS, value)}
        | changes
    )


def scored(task: EvaluationTask, target: DilationStructure, **metrics: float) -> Evaluation:
    return Evaluation(
        **vars(task),
        metrics=dict.fromkeys(METRICS, score(task.structure, target)) | metrics,
        seconds=0.25,
    )


@dataclass
class Landscape:
    """Distance to a hidden target; counts its calls and fails where told to."""

    target: DilationStructure
    broken: frozenset[str] = frozenset()
    calls: list[str] = field(default_factory=list)

    def __call__(self, task: EvaluationTask) -> Evaluation:
        self.calls.append(task.structure.key)
        if task.structure.key in self.broken:
            raise RuntimeError(f"no memory for {task.structure.key}\nsecond line")
        return scored(task, self.target)


class Scores:
    """A fitness made of a function of one task; keeps its tasks."""

    def __init__(self, score_of=lambda task: scored(task, TARGET)) -> None:
        self.score_of = score_of
        self.tasks: list[EvaluationTask] = []

    def __call__(self, task: EvaluationTask) -> Evaluation:
        self.tasks.append(task)
        return self.score_of(task)


class Shuffled:
    """An executor that completes its tasks in another order, as processes do."""

    def __init__(self, fitness, seed: int, slots: int = 3) -> None:
        self.fitness, self.slots, self.generator = fitness, slots, np.random.default_rng(seed)
        self.waiting: list[EvaluationTask] = []

    def submit(self, task):
        self.waiting.append(task)

    def results(self):
        while self.waiting:
            running = min(self.slots, len(self.waiting))
            yield attempt(self.fitness, self.waiting.pop(self.generator.integers(running)))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None


@dataclass(frozen=True)
class Scripted:
    """A fitness for processes; marker files in `folder` make it die, sleep or report its process."""

    target: DilationStructure
    folder: Path
    seconds: float = 0.0

    def __call__(self, task: EvaluationTask) -> Evaluation:
        time.sleep(self.seconds)
        (self.folder / f"pid-{os.getpid()}").touch()
        name = task.structure.key.replace("/", "_")
        with (self.folder / f"runs-{name}").open("a") as runs:
            runs.write("x")
        once = self.folder / f"kill-{name}"
        if once.exists() or (self.folder / f"always-{name}").exists():
            once.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if (self.folder / f"sleep-{name}").exists():
            time.sleep(600)
        return scored(task, self.target, threads=float(os.environ["OMP_NUM_THREADS"]))


def _die() -> Landscape:
    os._exit(3)


class Unstartable:
    """Kills the worker that unpickles it."""

    def __reduce__(self):
        return (_die, ())
