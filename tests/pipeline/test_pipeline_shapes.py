"""A search of shapes, from data to words: uneven stages, small budgets, limits, resume."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from g2l.config import Preference, Space
from g2l.errors import InputError
from g2l.files import read_json
from g2l.models.artifact import load_model
from g2l.pipeline.search_global import prepare_search, search_globally
from g2l.records import read_result
from g2l.structure_files import read_structure
from tests.pipeline.tiny_pipeline import ATTENTION, BACKBONE, DUAL, RECIPE, global_task


def shapes_task(data, backbone=BACKBONE, epochs=6, **changes):
    usual = {"space": Space.SHAPES, "trainings": 8.0, "shapes": ("2,1", "1,1^3"), "final_seeds": 0}
    task = global_task(data, backbone, **usual | changes)
    return replace(task, recipe=RECIPE.replace(epochs=epochs))


def search(context, task):
    plans = []
    return search_globally(replace(context, on_plan=plans.append), prepare_search(context.data, task)), plans


def evaluated(context):
    lines = [json.loads(line) for line in (context.folder / "journal.jsonl").read_text().splitlines()]
    return [line["evaluation"] for line in lines if line["event"] == "evaluation"]


def test_uneven_shapes_are_trained_and_reported(context, tiny, measured):
    outcome, (plan,) = search(context, shapes_task(tiny, prefer=Preference.CHEAPEST, margin=100.0))
    assert outcome.structure.shape in {(2, 1), (1, 1)}
    assert read_structure(context.folder / "structure.json").structure == outcome.structure
    assert 1 <= outcome.epochs <= 12
    rows = {row.structure.shape: row for row in outcome.shapes}
    assert set(rows) == {(2, 2), (2, 1), (1, 1)}
    assert rows[2, 2].cost == 1 > rows[2, 1].cost > rows[1, 1].cost
    assert outcome.training_equivalents <= 8.0
    assert rows[outcome.structure.shape].latency > 0 < rows[2, 2].latency
    assert outcome.frame_rate is None
    assert "differences of" in plan.power
    assert plan.expected.training_equivalents == pytest.approx(8.0)
    for one in evaluated(context):
        assert len(one["curve"]["accuracy"]) == one["budget"]["amount"]
        _, metadata = load_model(
            context.folder / "candidates" / one["checkpoint"].split("/")[-2] / "model.safetensors"
        )
        assert metadata.structure.as_lists() == one["structure"]
    table = read_json(context.folder / "tables" / "shapes.json")
    assert len(table["data"]) == 3
    for name in ("front", "curves"):
        assert (context.folder / "figures" / f"{name}.svg").read_bytes().startswith(b"<?xml")
    assert read_result(context.folder)["recorded"]["tags"]["g2l.reason_of_winner"] == outcome.reason


def test_rates_of_the_winner_are_searched_after_the_shapes(context, tiny):
    settings = {"space": Space.BOTH, "trainings": 40.0, "leaders": 1, "prefer": Preference.CHEAPEST}
    outcome, (plan,) = search(context, shapes_task(tiny, margin=100.0, **settings))
    assert plan.expected.steps.keys() == {"search", "search of rates"}
    by_unit = {"epochs": set(), "steps": set()}
    for one in evaluated(context):
        by_unit[one["budget"]["unit"]].add(tuple(map(len, one["structure"])))
    assert len(by_unit["epochs"]) == 3
    assert by_unit["steps"] == {outcome.structure.shape}
    assert any(row.structure == outcome.structure for row in outcome.shapes)
    assert outcome.training_equivalents <= 40.0


def test_blocks_rotate_the_holdouts(context, tiny):
    search(context, shapes_task(tiny, margin=30.0, prefer=Preference.ACCURACY))
    blocks = {(one["seed"], tuple(one.get("holdouts", [0]))) for one in evaluated(context)}
    assert len(blocks) > 1
    assert len({held for _, held in blocks}) == len(blocks)


@pytest.mark.parametrize("backbone", [DUAL, ATTENTION], ids=["ms-tcn++", "asformer"])
def test_other_backbones(context, tiny, backbone):
    outcome, _ = search(context, shapes_task(tiny, backbone, shapes=("1,1",)))
    assert {row.name for row in outcome.shapes} == {"2×2 (hand-designed)", "1,1"}


def test_canonical_shapes_of_a_small_network(context, tiny):
    prepared = prepare_search(context.data, shapes_task(tiny, shapes=()))
    assert len(prepared.space.names) > 2
    assert prepared.space.structures[0] == BACKBONE.hand_designed()


def test_limits_hold_for_every_shape(context, tiny):
    prepared = prepare_search(context.data, shapes_task(tiny, max_receptive_field=9))
    topology = BACKBONE.topology
    assert all(topology.receptive_field(one).frames <= 9 for one in prepared.space.structures)
    with pytest.raises(InputError, match=r"2×2 layers, but none .* limits"):
        prepare_search(context.data, shapes_task(tiny, shapes=("2,2",)))


def test_a_budget_without_a_pair_is_refused(context, tiny):
    with pytest.raises(InputError, match="must pay for a pair of trainings"):
        search(context, shapes_task(tiny, trainings=0.5))
