"""A search with a race and a final comparison, from data to words."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from g2l.config import ProxyChoice
from g2l.files import read_json
from g2l.pipeline import search_global
from g2l.pipeline.candidates import TRAININGS
from g2l.pipeline.search_global import prepare_search, search_globally
from g2l.pipeline.search_outcome import leaders_of, race_leaders
from g2l.records import read_metrics, read_result
from g2l.structure import DilationStructure
from tests.pipeline.tiny_pipeline import BACKBONE, RECIPE, global_task

TRAININGS_ALLOWED = 24.0


def careful_task(data, **changes):
    task = global_task(
        data,
        trainings=TRAININGS_ALLOWED,
        proxy=ProxyChoice.THIRD,
        leaders=2,
        final_seeds=2,
        **changes,
    )
    return replace(task, recipe=RECIPE.replace(epochs=6, learning_rate=0.003))


def search(context, task):
    plans = []
    return search_globally(replace(context, on_plan=plans.append), prepare_search(context.data, task)), plans


@pytest.fixture
def found(context, tiny):
    outcome, plans = search(context, careful_task(tiny))
    return context, outcome, plans


def test_it_costs_what_was_said_at_most(found):
    context, outcome, (plan,) = found
    assert outcome.full_steps == 6 * 3  # all of train: three batches an epoch
    assert plan.maximal.training_equivalents <= TRAININGS_ALLOWED + 2 * 2
    assert 4 < outcome.training_equivalents <= plan.maximal.training_equivalents
    assert not (context.folder / TRAININGS).exists()


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


def test_a_winner_is_trained_in_full_beside_the_hand_designed_one(context, tiny, monkeypatch):
    other = DilationStructure(((2, 2), (1, 1)))
    run = search_global.run_global_search

    def found_another(*arguments, **options):
        return replace(run(*arguments, **options), winner=other)

    monkeypatch.setattr(search_global, "run_global_search", found_another)
    outcome, _ = search(context, careful_task(tiny))
    assert outcome.structure == other
    assert outcome.final_steps == 2 * 2 * outcome.full_steps
    assert {name: one.seeds for name, one in outcome.differences.items()} == {"f1": 2, "accuracy": 2}


def test_a_race_after_a_search_of_shapes_keeps_its_own_results():
    one = SimpleNamespace(structure=None, failed=False, mean=70.0, standard_error=1.0, scores=(69.0, 71.0))
    race = SimpleNamespace(results=[one])
    result = SimpleNamespace(proof=SimpleNamespace(rows=()), race=race, proxy=10, full_steps=30)
    assert leaders_of(result, "f1") == ()
    (leader,) = race_leaders(result)
    assert (leader.fitness, leader.standard_error, leader.seeds) == (70.0, 1.0, 2)


def test_race_and_result_are_recorded(found):
    context, outcome, _ = found
    race = read_json(context.folder / "tables" / "race.json")
    columns = dict(zip(race["columns"], zip(*race["data"], strict=True), strict=True))
    assert list(columns["mean"]) == [leader.fitness for leader in outcome.leaders]
    assert columns["hand_designed"].count(True) == 1
    tags = read_result(context.folder)["recorded"]["tags"]
    kept = outcome.structure == outcome.hand_designed
    assert tags["g2l.winner"] == ("hand-designed" if kept else "searched")
    for metric, difference in outcome.differences.items():
        assert tags[f"g2l.difference.{metric}"] == difference.words()
    last = read_metrics(context.folder)[-1].metrics
    assert last["search/steps"] == outcome.steps
    assert last["search/training_equivalents"] == outcome.steps / outcome.full_steps
