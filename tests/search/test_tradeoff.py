from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from search_landscapes import evaluation

from g2l.evaluation import EvaluationStatus
from g2l.search.population import Candidate, Origin
from g2l.search.tradeoff import tradeoff
from g2l.structure import DilationStructure, LayerTopology


def candidate(order, fitness, cost):
    structure = DilationStructure(((order + 1,),))
    origin = Origin.RANDOM if order else Origin.HAND_DESIGNED
    status = EvaluationStatus.FAILED if fitness == -math.inf else EvaluationStatus.DONE
    return Candidate(evaluation(structure, 0.0, status=status), fitness, order, origin, cost)


def test_rows_go_from_cheap_to_dear_and_name_the_front():
    found = [(0, 60.0, 9.0), (1, 80.0, 9.0), (2, 50.0, 2.0), (3, -math.inf, 1.0), (4, 40.0, 3.0)]
    rows = tradeoff(candidate(*values) for values in found)
    assert [row.structure.rates[0] - 1 for row in rows] == [2, 4, 1, 0]
    assert [row.on_front for row in rows] == [True, False, True, False]
    assert [row.hand_designed for row in rows] == [False, False, False, True]
    assert rows[0].as_dict(LayerTopology.serial((1,))) == {
        "structure": "3", "receptive_field": 7, "look_ahead": 3, "fitness": 50.0, "cost": 2.0,
        "on_front": True, "hand_designed": False,
    }  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_along_the_front_fitness_rises_with_cost(pairs):
    rows = tradeoff(candidate(order, float(f), float(c)) for order, (f, c) in enumerate(pairs))
    front = [(row.cost, row.fitness) for row in rows if row.on_front]
    assert front == sorted(front)
    assert len({cost for cost, _ in front}) == len({fitness for _, fitness in front})
    for row in rows:
        beaten = any(
            other.cost <= row.cost and other.fitness >= row.fitness
            and (other.cost, other.fitness) != (row.cost, row.fitness)
            for other in rows
        )  # fmt: skip
        assert row.on_front == (not beaten)


def test_nothing_that_ran_gives_no_rows():
    assert tradeoff([candidate(0, -math.inf, 1.0)]) == ()
