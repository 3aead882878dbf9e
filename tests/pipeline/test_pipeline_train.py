from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from safetensors.numpy import load_file

from g2l.config import DataConfig, Normalization, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.errors import InputError
from g2l.files import read_json
from g2l.metrics.scores import metric_value
from g2l.models.artifact import load_model, read_metadata
from g2l.pipeline.stage import Workplace
from g2l.pipeline.train import SeedOutcome, TrainingOutcome, train
from g2l.structure import DilationStructure
from g2l.tracking.protocol import RunKind, RunStatus
from tests.pipeline.tiny_pipeline import RECIPE, SEEDS, STRUCTURE, training

METRICS = {"videos", "frames", "accuracy", "edit", "f1@10", "f1@25", "f1@50"}


def same_weights(one, other):
    weights, others = load_file(one), load_file(other)
    return weights.keys() == others.keys() and all((weights[n] == others[n]).all() for n in weights)


def test_each_seed_leaves_a_model_that_knows_its_metrics(place, tiny, tracker):
    outcome = train(place, training(tiny), SEEDS)
    assert [seed.seed for seed in outcome.seeds] == [0, 1]
    for seed in outcome.seeds:
        folder = place.folder / f"seed-{seed.seed}"
        assert seed.model == folder / "model.safetensors"
        metadata = read_metadata(seed.model)
        prefixed = {f"holdout/{n}": v for n, v in seed.holdout.items()}
        prefixed |= {f"test/{n}": v for n, v in seed.test.items()}
        assert metadata.metrics == prefixed
        assert set(seed.test) == set(seed.holdout) == METRICS
        assert (metadata.structure, metadata.seed) == (STRUCTURE, seed.seed)
        assert read_json(folder / "metrics.json") == seed.test
        assert seed.steps == 2 * RECIPE.epochs
        run = tracker.runs[metadata.run_id]
        assert run.kind is RunKind.SEED
        recorded = {"run.json", "result.json", "metrics.json"}
        assert set(run.artifacts) == {"model.safetensors", "last.ckpt", *recorded}
        assert prefixed.items() <= run.latest().items()
        assert sorted(run.series("train/loss")) == [1, 2, 3]
        assert sorted(run.series("train/learning_rate")) == [1, 2, 3]
        best = max(value for step, value in run.series("holdout/f1@10").items() if step <= RECIPE.epochs)
        assert best >= seed.holdout["f1@10"]
    assert not same_weights(outcome.seeds[0].model, outcome.seeds[1].model)


def test_the_stage_tells_mean_and_deviation_and_its_data(place, tiny, tracker):
    outcome = train(place, training(tiny), SEEDS)
    run = tracker.only(RunKind.TRAIN)
    assert outcome.run_id == run.run_id
    assert (run.status, len(run.of_kind(RunKind.SEED))) == (RunStatus.FINISHED, 2)
    first, second = (seed.test["accuracy"] for seed in outcome.seeds)
    assert run.latest()["test/accuracy"] == pytest.approx((first + second) / 2)
    assert run.latest()["test_std/accuracy"] == pytest.approx(abs(first - second) / 2**0.5)
    assert outcome.test()["accuracy"].runs == 2
    fingerprint = SegmentationDataset.open(tiny).fingerprint
    assert {(d["context"], d["digest"]) for d in run.datasets} == {
        (context, fingerprint) for context in ("train", "holdout", "test")
    }
    assert run.tags["g2l.data"] == fingerprint
    partitions = SegmentationDataset.open(tiny).partitions(Selection.BEST)
    assert run.dicts["partitions.json"]["holdout"] == list(partitions.holdout)
    assert run.dicts["structure.json"] == STRUCTURE.as_lists()
    assert run.artifacts["dataset.json"] == (place.folder / "dataset.json").read_bytes()


def test_facts_of_the_data_are_left_for_a_report(place, tiny, tracker):
    train(place, training(tiny.replace(group_pattern="(nothing)")), [4])
    dataset = SegmentationDataset.open(tiny)
    facts = read_json(place.folder / "dataset.json")
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


def test_one_seed_has_no_deviation(place, tiny, tracker):
    train(place, training(tiny), [4])
    assert not any(name.startswith("test_std/") for name in tracker.only(RunKind.TRAIN).latest())


