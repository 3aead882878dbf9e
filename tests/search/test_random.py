from __future__ import annotations

from search_landscapes import BUDGET, Landscape, score
from small_searches import HAND, TARGET, config, random_search, search

from g2l.config import Strategy
from g2l.search.budget import expected_evaluations
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure, LayerTopology


def test_random_search_evaluates_exactly_its_budget():
    fitness = Landscape(TARGET)
    result = random_search(fitness, evaluations=10, config=config(population=4))
    assert result.evaluations == len(fitness.calls) == len(set(fitness.calls)) == 10
    assert result.steps == 10 * BUDGET.amount
    assert fitness.calls[0] == HAND.key
    assert [summary.evaluations for summary in result.generations] == [4, 4, 2]
    assert len(result.population) == 4
    scores = [score(DilationStructure(e.structure.stages), TARGET) for e in result.population]
    assert scores == sorted(scores, reverse=True)


def test_random_search_without_a_limit_makes_as_many_evaluations_as_the_genetic_one_is_expected_to():
    settings = config(strategy=Strategy.RANDOM)
    assert search(Landscape(TARGET), config=settings).evaluations == expected_evaluations(settings)


def test_random_search_ends_where_the_space_does():
    space = SearchSpace(LayerTopology(), (1,), (1, 2, 4))
    result = random_search(
        Landscape(space.from_rates([4])),
        evaluations=50,
        space=space,
        config=config(population=2),
        hand_designed=space.from_rates([1]),
    )
    assert result.best.structure.rates == (4,)
    assert result.evaluations == 3
