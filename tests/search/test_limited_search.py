"""A search whose space has limits: nothing that exceeds them is ever trained."""

from __future__ import annotations

import numpy as np
import pytest
from search_landscapes import Landscape, evaluation
from small_searches import HAND, config, search

from g2l.search.breeding import Breeder
from g2l.search.population import Candidate, Origin, ranked
from g2l.search.space import SearchSpace
from g2l.structure import LayerTopology

LIMITED = SearchSpace(
    LayerTopology.serial((4, 4)), (1, 2, 4, 8, 16, 32), max_receptive_field=81, max_look_ahead=45
)
TARGET = LIMITED.from_rates([4, 1, 16, 2, 8, 4, 1, 4])


def test_children_and_mutants_keep_to_the_limits():
    generator = np.random.default_rng(0)
    structures = [LIMITED.sample(generator) for _ in range(20)]
    parents = ranked(
        Candidate(evaluation(structure, 50.0), 50.0, order, Origin.RANDOM)
        for order, structure in enumerate(structures)
    )
    breeder = Breeder(LIMITED, (), generator)
    proposals = breeder.offspring(parents, config(population=200, mutation_probability=0.5))
    assert all(LIMITED.contains(proposal.structure) for proposal in proposals)
    assert max(LIMITED.topology.receptive_field(proposal.structure).frames for proposal in proposals) == 81
    assert LIMITED.contains(breeder.child(parents, config()).structure)


@pytest.mark.parametrize("seed", [0, 1])
def test_whatever_is_trained_keeps_to_the_limits(seed):
    fitness = Landscape(TARGET)
    result = search(fitness, space=LIMITED, seed=seed)
    trained = {call.split(":")[0] for call in fitness.calls}
    assert {LIMITED.project(HAND).key, result.best.structure.key} <= trained
    for key in trained:
        rates = [int(rate) for stage in key.split("/") for rate in stage.split(",")]
        assert LIMITED.contains(LIMITED.from_rates(rates))
        assert sum(rates) <= 40
    assert result.best.metrics["edit"] > result.hand_designed.metrics["edit"]
