"""A search small enough to run many times in a test."""

from __future__ import annotations

from search_landscapes import BUDGET, TARGET, Landscape

from g2l.config import GlobalSearchConfig, Strategy
from g2l.search.engine import Search
from g2l.search.executors.base import SerialExecutor
from g2l.search.loop import run_global_search
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure, LayerTopology

SPACE = SearchSpace(LayerTopology(), (4, 4), (1, 2, 4, 8, 16, 32))
HAND = DilationStructure.hand_designed(2, 4)


def config(**changes):
    return GlobalSearchConfig(strategy=Strategy.GENETIC, population=8, generations=5, budget=BUDGET).replace(
        **changes
    )


def random_search(fitness, *, evaluations, **options):
    """As many evaluations as full trainings are allowed, each as long as one."""
    settings = options.pop("config", config())
    settings = settings.replace(strategy=Strategy.RANDOM, trainings=evaluations)
    return search(fitness, config=settings, full_steps=BUDGET.amount, **options)


def search(fitness=None, *, space=SPACE, seed=0, executor=None, **options):
    settings = options.pop("config", config())
    return run_global_search(
        Search(
            space,
            settings,
            executor or SerialExecutor(fitness or Landscape(TARGET)),
            seed=seed,
            hand_designed=options.pop("hand_designed", HAND),
            **options,
        )
    )
