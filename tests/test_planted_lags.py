"""Searches against data whose right rates are known: the class at t depends on t − L and t + L."""

from __future__ import annotations

import statistics
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from g2l.config import (
    BackboneConfig,
    Budget,
    DataConfig,
    GlobalSearchConfig,
    LocalSearchConfig,
    RecipeConfig,
    Selection,
    Strategy,
)
from g2l.datasets.synthetic import lags, write_dataset
from g2l.pipeline.context import RunContext
from g2l.pipeline.search_local import LocalSearchTask, search_locally
from g2l.search.engine import Search
from g2l.search.executors.base import SerialExecutor
from g2l.search.loop import run_global_search
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure, LayerTopology
from g2l.training.candidate import CandidateFitness


def test_the_local_search_moves_a_rate_to_the_planted_lag(tmp_path):
    write_dataset(tmp_path, "lag", lags(np.random.default_rng(0), (41,), videos=16))
    found = []
    for seed in range(5):
        task = LocalSearchTask(
            data=DataConfig(data_root=tmp_path, dataset="lag"),
            backbone=BackboneConfig(stages=1, layers=1),
            recipe=RecipeConfig(epochs=1, selection=Selection.LAST),
            search=LocalSearchConfig(interval=Budget(5, "steps"), updates=20),
            structure=DilationStructure(((32,),)),
            seed=seed,
        )
        outcome = search_locally(RunContext(folder=tmp_path / f"run-{seed}", device="cpu"), task)
        found.append(outcome.structure.rates[0])
    assert sum(39 <= rate <= 43 for rate in found) >= 4, found


class Remembering:
    """Trains each structure once, under seed 0, whatever seed is asked for."""

    def __init__(self, fitness):
        self.trained = cache(fitness)

    def __call__(self, task):
        return replace(self.trained(replace(task, seed=0)), seed=task.seed)


@pytest.fixture(scope="module")
def two_lags(tmp_path_factory):
    """A fitness over two layers that trains each structure once, whichever search asks for it."""
    root = tmp_path_factory.mktemp("data")
    write_dataset(root, "two", lags(np.random.default_rng(0), (32, 8), videos=16, frames=256))
    fitness = CandidateFitness(
        data=DataConfig(data_root=root, dataset="two"),
        backbone=BackboneConfig(stages=1, layers=2, feature_maps=16, dropout=0.0),
        recipe=RecipeConfig(learning_rate=5e-3),
        device="cpu",
    )
    return Remembering(fitness)


def test_the_global_search_beats_random_search_at_equal_budget_on_two_lags(two_lags):
    space = SearchSpace.powers_of_two(LayerTopology(), (2,), max_exponent=7, longest=256)
    config = GlobalSearchConfig(
        strategy=Strategy.GENETIC,
        population=4,
        generations=4,
        budget=Budget(40, "steps"),
        fitness="accuracy",
        mutation_probability=1.0,
        gene_mutation_probability=0.5,
        survival_margin=100.0,
    )
    genetic, random = [], []
    for seed in range(10):
        shared = {"seed": seed, "hand_designed": DilationStructure(((1, 2),))}
        ours = run_global_search(Search(space, config, SerialExecutor(two_lags), **shared))
        equal = config.replace(strategy=Strategy.RANDOM, trainings=float(ours.evaluations))
        theirs = run_global_search(
            Search(space, equal, SerialExecutor(two_lags), full_steps=config.budget.amount, **shared)
        )
        genetic.append(ours.best)
        random.append(theirs.best)
    mean = [statistics.fmean(best.metrics["accuracy"] for best in side) for side in (genetic, random)]
    assert mean[0] > mean[1]
    # The lags themselves, in either order of the layers, are what it finds.
    assert sum(sorted(best.structure.rates) == [8, 32] for best in genetic) >= 8
