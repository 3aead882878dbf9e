"""A search with a race and a final comparison, from data to words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from g2l.pipeline.candidates import TRAININGS
from g2l.pipeline.global_search import search_globally
from g2l.search_config import ProxyChoice, Strategy
from g2l.structure import DilationStructure
from g2l.tracking.protocol import RunKind, RunStatus
from g2l.training.candidate import CandidateFitness
from tests.pipeline.tiny_pipeline import BACKBONE, RECIPE, global_task

TRAININGS_ALLOWED = 24.0


def careful_task(data, **changes):
    task = global_task(
        data,
        strategy=Strategy.ONE_SHOT,
        trainings=TRAININGS_ALLOWED,
        proxy=ProxyChoice.THIRD,
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


def test_a_training_is_one_run_however_often_it_was_scored(found, tracker):
    place, _, _ = found
    run = tracker.only(RunKind.SEARCH_GLOBAL)
    lines = [json.loads(line) for line in (place.folder / "journal.jsonl").read_text().splitlines()]
    scores = [line["evaluation"] for line in lines if line["event"] == "evaluation"]
    scores = [one for one in scores if "lineage" not in one]  # of the super-network: a table
    candidates = run.of_kind(RunKind.CANDIDATE)
    budgets = {}
    for one in scores:
        key = "/".join(",".join(map(str, stage)) for stage in one["structure"])
        budgets.setdefault((key, one["seed"]), set()).add(one["budget"]["amount"])
    assert len(candidates) == len(budgets) < len(scores)
    for child in candidates:
        trained = budgets[child.params["structure"], child.params["seed"]]
        assert set(child.series("fitness")) == trained
        assert child.tags["g2l.budget"] == f"{max(trained)} steps"
        if child.params["phase"] != "search":
            assert child.status is RunStatus.FINISHED
    killed = [child for child in candidates if child.status is RunStatus.KILLED]
    assert all(child.reason == f"given up after {child.tags['g2l.budget']}" for child in killed)
    assert {child.status for child in candidates} <= {RunStatus.FINISHED, RunStatus.KILLED}


def test_race_and_result_are_recorded(found, tracker):
    _, outcome, _ = found
    run = tracker.only(RunKind.SEARCH_GLOBAL)
    race = run.tables["race.json"]
    assert race["mean"] == [leader.fitness for leader in outcome.leaders]
    assert race["hand_designed"].count(True) == 1
    kept = outcome.structure == outcome.hand_designed
    assert run.tags["g2l.winner"] == ("hand-designed" if kept else "searched")
    for metric, difference in outcome.differences.items():
        assert run.tags[f"g2l.difference.{metric}"] == difference.words()
    steps = run.series("search/steps")
    assert steps[max(steps)] == outcome.steps == run.latest()["search/steps"]
    assert run.latest()["search/training_equivalents"] == outcome.steps / outcome.full_steps


def test_a_resumed_search_records_nothing_twice(place, tiny, tracker, monkeypatch):
    """Interrupted while the super-network scores, and again between the rungs."""
    call, calls = CandidateFitness.__call__, []

    def interrupted(fitness, task):
        if fitness.checkpoint_folder is not None:  # the probe keeps no weights
            calls.append(task)
            if len(calls) in (9, 24):
                raise KeyboardInterrupt
        return call(fitness, task)

    monkeypatch.setattr(CandidateFitness, "__call__", interrupted)
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            search(replace(place, resume=resume), careful_task(tiny))
    outcome, _ = search(replace(place, resume=True), careful_task(tiny))
    run = tracker.only(RunKind.SEARCH_GLOBAL)
    assert run.opened == 3
    candidates = run.of_kind(RunKind.CANDIDATE)
    trainings = [(child.params["structure"], child.params["seed"]) for child in candidates]
    assert len(trainings) == len(set(trainings))
    told = [(id(child), name, step) for child in candidates for name, _, step in child.metrics]
    assert len(told) == len(set(told))
    assert None not in {child.status for child in candidates}
    scored = [step for child in candidates for name, _, step in child.metrics if name == "fitness"]
    assert len(scored) == outcome.evaluations
