from __future__ import annotations

from dataclasses import replace

import pytest

from g2l.config import Budget
from g2l.errors import InputError
from g2l.files import read_json
from g2l.models.artifact import load_model
from g2l.pipeline.search_local import search_locally
from g2l.receptive_field import branch_layers, structure
from g2l.records import DatasetRecord, RunRecord, read_epochs, read_result, read_updates
from g2l.structure import DilationStructure
from g2l.structure_files import Dialect, read_structure, write_structure
from tests.pipeline.tiny_pipeline import DUAL, LOCAL, STRUCTURE, local_task

LAYERS = (
    "stage1.layers.0.conv_dilated",
    "stage1.layers.1.conv_dilated",
    "stages.0.layers.0.conv_dilated",
)


updates = read_updates


def test_the_structure_and_the_weights_belong_together(context, tiny):
    # About as many steps of α as take it to zero, so that branches end apart.
    outcome = search_locally(context, local_task(tiny, branch_learning_rate=4e-3))
    found = read_structure(context.folder / "structure.json")
    assert outcome.structure == found.structure
    assert (found.backbone, found.provenance["search"]) == ("ms-tcn", "local")
    assert found.provenance["start"] == STRUCTURE.as_lists()
    model, metadata = load_model(outcome.model)
    rates = [rate for (rate,) in structure(model).values()]
    assert metadata.structure == outcome.structure == DilationStructure.from_rates(rates, STRUCTURE.shape)
    assert not branch_layers(model)
    assert metadata.metrics == {}
    assert outcome.structure != STRUCTURE


def test_epochs_updates_and_figures_are_recorded(context, tiny):
    outcome = search_locally(context, local_task(tiny))
    assert outcome.run_id == RunRecord.read(context.folder).id == load_model(outcome.model)[1].run_id
    assert [epoch.epoch for epoch in read_epochs(context.folder)] == [1, 2, 3]
    result = read_result(context.folder)
    assert set(result["artifacts"]) == {"structure.json", "model.safetensors", "last.ckpt"}
    assert (context.folder / "figures" / "rates.svg").read_bytes().startswith(b"<?xml")
    table = read_json(context.folder / "tables" / "updates.json")
    assert len(table["data"]) == len(LAYERS) * LOCAL.updates
    record = DatasetRecord.read(context.folder)
    assert {name: len(videos) for name, videos in record.frames.items()} == {
        "train": 5,  # all of train: the last weights are kept anyway
        "holdout": 0,
        "test": 3,
    }


@pytest.mark.parametrize(
    ("interval", "steps"),
    [(Budget(3, "steps"), 9), (Budget(5, "steps"), 10), (Budget(1), 9), (Budget(2), 12)],
)
def test_the_training_lasts_until_the_last_update(context, tiny, interval, steps):
    outcome = search_locally(context, local_task(tiny, interval=interval))
    assert outcome.steps == steps  # the recipe's are 3 epochs of 3 steps
    assert len(updates(context.folder)) == LOCAL.updates


def test_an_official_structure_file_is_a_start(context, tiny, tmp_path):
    path = tmp_path / "official.json"
    write_structure(path, STRUCTURE, Dialect.OFFICIAL)
    start = read_structure(path)
    assert start.dialect is Dialect.OFFICIAL
    search_locally(context, local_task(tiny, start.structure))
    assert [layer.rate_before for layer in updates(context.folder)[0].layers.values()] == [2, 8, 4]


def test_rates_stay_within_the_longest_training_video(context, tiny):
    outcome = search_locally(context, local_task(tiny, DilationStructure(((500, 500), (500, 500)))))
    assert max(outcome.structure.rates) <= 75


def test_a_finished_search_is_not_repeated(context, tiny):
    expected = search_locally(context, local_task(tiny))
    written = {path: path.stat().st_mtime_ns for path in context.folder.rglob("*") if path.is_file()}
    assert search_locally(replace(context, resume=True), local_task(tiny)) == expected
    assert {path: path.stat().st_mtime_ns for path in written} == written


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            lambda t: replace(t, backbone=DUAL, structure=DilationStructure(((1,), (1,)))),
            "expected 2 rates for each layer of the first stage",
        ),
        (lambda t: replace(t, search=t.search.replace(expansion_rate=1.5)), "`expansion_rate` must be > 0"),
        (lambda t: replace(t, recipe=t.recipe.replace(batch_size=0)), "`batch_size` must be >= 1"),
    ],
)
def test_a_wrong_input_is_told_before_a_run_is_opened(context, tiny, changed, message):
    with pytest.raises(InputError, match=message):
        search_locally(context, changed(local_task(tiny)))
    assert not context.folder.exists()
