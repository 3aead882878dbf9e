"""Shapes: how many stages, layers and which growth of the rates; what each costs to train."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from g2l.config import Budget
from g2l.errors import InputError
from g2l.evaluation import EvaluationTask
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure

SHAPES_FIRST = 0.5
"""Share of the budget that shapes may take where rates are searched after them."""

_FORM = re.compile(r"(\d+(?:,\d+)*)(?:\^(\d+(?:\.\d+)?))?(?:/(\d+))?")


@dataclass(frozen=True)
class Shape:
    """Layers of each stage, and the rates that they have.

    `growth` is the rate of a layer over that of the layer before; after `cycle` layers the rates begin again
    at the smallest.
    """

    layers: tuple[int, ...]
    growth: float = 2.0
    cycle: int | None = None

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Return the shape of a text: `8,5,5`, `5,5,5^3` (growth 3) or `10,10,10^2/6` (cycles of 6)."""
        match = _FORM.fullmatch(text.replace(" ", ""))
        layers = () if match is None else tuple(map(int, match[1].split(",")))
        growth = float(match[2]) if match and match[2] else 2.0
        cycle = int(match[3]) if match and match[3] else None
        if not layers or min(layers) < 1 or not 1 < growth <= 16 or cycle == 0 or sum(layers) > 1000:
            raise InputError(
                f"`shapes` must hold layers per stage, such as 8,5,5, with a growth (8,5,5^3) or a cycle "
                f"(8,8,8^2/4), but holds {text!r} instead."
            )
        return cls(layers, growth, cycle)

    def __str__(self) -> str:
        growth = f"^{self.growth:g}" if self.growth != 2 or self.cycle else ""
        return ",".join(map(str, self.layers)) + growth + (f"/{self.cycle}" if self.cycle else "")

    def structure(self, *, smallest: int = 1, largest: int, dual: bool = False) -> DilationStructure:
        """Return the rates: round(smallest · growth^l), at most `largest`.

        With `dual` the layers of the first stage have two rates, the second ones in reverse order (MS-TCN++,
        section 4.1).
        """
        stages = [
            tuple(
                min(largest, max(1, round(smallest * self.growth ** (layer % (self.cycle or depth)))))
                for layer in range(depth)
            )
            for depth in self.layers
        ]
        if dual:
            stages[0] = (*reversed(stages[0]), *stages[0])
        return DilationStructure(tuple(stages))


def canonical_shapes(stages: int, layers: int) -> tuple[Shape, ...]:
    """Return smaller shapes than `stages` × `layers`, the most promising first (METHOD, section 8).

    A deep first stage with shallow refiners, fewer stages, fewer layers, and fewer layers of a larger growth,
    which keep the receptive field.
    """
    three, two = min(stages, 3), min(stages, 2)
    deep, middle, half, shallow = (max(1, round(share * layers)) for share in (0.8, 0.6, 0.5, 0.4))
    shapes = (
        Shape((deep, *(half,) * (three - 1))),
        Shape((middle,) * three),
        Shape((deep,) * three),
        Shape((half,) * three, growth=3.0),
        Shape((middle,) * two),
        Shape((shallow,) * three),
        Shape((middle,) * stages),
    )
    return tuple(dict.fromkeys(one for one in shapes if one.layers != (layers,) * stages))


@dataclass(frozen=True, kw_only=True)
class ShapeSpace:
    """The structures that a search of shapes compares, and what their trainings cost.

    Attributes:
        names: Name of every structure, the hand-designed one first, then the most promising one.
        multiply_adds: Of every structure, per frame.
        epochs: Of a training at first; up to `max_epochs` where its curve still rises.
        full_steps: Optimiser steps of `epochs` of the hand-designed structure on all of train.
        share: Cost of an epoch with a hold-out, its scoring included, over that of an epoch on all of train.
        rotations: Disjoint hold-outs.
        trainings: What the search may cost in trainings of the hand-designed structure on all of train, each
            as long as its hold-out curve asks for; None for no limit.
        rates: Allowed rates, to search those of the winner after the shapes; None to search shapes only.
    """

    names: Mapping[DilationStructure, str]
    multiply_adds: Mapping[DilationStructure, int]
    epochs: int
    max_epochs: int
    full_steps: int
    share: float
    rotations: int
    trainings: float | None
    rates: SearchSpace | None = None

    @property
    def structures(self) -> tuple[DilationStructure, ...]:
        """All structures, the hand-designed one first."""
        return tuple(self.names)

    def cost(self, structure: DilationStructure) -> float:
        """Return the multiply-adds of a structure over those of the hand-designed one."""
        return self.multiply_adds[structure] / self.multiply_adds[self.structures[0]]

    def full_training(self, epochs: int) -> int:
        """Return the steps of the hand-designed structure on all of train for so many epochs."""
        return round(self.full_steps * epochs / self.epochs)

    def planned(self, epochs: int) -> int | None:
        """Return the steps that the search may take if the hand-designed structure takes so many epochs."""
        return None if self.trainings is None else int(self.trainings * self.full_training(epochs))

    def allowed(self, epochs: int) -> int | None:
        """Return the steps of them that comparing shapes may take."""
        planned = self.planned(epochs)
        return planned if planned is None or self.rates is None else int(SHAPES_FIRST * planned)

    def rates_of(self, structure: DilationStructure) -> SearchSpace:
        """Return the rates that the layers of a structure may have, its own among them."""
        assert self.rates is not None
        rates = tuple(sorted({*self.rates.rates, *structure.rates}))
        return replace(self.rates, shape=structure.shape, rates=rates)

    def task(
        self, structure: DilationStructure, seed: int, block: int = 0, epochs: int | None = None
    ) -> EvaluationTask:
        """Return the training of a structure in a block, which has a seed and a hold-out of its own.

        `seed` is that of the search; without `epochs` it is as long as at first.
        """
        budget = Budget(self.epochs if epochs is None else epochs, "epochs")
        return EvaluationTask(structure, budget, seed + block, (block % self.rotations,))

    def steps(self, task: EvaluationTask) -> int:
        """Return the steps of the hand-designed structure on all of train that cost as much as a task."""
        return round(
            self.full_steps * self.share * self.cost(task.structure) * task.budget.amount / self.epochs
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the space as JSON values."""
        return {
            "shapes": [[name, one.as_lists(), self.multiply_adds[one]] for one, name in self.names.items()],
            "epochs": self.epochs,
            "max_epochs": self.max_epochs,
            "share": self.share,
            "rotations": self.rotations,
            "trainings": self.trainings,
            **({} if self.rates is None else {"then": self.rates.as_dict()}),
        }


def holdout_share(train: Sequence[int], held_out: Sequence[int]) -> float:
    """Return `ShapeSpace.share` from the frames of the videos; a forward pass costs a third of a step."""
    trained, scored = sum(train), sum(held_out)
    return (trained + scored / 3) / (trained + scored)
