"""The data sets of the benchmark, each with a network small enough to train it some thousand times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from g2l.config import BackboneConfig, DataConfig, Normalization, RecipeConfig, Selection
from g2l.datasets.dataset import Partitions, SegmentationDataset
from g2l.datasets.synthetic import SyntheticDataset, kitchen, lags, write_dataset
from g2l.search.space import SearchSpace

MAX_EXPONENT = 10
"""Rates are 2^0 … 2^10, as far as sequences are long enough."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A data set, a network, and how long its trainings are.

    Attributes:
        title: What it is, in words.
        data: How it is read; its root is the folder of the synthetic sets or the one that the user names.
        make: Draws the data set, or None when it has to be there.
        backbone: Size of the network.
        recipe: How it is trained.
        full_steps: Optimiser steps of a full training.
        proxy_steps: Optimiser steps of a candidate of the paper's search.
    """

    title: str
    data: DataConfig
    make: Callable[[np.random.Generator], SyntheticDataset] | None
    backbone: BackboneConfig
    recipe: RecipeConfig
    full_steps: int
    proxy_steps: int

    @property
    def name(self) -> str:
        """Name of its data set."""
        return self.data.dataset

    def identity(self) -> dict[str, Any]:
        """Return what a training depends on beside structure, seed and length, as JSON values."""
        data = self.data.as_dict()
        del data["data_root"], data["cache_mb"]
        recipe = self.recipe.as_dict()
        del recipe["epochs"], recipe["selection"]
        return {"data": data, "backbone": self.backbone.as_dict(), "recipe": recipe}

    def at(self, folder: Path) -> Problem:
        """Return the problem with its data set below `folder`."""
        return replace(self, data=self.data.replace(data_root=folder))


def _kitchen(generator: np.random.Generator) -> SyntheticDataset:
    return kitchen(generator, videos=48, frames=256, classes=10)


def _lags(generator: np.random.Generator) -> SyntheticDataset:
    return lags(generator, (32, 8), videos=48, frames=256)


PROBLEMS: dict[str, Problem] = {
    problem.name: problem
    for problem in (
        Problem(
            title="synthetic kitchen: variants of actions are told apart by markers up to a course away",
            data=DataConfig(dataset="kitchen"),
            make=_kitchen,
            backbone=BackboneConfig(stages=2, layers=6, feature_maps=16, dropout=0.0),
            recipe=RecipeConfig(learning_rate=3e-3),
            full_steps=200,
            proxy_steps=40,
        ),
        Problem(
            title="planted lags 32 and 8: the class depends on frames t ± 32 and t ± 8",
            data=DataConfig(dataset="two_lags"),
            make=_lags,
            backbone=BackboneConfig(stages=1, layers=4, feature_maps=16, dropout=0.0),
            recipe=RecipeConfig(learning_rate=3e-3),
            full_steps=160,
            proxy_steps=40,
        ),
        Problem(
            title="GTEA, real per-frame scores at 3 fps, split 1",
            data=DataConfig(dataset="gtea_scores", normalize=Normalization.VIDEO, fps=3.0),
            make=None,
            backbone=BackboneConfig(stages=2, layers=6, feature_maps=16, dropout=0.2),
            recipe=RecipeConfig(learning_rate=3e-3),
            full_steps=120,
            proxy_steps=40,
        ),
        Problem(
            title="50Salads, real labels with synthetic features, split 1, every fourth frame",
            data=DataConfig(dataset="50salads_synth", sample_rate=4, fps=3.0),
            make=None,
            backbone=BackboneConfig(stages=2, layers=6, feature_maps=16, dropout=0.0),
            recipe=RecipeConfig(learning_rate=5e-3),
            full_steps=120,
            proxy_steps=40,
        ),
    )
}


def prepare(problem: Problem, data_root: Path, work: Path) -> Problem:
    """Return the problem with its data in place; a synthetic set is made below `work` if it is not there."""
    if problem.make is None:
        return problem.at(data_root)
    if not (work / "data" / problem.name).exists():
        write_dataset(work / "data", problem.name, problem.make(np.random.default_rng(0)))
    return problem.at(work / "data")


@lru_cache(maxsize=1)
def open_data(problem: Problem) -> tuple[SegmentationDataset, Partitions]:
    """Return the data set, standardised on its training partition, and who is on which side."""
    dataset = SegmentationDataset.open(problem.data)
    partitions = dataset.partitions(Selection.BEST)
    return dataset.standardized_on(partitions.train), partitions


def search_space(problem: Problem) -> SearchSpace:
    """Return all structures that a search may propose."""
    dataset, partitions = open_data(problem)
    return SearchSpace.powers_of_two(
        problem.backbone.topology,
        problem.backbone.hand_designed().shape,
        max_exponent=MAX_EXPONENT,
        longest=dataset.longest(partitions.train),
    )
