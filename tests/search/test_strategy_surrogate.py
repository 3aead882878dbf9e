from __future__ import annotations

import statistics

import numpy as np
import pytest
from search_landscapes import BUDGET, Landscape, Shuffled, evaluation, score
from small_searches import HAND, SPACE, TARGET, config, search

from g2l.search.population import Candidate, Origin
from g2l.search.space import SearchSpace
from g2l.search.strategies.screening import features, optimistic_scores
from g2l.search_config import Strategy
from g2l.structure import DilationStructure, LayerTopology

SURROGATE = config(strategy=Strategy.SURROGATE)
FULL = 4 * BUDGET.amount


def candidates(count, score_of, space=SPACE):
    structures = [space.sample(np.random.default_rng(number)) for number in range(count)]
    return [
        Candidate(evaluation(structure, score_of(structure)), score_of(structure), number, Origin.RANDOM)
        for number, structure in enumerate(structures)
    ]


def test_features_are_octaves_of_rates_and_receptive_fields():
    structure = DilationStructure(((1, 2), (4, 8)))
    fields = [1 + 2 * 3, 1 + 2 * 12, 1 + 2 * 15]
    expected = [0.0, 1.0, 2.0, 3.0, *np.log2(fields)]
    assert (
        features([structure, structure], LayerTopology.serial((2, 2))).tolist()
        == [pytest.approx(expected)] * 2
    )


def test_features_of_dual_layers_count_the_further_rate():
    structure = DilationStructure(((1, 2, 8, 1), (4,)))
    expected = [0.0, 1.0, 3.0, 0.0, 2.0, *np.log2([1 + 2 * 10, 1 + 2 * 4, 1 + 2 * 14])]
    topology = LayerTopology(shape=(4, 1), parallel=(2, 1))
    assert features([structure], topology).tolist() == [pytest.approx(expected)]


def test_the_model_finds_the_better_half():
    known = candidates(60, lambda structure: score(structure, TARGET))
    asked = [SPACE.sample(np.random.default_rng(1000 + number)) for number in range(100)]
    promise = optimistic_scores(known, asked, SPACE.topology)
    truth = np.array([score(structure, TARGET) for structure in asked])
    chosen = np.argsort(-promise)[:50]
    assert truth[chosen].mean() > truth.mean() + 2.0


def test_equal_scores_and_equal_structures_are_no_fault():
    same = candidates(3, lambda structure: 50.0)
    assert np.isfinite(optimistic_scores(same, [HAND, TARGET], SPACE.topology)).all()
    assert np.isfinite(optimistic_scores([same[0]] * 2, [HAND], SPACE.topology)).all()


def test_every_step_that_is_allowed_buys_a_new_structure():
    fitness = Landscape(TARGET)
    result = search(fitness, config=SURROGATE.replace(trainings=10.0), full_steps=FULL)
    assert fitness.calls[0] == HAND.key
    assert len(fitness.calls) == len(set(fitness.calls)) == 40
    assert result.steps == 10 * FULL
    assert [summary.evaluations for summary in result.generations] == [8] * 5


def test_without_a_limit_it_ends_after_the_generations():
    result = search(config=SURROGATE)
    assert [summary.evaluations for summary in result.generations] == [8] * 6


def test_one_in_four_is_trained_whatever_the_model_says(monkeypatch):
    seen = []

    def watch(known, structures, topology):
        seen.append(set(structures))
        return np.zeros(len(structures))

    monkeypatch.setattr("g2l.search.strategies.surrogate.optimistic_scores", watch)
    fitness = Landscape(TARGET)
    search(fitness, config=SURROGATE)
    generations = [fitness.calls[start : start + 8] for start in range(8, 48, 8)]
    assert len(seen) == len(generations) == 5
    for looked_at, trained in zip(seen, generations, strict=True):
        keys = {structure.key for structure in looked_at}
        assert [key in keys for key in trained] == [True] * 6 + [False] * 2
        assert len(keys) > 100


def test_it_finds_more_than_the_genetic_search_for_the_same_steps():
    space = SearchSpace.powers_of_two(LayerTopology.serial((10,) * 2), max_exponent=10, longest=5000)
    hand = DilationStructure.hand_designed(2, 10)
    gains = []
    for seed in range(3):
        target = space.sample(np.random.default_rng(1000 + seed))
        best = [
            search(
                Landscape(target),
                space=space,
                hand_designed=hand,
                seed=seed,
                config=config(strategy=strategy, population=12, generations=100, trainings=25.0),
                full_steps=FULL,
            ).best.metrics["edit"]
            for strategy in (Strategy.SURROGATE, Strategy.GENETIC)
        ]
        gains.append(best[0] - best[1])
    assert min(gains) > 0.0
    assert statistics.fmean(gains) > 3.0


@pytest.mark.parametrize("order", [1, 2])
def test_completion_order_does_not_matter(order):
    settings = SURROGATE.replace(trainings=10.0)
    fitness = Landscape(TARGET)
    shuffled = search(executor=Shuffled(fitness, order), config=settings, full_steps=FULL)
    assert shuffled == search(config=settings, full_steps=FULL)


def test_failures_teach_the_model_nothing():
    clean = Landscape(TARGET)
    search(clean, config=SURROGATE)
    result = search(Landscape(TARGET, broken=frozenset(clean.calls[1:8])), config=SURROGATE)
    assert result.best.reason is None
    assert len(result.generations) == 6


@pytest.mark.parametrize(("genes", "rates"), [(1, (1,)), (1, (1, 2)), (2, (1, 2)), (1, (1, 2, 4))])
@pytest.mark.parametrize("trainings", [None, 5.0, 50.0])
def test_a_tiny_space_is_searched_to_its_end(genes, rates, trainings):
    space = SearchSpace(LayerTopology.serial((genes,)), rates)
    target = space.from_rates([rates[-1]] * genes)
    result = search(
        Landscape(target),
        config=SURROGATE.replace(trainings=trainings),
        full_steps=FULL,
        space=space,
        hand_designed=space.from_rates([rates[0]] * genes),
    )
    assert result.evaluations == space.size
    assert result.winner == target
