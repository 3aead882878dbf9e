from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import load_file

from g2l.config import DataConfig, Normalization, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.errors import InputError
from g2l.files import read_json
from g2l.metrics.length import best_length
from g2l.metrics.scores import metric_value
from g2l.models.artifact import load_model, read_metadata
from g2l.pipeline.data import DataSets
from g2l.pipeline.select import select
from g2l.pipeline.train import SeedOutcome, TrainingOutcome, train
from g2l.records import RunKind, RunRecord, read_epochs, read_result
from tests.pipeline.tiny_pipeline import RECIPE, SEEDS, STRUCTURE, training

METRICS = {"videos", "frames", "accuracy", "edit", "f1@10", "f1@25", "f1@50"}


def same_weights(one, other):
    weights, others = load_file(one), load_file(other)
    return weights.keys() == others.keys() and all((weights[n] == others[n]).all() for n in weights)


def test_each_seed_leaves_a_model_that_knows_its_metrics(context, tiny):
    outcome = train(context, training(tiny, refit=False), 0, len(SEEDS))
    assert [seed.seed for seed in outcome.seeds] == [0, 1]
    for seed in outcome.seeds:
        folder = context.folder / f"seed-{seed.seed}"
        assert seed.model == folder / "model.safetensors"
        metadata = read_metadata(seed.model)
        prefixed = {f"holdout/{n}": v for n, v in seed.holdout.items()}
        prefixed |= {f"test/{n}": v for n, v in seed.test.items()}
        assert metadata.metrics == prefixed
        assert set(seed.test) == set(seed.holdout) == METRICS
        assert (metadata.structure, metadata.seed) == (STRUCTURE, seed.seed)
        assert read_json(folder / "metrics.json") == seed.test
        assert seed.steps == 2 * RECIPE.epochs
        record = RunRecord.read(folder)
        assert (record.id, record.kind) == (metadata.run_id, RunKind.SEED)
        result = read_result(folder)
        assert set(result["artifacts"]) == {"model.safetensors", "last.ckpt", "metrics.json"}
        assert result["recorded"]["metrics"] == prefixed
        epochs = read_epochs(folder)
        assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
        assert max(epoch.metrics["f1@10"] for epoch in epochs) >= seed.holdout["f1@10"]
    assert not same_weights(outcome.seeds[0].model, outcome.seeds[1].model)


def test_the_data_is_opened_once(context, tiny, monkeypatch):
    opened = []
    original = SegmentationDataset.open
    monkeypatch.setattr(SegmentationDataset, "open", lambda config: opened.append(config) or original(config))
    train(context, training(tiny), 0, len(SEEDS))
    assert opened == [tiny]


def test_facts_of_the_data_are_left_for_a_report(context, tiny):
    train(context, training(tiny.replace(group_pattern="(nothing)"), refit=False), 4, 1)
    dataset = SegmentationDataset.open(tiny)
    facts = read_json(context.folder / "dataset.json")
    assert (facts["name"], facts["split"], facts["feature_dim"], facts["fps"]) == ("tiny", 1, 4, None)
    assert facts["background"] == ["background"]
    assert {name: len(videos) for name, videos in facts["frames"].items()} == {
        "train": 4,
        "holdout": 1,
        "test": 3,
    }
    for name, frames in facts["frames"]["test"].items():
        assert frames == len(dataset.ground_truth(name))
    counted = sum(count["test"] for count in facts["class_frames"].values())
    assert counted == sum(facts["frames"]["test"].values())
    assert len(facts["class_frames"]) == 5
    assert len(facts["notices"]) == 1  # the hold-out is not cut by subject
    assert len(facts["files"]) == 4 + 2 * 8  # mapping, facts, bundles, features and labels
    for name, found in facts["files"].items():
        assert found["size"] == (tiny.data_root / "tiny" / name).stat().st_size


def test_nothing_is_selected_on_test(context, tiny, tmp_path):
    expected = train(context, training(tiny), 0, 1)
    shutil.copytree(tiny.data_root, tmp_path / "data")
    data = tiny.replace(data_root=tmp_path / "data")
    names = SegmentationDataset.open(data).partitions(Selection.BEST).test
    for name in names:  # every test label wrong
        path = data.data_root / "tiny" / "groundTruth" / f"{name}.txt"
        path.write_text("background\n" * len(path.read_text().split()))
    found = train(replace(context, folder=tmp_path / "other"), training(data), 0, 1)
    assert same_weights(found.seeds[0].model, expected.seeds[0].model)
    assert found.seeds[0].holdout == expected.seeds[0].holdout
    assert found.seeds[0].test != expected.seeds[0].test


def test_a_finished_training_is_not_repeated(context, tiny):
    expected = train(context, training(tiny), 0, len(SEEDS))
    written = {path: path.stat().st_mtime_ns for path in context.folder.rglob("*") if path.is_file()}
    assert train(replace(context, resume=True), training(tiny), 0, len(SEEDS)) == expected
    assert {path: path.stat().st_mtime_ns for path in written} == written


@pytest.mark.parametrize("damage", ["truncated", "gone"])
def test_a_damaged_model_is_trained_again(context, tiny, tmp_path, damage):
    model = train(context, training(tiny), 0, 1).seeds[0].model
    content = model.read_bytes()
    metadata = read_metadata(model)
    shutil.copy(model, tmp_path / "before.safetensors")
    if damage == "gone":
        model.unlink()
    else:
        model.write_bytes(content[:100])
    found = train(replace(context, resume=True), training(tiny), 0, 1)
    assert same_weights(found.seeds[0].model, tmp_path / "before.safetensors")
    assert read_metadata(found.seeds[0].model) == metadata


