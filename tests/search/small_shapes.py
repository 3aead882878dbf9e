"""A search of shapes on synthetic curves, importable by name so that worker processes can unpickle it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from g2l.evaluation import Evaluation
from g2l.search.shapes import Shape, ShapeSpace
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure, LayerTopology

HAND = DilationStructure.hand_designed(4, 10)
SMALL = Shape((8, 5, 5)).structure(largest=1000)
TINY = Shape((4, 4, 4)).structure(largest=1000)
FULL = 1000
RATES = SearchSpace(LayerTopology(), HAND.shape, tuple(2**exponent for exponent in range(10)))


def shape_space(*others, allowed=20.0, **changes):
    names = {HAND: "4×10"} | {one: ",".join(map(str, one.shape)) for one in others or (SMALL, TINY)}
    options = {"epochs": 10, "max_epochs": 20, "full_steps": FULL, "share": 0.8, "rotations": 3}
    return ShapeSpace(
        names=names,
        multiply_adds={one: len(one.rates) * 100 for one in names},
        trainings=allowed,
        **options | changes,
    )


@dataclass(frozen=True)
class Curves:
    """Scores that rise to a level of each structure within `peak` epochs and fall after; seeds shift all.

    Before epoch `learns` all scores are 0.
    """

    levels: tuple[tuple[DilationStructure, float], ...]
    peak: int = 7
    noise: float = 0.3
    learns: int = 0

    def __call__(self, task):
        level = dict(self.levels)[task.structure]
        if math.isnan(level):
            raise RuntimeError("no memory")
        wobble = self.noise * math.sin(task.seed * 7 + len(task.structure.rates))
        curve = tuple(
            max(0.0, level - abs(epoch - self.peak) + task.seed % 5 + wobble) * (epoch >= self.learns)
            for epoch in range(1, task.budget.amount + 1)
        )
        names = ("f1@10", "f1@25", "f1@50")
        return Evaluation(
            **vars(task),
            metrics=dict.fromkeys(names, curve[-1]),
            curve=dict.fromkeys(names, curve),
            seconds=0.1,
        )


@dataclass(frozen=True)
class RatesToo:
    """The curves, and after a budget in steps more points if an early layer has the rate `at`."""

    at: int | None

    def __call__(self, task):
        if task.budget.unit == "epochs":
            return curves()(task)
        gain = 20.0 * (self.at in task.structure.stages[0][:4])
        if self.at is None and task.structure != SMALL:
            gain = -1.0
        noise = math.sin(task.seed * 3 + sum(task.structure.rates)) / 10
        return Evaluation(**vars(task), metrics=dict.fromkeys(("f1@10", "f1@25", "f1@50"), 60 + gain + noise))


def curves(hand=60.0, small=60.0, tiny=40.0, **options):
    return Curves(((HAND, hand), (SMALL, small), (TINY, tiny)), **options)