def test_nothing_is_selected_on_test(place, tiny, tmp_path):
    expected = train(place, training(tiny), [0])
    shutil.copytree(tiny.data_root, tmp_path / "data")
    data = tiny.replace(data_root=tmp_path / "data")
    names = SegmentationDataset.open(data).partitions(Selection.BEST).test
    for name in names:  # every test label wrong
        path = data.data_root / "tiny" / "groundTruth" / f"{name}.txt"
        path.write_text("background\n" * len(path.read_text().split()))
    found = train(replace(place, folder=tmp_path / "other"), training(data), [0])
    assert same_weights(found.seeds[0].model, expected.seeds[0].model)
    assert found.seeds[0].holdout == expected.seeds[0].holdout
    assert found.seeds[0].test != expected.seeds[0].test


def test_without_a_holdout_the_last_weights_of_all_training_videos_are_kept(place, tiny, tracker):
    outcome = train(place, training(tiny, selection=Selection.LAST), [0])
    assert outcome.seeds[0].holdout == {}
    assert outcome.seeds[0].steps == 3 * RECIPE.epochs  # 5 videos instead of 4
    assert {d["context"] for d in tracker.only(RunKind.TRAIN).datasets} == {"train", "test"}
    assert outcome.chosen("f1") is outcome.seeds[0]


def test_a_finished_training_is_not_repeated(place, tiny, tracker):
    expected = train(place, training(tiny), SEEDS)
    written = {path: path.stat().st_mtime_ns for path in place.folder.rglob("*.safetensors")}
    logged = {run_id: list(run.metrics) for run_id, run in tracker.runs.items()}
    assert train(replace(place, resume=True), training(tiny), SEEDS) == expected
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert {run_id: run.metrics for run_id, run in tracker.runs.items()} == logged


def test_an_interruption_is_resumed_seed_by_seed(place, tiny, tracker, tmp_path, monkeypatch):
    expected = train(Workplace(folder=tmp_path / "whole", device="cpu"), training(tiny), SEEDS)
    score = SegmentationDataset.load

    def interrupted(dataset, name):
        if (place.folder / "seed-1" / "last.ckpt").exists():
            raise KeyboardInterrupt
        return score(dataset, name)

    monkeypatch.setattr(SegmentationDataset, "load", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(place, training(tiny), SEEDS)
    train_run, (first, second) = tracker.only(RunKind.TRAIN), tracker.all(RunKind.SEED)
    assert [run.status for run in (first, second, train_run)] == [
        RunStatus.FINISHED,
        RunStatus.KILLED,
        RunStatus.KILLED,
    ]
    monkeypatch.undo()
    found = train(replace(place, resume=True), training(tiny), SEEDS)
    assert [seed.test for seed in found.seeds] == [seed.test for seed in expected.seeds]
    assert all(same_weights(a.model, b.model) for a, b in zip(found.seeds, expected.seeds, strict=True))
    assert [run.status for run in tracker.runs.values()] == [RunStatus.FINISHED] * 3
    assert [step for name, _, step in second.metrics if name == "train/loss"] == [1, 2, 3]


def test_statistics_of_the_training_videos_travel_with_the_model(place, tiny):
    data = tiny.replace(normalize=Normalization.TRAIN, sample_rate=2)
    model, metadata = load_model(train(place, training(data), [0]).seeds[0].model)
    dataset = SegmentationDataset.open(data)
    statistics = dataset.standardized_on(dataset.partitions(Selection.BEST).train).statistics
    assert metadata.mean == pytest.approx(tuple(statistics.mean))
    assert metadata.std == pytest.approx(tuple(statistics.std))
    assert metadata.sample_rate == 2
    assert not model.training


@pytest.mark.parametrize("selection", Selection)
def test_transitions_are_counted_over_what_was_trained_on(place, tiny, selection):
    data = tiny.replace(sample_rate=2)
    task = training(data)
    task = replace(task, recipe=task.recipe.replace(selection=selection))
    metadata = read_metadata(train(place, task, [0]).seeds[0].model)
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
        (lambda t: replace(t, structure=DilationStructure(((1, 2),))), "searched: expected 2 stages of 2"),
        (lambda t: replace(t, recipe=t.recipe.replace(epochs=0)), "`epochs` must be >= 1, but is 0"),
        (lambda t: replace(t, backbone=t.backbone.replace(dropout=1.5)), "`dropout` must be in"),
        (lambda t: replace(t, data=DataConfig(dataset="absent")), "absent"),
    ],
)
def test_a_wrong_input_is_told_before_a_run_is_opened(place, tiny, tracker, changed, message):
    with pytest.raises(InputError, match=message):
        train(place, changed(training(tiny)), SEEDS)
    assert not tracker.runs
    assert not place.folder.exists()
