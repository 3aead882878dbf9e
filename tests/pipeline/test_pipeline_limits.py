"""Limits and a second objective, from settings to structure, table and figure."""

from __future__ import annotations

import pytest

from g2l.errors import InputError
from g2l.files import read_json
from g2l.pipeline.global_search import search_globally
from g2l.search_config import SecondObjective
from g2l.structure_files import read_structure
from g2l.tracking.protocol import RunKind
from tests.pipeline.tiny_pipeline import global_task


def search(place, task):
    return search_globally(place, task, on_plan=lambda plan: None)


def test_every_structure_keeps_to_the_limit(place, tiny):
    outcome = search(place, global_task(tiny, max_receptive_field=13))
    assert outcome.structure.receptive_field() <= 13
    assert read_structure(place.folder / "structure.json").structure == outcome.structure
    for leader in outcome.leaders:
        assert leader.structure.receptive_field() <= 13
        assert leader.structure.look_ahead() <= 6


def test_a_limit_that_nothing_keeps_is_refused(place, tiny):
    with pytest.raises(InputError, match=r"3.*9|9.*3"):
        search(place, global_task(tiny, max_receptive_field=3))


def test_a_second_objective_makes_a_front(place, tiny, tracker):
    outcome = search(place, global_task(tiny, minimize=SecondObjective.RECEPTIVE_FIELD))
    assert outcome.minimized == "receptive field (frames)"
    front = [row for row in outcome.tradeoff if row["on_front"]]
    assert [row["cost"] for row in front] == sorted(row["cost"] for row in front)
    assert [row["fitness"] for row in front] == sorted(row["fitness"] for row in front)
    assert sum(row["hand_designed"] for row in outcome.tradeoff) == 1
    assert all(row["cost"] == row["receptive_field"] for row in outcome.tradeoff)
    assert outcome.fitness == max(row["fitness"] for row in outcome.tradeoff)
    run = tracker.only(RunKind.SEARCH_GLOBAL)
    assert len(run.tables["pareto.json"]["fitness"]) == len(outcome.tradeoff)
    assert "pareto.png" in run.figures
    assert read_json(place.folder / "result.json")["tradeoff"] == list(outcome.tradeoff)


def test_an_objective_that_no_rate_changes_is_said_to_have_no_front(place, tiny, caplog):
    outcome = search(place, global_task(tiny, minimize=SecondObjective.PARAMETERS))
    assert "a front by parameters has one member" in caplog.text
    assert len({row["cost"] for row in outcome.tradeoff}) == 1
