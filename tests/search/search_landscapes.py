"""Synthetic fitnesses, importable by name so that worker processes can unpickle them."""

from __future__ import annotations

import math
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from g2l.evaluation import Budget, Evaluation
from g2l.structure import DilationStructure

BUDGET = Budget(7, "steps")
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


@dataclass
class Landscape:
    """Distance to a hidden target; counts its calls and fails where told to."""

    target: DilationStructure
    broken: frozenset[str] = frozenset()
    calls: list[str] = field(default_factory=list)

    def __call__(self, structure: DilationStructure, budget: Budget, seed: int) -> Evaluation:
        self.calls.append(structure.key)
        if structure.key in self.broken:
            raise RuntimeError(f"no memory for {structure.key}\nsecond line")
        return Evaluation(
            structure=structure,
            budget=budget,
            seed=seed,
            metrics=dict.fromkeys(METRICS, score(structure, self.target)),
            seconds=0.25,
        )


@dataclass(frozen=True)
class Scripted:
    """A fitness for processes; marker files in `folder` make it die, sleep or report its process."""

    target: DilationStructure
    folder: Path

    def __call__(self, structure: DilationStructure, budget: Budget, seed: int) -> Evaluation:
        (self.folder / f"pid-{os.getpid()}").touch()
        name = structure.key.replace("/", "_")
        once = self.folder / f"kill-{name}"
        if once.exists() or (self.folder / f"always-{name}").exists():
            once.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if (self.folder / f"sleep-{name}").exists():
            time.sleep(600)
        threads = float(os.environ["OMP_NUM_THREADS"])
        metrics = dict.fromkeys(METRICS, score(structure, self.target)) | {"threads": threads}
        return Evaluation(structure=structure, budget=budget, seed=seed, metrics=metrics)


def _die() -> Landscape:
    os._exit(3)


class Unstartable:
    """Kills the worker that unpickles it."""

    def __reduce__(self):
        return (_die, ())
