"""A search with a pilot, a race and a final comparison, from data to words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from g2l.pipeline.candidates import TRAININGS
from g2l.pipeline.global_search import search_globally
from g2l.search_config import ProxyChoice, Strategy
from g2l.structure import DilationStructure
from tests.pipeline.tiny_pipeline import BACKBONE, RECIPE, global_task

TRAININGS_ALLOWED = 24.0


def careful_task(data, **changes):
    task = global_task(
        data,
        strategy=Strategy.HALVING,
        trainings=TRAININGS_ALLOWED,
        proxy=ProxyChoice.AUTO,
        averaging=0.9,
        leaders=2,
        final_seeds=2,
        **changes,
    )
    return replace(task, recipe=RECIPE.replace(epochs=6))


def search(place, task):
    plans = []
    return search_globally(place, task, on_plan=plans.append), plans


@pytest.fixture
def found(place, tiny):
    outcome, plans = search(place, careful_task(tiny))
    return place, outcome, plans


def test_it_costs_what_was_said_at_most(found):
    place, outcome, (plan,) = found
    assert outcome.full_steps == 6 * 2
    assert plan.maximal.training_equivalents == TRAININGS_ALLOWED
    assert 8 < outcome.training_equivalents <= TRAININGS_ALLOWED
    assert not (place.folder / TRAININGS).exists()


def test_the_pilot_tells_why(found):
    _, outcome, _ = found
    assert outcome.proxy_steps in (3, 6)
    assert "train" in outcome.pilot


def test_the_winner_is_explained(found):
    _, outcome, _ = found
    hand_designed = BACKBONE.hand_designed()
    assert {leader.seeds for leader in outcome.leaders} <= {1, 2, 3}
    assert hand_designed in {leader.structure for leader in outcome.leaders}
    if outcome.structure == hand_designed:
        assert outcome.differences == {}
        assert outcome.final_steps == 0
        assert "hand-designed" in outcome.reason
    else:
        assert outcome.final_steps == 2 * 2 * outcome.full_steps
        assert set(outcome.differences) == {"f1", "accuracy"}
        assert all(one.seeds == 2 for one in outcome.differences.values())


def test_a_finished_search_says_the_same_again(found, tiny):
    place, outcome, _ = found
    again, plans = search(replace(place, resume=True), careful_task(tiny))
    assert replace(again, run_id=None) == replace(outcome, run_id=None)
    assert plans == []


def test_a_winner_is_trained_in_full_beside_the_hand_designed_one(place, tiny, monkeypatch):
    other = DilationStructure(((2, 2), (1, 1)))
    from g2l.pipeline import global_search

    run = global_search.run_global_search

    def found_another(*arguments, **options):
        return replace(run(*arguments, **options), winner=other)

    monkeypatch.setattr(global_search, "run_global_search", found_another)
    outcome, _ = search(place, careful_task(tiny))
    assert outcome.structure == other
    assert outcome.final_steps == 2 * 2 * outcome.full_steps
    assert {name: one.seeds for name, one in outcome.differences.items()} == {"f1": 2, "accuracy": 2}