def test_the_epochs_are_those_of_the_best_smoothed_holdout_score(context, tiny):
    task = training(tiny, epochs=12, learning_rate=1e-2)
    outcome = train(context, task, 0, 2)
    results = [read_result(context.folder / "select" / f"holdout-{number}") for number in (0, 1)]
    epochs = best_length([result["curve"] for result in results])
    assert outcome.epochs == epochs == outcome.selected.epochs
    for number, seed in enumerate(outcome.seeds):
        assert seed.holdout == {}
        assert seed.steps == 3 * epochs  # 5 videos, none held out
        records = read_epochs(context.folder / "select" / f"holdout-{number}")
        assert [metric_value(one.metrics, "f1") for one in records] == results[number]["curve"]
    direct = training(tiny, epochs=epochs, learning_rate=1e-2, selection=Selection.LAST)
    whole = train(replace(context, folder=context.folder / "direct"), direct, 0, 2)
    assert all(same_weights(a.model, b.model) for a, b in zip(whole.seeds, outcome.seeds, strict=True))


def test_more_holdout_trainings_use_the_earlier_ones_again(context, tiny):
    few = select(context, training(tiny), seed=0, count=1, folder="select")
    many = select(replace(context, resume=True), training(tiny), seed=0, count=3, folder="select")
    assert set(few.trainings) <= set(many.trainings)
    assert all(set(videos) for videos in many.trainings.values())
    assert many.steps == 3 * few.steps
    again = select(replace(context, resume=True), training(tiny), seed=0, count=3, folder="select")
    assert again == many


def test_changed_data_is_refused_on_resume_and_touched_or_moved_data_is_not(context, tiny, tmp_path):
    shutil.copytree(tiny.data_root, tmp_path / "data")
    data = tiny.replace(data_root=tmp_path / "data")
    train(context, training(data), 0, 1)
    folder = tmp_path / "data" / "tiny"
    name = SegmentationDataset.open(data).partitions(Selection.BEST).train[0]
    features, labels = folder / "features" / f"{name}.npy", folder / "groundTruth" / f"{name}.txt"
    os.utime(features, ns=(1, 1))
    shutil.move(tmp_path / "data", tmp_path / "moved")
    resumed = replace(context, resume=True, data=DataSets())
    moved = data.replace(data_root=tmp_path / "moved")
    train(resumed, training(moved), 0, 1)
    folder = tmp_path / "moved" / "tiny"
    np.save(folder / "features" / f"{name}.npy", np.load(folder / "features" / f"{name}.npy") * 3)
    lines = (folder / "groundTruth" / f"{name}.txt").read_text().splitlines()
    (folder / "groundTruth" / f"{name}.txt").write_text("\n".join(reversed(lines)))
    before = {path: path.read_bytes() for path in context.folder.rglob("*") if path.is_file()}
    changed = f"{features.relative_to(tmp_path / 'data' / 'tiny')}, groundTruth/{labels.name}"
    with pytest.raises(InputError, match=rf"dataset\.json: .* changed since .*: {changed}\."):
        train(replace(resumed, data=DataSets()), training(moved), 0, 1)
    assert {path: path.read_bytes() for path in before} == before


def test_statistics_of_the_training_videos_travel_with_the_model(context, tiny):
    data = tiny.replace(normalize=Normalization.TRAIN, sample_rate=2)
    model, metadata = load_model(train(context, training(data), 0, 1).seeds[0].model)
    dataset = SegmentationDataset.open(data)
    statistics = dataset.standardized_on(dataset.partitions(Selection.LAST).train).statistics
    assert metadata.mean == pytest.approx(tuple(statistics.mean))
    assert metadata.std == pytest.approx(tuple(statistics.std))
    assert metadata.sample_rate == 2
    assert not model.training


@pytest.mark.parametrize("selection", Selection)
def test_transitions_are_counted_over_what_was_trained_on(context, tiny, selection):
    data = tiny.replace(sample_rate=2)
    task = training(data)
    task = replace(task, recipe=task.recipe.replace(selection=selection, refit=False))
    metadata = read_metadata(train(context, task, 0, 1).seeds[0].model)
    dataset = SegmentationDataset.open(data)
    seen = [dataset.load(name).targets.tolist() for name in dataset.partitions(selection).train]
    expected = Counter(pair for labels in seen for pair in pairwise(labels))
    assert {(before, after): count for before, after, count in metadata.transitions} == expected


def test_the_seed_with_the_best_holdout_is_chosen():
    scores = [{"f1@10": f1, "f1@25": f1, "f1@50": f1, "edit": 10 - f1} for f1 in (3.0, 5.0, 5.0)]
    seeds = tuple(
        SeedOutcome(seed=number, model=None, holdout=score, test={}, steps=1)
        for number, score in enumerate(scores)
    )
    outcome = TrainingOutcome(structure=STRUCTURE, seeds=seeds)
    assert outcome.chosen("f1").seed == 1
    assert outcome.chosen("edit").seed == 0
    assert metric_value(outcome.chosen("f1").holdout, "f1") == 5.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda t: replace(t, recipe=t.recipe.replace(epochs=0)), "`epochs` must be >= 1, but is 0"),
        (lambda t: replace(t, backbone=t.backbone.replace(dropout=1.5)), "`dropout` must be >= 0"),
        (lambda t: replace(t, data=DataConfig(dataset="absent")), "absent"),
    ],
)
def test_a_wrong_input_is_told_before_a_run_is_opened(context, tiny, changed, message):
    with pytest.raises(InputError, match=message):
        train(context, changed(training(tiny)), 0, len(SEEDS))
    assert not context.folder.exists()
