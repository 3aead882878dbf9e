from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

import g2l.pipeline.compose as compose
from g2l.config import Normalization
from g2l.errors import InputError
from g2l.files import read_json
from g2l.inference.sessions import open_session
from g2l.metrics.comparison import compare
from g2l.metrics.scores import metric_value
from g2l.models.artifact import read_metadata
from g2l.pipeline.compose import run_pipeline
from g2l.pipeline.stage import Workplace
from g2l.structure_files import read_structure
from g2l.tracking.protocol import RunKind, RunStatus
from tests.pipeline.recording_tracker import RecordingTracker
from tests.pipeline.tiny_pipeline import BACKBONE, RECIPE, SEEDS, pipeline_task

STAGES = [
    RunKind.SEARCH_GLOBAL,
    RunKind.SEARCH_LOCAL,
    RunKind.TRAIN,
    RunKind.TRAIN,
    RunKind.EXPORT,
    RunKind.PREDICT,
]


def ignore(plan):
    pass


@pytest.fixture(scope="module")
def task(tiny):
    data = tiny.replace(normalize=Normalization.TRAIN, sample_rate=2)
    return replace(pipeline_task(data), seeds=len(SEEDS))


@pytest.fixture(scope="module")
def finished(task, tmp_path_factory):
    """A pipeline that ran to its end, made once; tests copy its folder before they change it."""
    tracker = RecordingTracker()
    place = Workplace(folder=tmp_path_factory.mktemp("run") / "out", tracker=tracker, device="cpu")
    return place, run_pipeline(place, task, on_plan=ignore)


def test_the_outcome_compares_two_structures_by_one_recipe(finished, task):
    place, outcome = finished
    assert list(outcome.contenders) == ["hand-designed", "searched"]
    baseline, searched = outcome.contenders.values()
    assert baseline.structure == BACKBONE.hand_designed()
    assert searched.structure == read_structure(place.folder / "structure.json").structure
    assert searched.structure == read_structure(place.folder / "search-local" / "structure.json").structure
    assert baseline.training_equivalents == 0
    steps = read_json(place.folder / "search-global" / "result.json")["steps"]
    steps += read_json(place.folder / "search-local" / "result.json")["steps"]
    assert searched.training_equivalents == steps / (2 * RECIPE.epochs)
    summary = read_json(place.folder / "summary.json")
    for name, contender in outcome.contenders.items():
        assert summary[name]["structure"] == contender.structure.as_lists()
        reach = BACKBONE.topology.receptive_field(contender.structure)
        assert summary[name]["receptive_field"] == reach.frames
        assert summary[name]["look_ahead"] == reach.future
        for metric, score in contender.test.items():
            assert score.runs == len(SEEDS)
            assert summary[name]["test"][metric] == {"mean": score.mean, "std": score.std, "runs": 2}


def test_the_difference_is_paired_by_seed(finished):
    place, outcome = finished
    summary = read_json(place.folder / "summary.json")
    assert list(outcome.differences) == ["f1", "accuracy"]
    for metric, found in outcome.differences.items():
        scores = {
            name: [
                read_json(place.folder / f"train-{name}" / f"seed-{seed}" / "metrics.json") for seed in SEEDS
            ]
            for name in outcome.contenders
        }
        values = {name: [metric_value(run, metric) for run in runs] for name, runs in scores.items()}
        assert found == compare(values["searched"], values["hand-designed"])
        assert summary["difference"][metric] == found.as_dict()
        tracked = place.tracker.roots[0].latest()
        assert tracked[f"difference/{metric}"] == found.estimate
        assert (tracked[f"difference/{metric}_low"], tracked[f"difference/{metric}_high"]) == (
            found.low,
            found.high,
        )


def test_all_stages_are_below_one_run(finished):
    place, outcome = finished
    (root,) = place.tracker.roots
    assert (root.run_id, root.kind) == (outcome.run_id, RunKind.PIPELINE)
    assert [child.kind for child in root.children] == STAGES
    assert {run.status for run in place.tracker.runs.values()} == {RunStatus.FINISHED}
    assert {run.opened for run in place.tracker.runs.values()} == {1}
    own = {"summary.json", "structure.json", "report.html"}
    assert set(root.artifacts) == {"run.json", "result.json", *own}
    accuracy = outcome.contenders["searched"].test["accuracy"].mean
    assert root.latest()["searched/accuracy"] == accuracy
    train = root.of_kind(RunKind.TRAIN)[1]
    assert train.latest()["test/accuracy"] == accuracy


def test_the_exported_model_scores_as_the_trained_one(finished):
    place, outcome = finished
    seeds = [place.folder / "train-searched" / f"seed-{seed}" for seed in SEEDS]
    best = max(seeds, key=lambda seed: metric_value(read_json(seed / "result.json")["holdout"], "f1"))
    expected = read_metadata(best / "model.safetensors")
    metadata = open_session(outcome.model, "cpu").metadata
    assert metadata == expected
    assert (metadata.normalize, metadata.sample_rate) == (Normalization.TRAIN, 2)
    assert len(metadata.mean) == len(metadata.std) == 4
    trained = read_json(best / "metrics.json")
    assert read_json(outcome.predictions / "metrics.json") == trained
    assert place.tracker.only(RunKind.EXPORT).models[0]["bytes"] == outcome.model.read_bytes()
    assert place.tracker.only(RunKind.PREDICT).latest() == trained


def test_a_finished_pipeline_repeats_nothing(finished, task, tmp_path):
    place, expected = finished
    folder = tmp_path / "out"
    shutil.copytree(place.folder, folder)
    rewritten = ("run.json", "structure.json", "dataset.json")  # with what is in them
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in rewritten]
    written = {path: path.stat().st_mtime_ns for path in files}
    runs = place.tracker.runs
    before = {run_id: (list(run.metrics), len(run.children)) for run_id, run in runs.items()}
    found = run_pipeline(replace(place, folder=folder, resume=True), task, on_plan=ignore)
    assert found.contenders == expected.contenders
    assert found.differences == expected.differences
    assert {path: path.stat().st_mtime_ns for path in files} == written
    assert {run_id: (run.metrics, len(run.children)) for run_id, run in runs.items()} == before


@pytest.mark.parametrize("broken", ["export_model", "predict"])
def test_a_pipeline_goes_on_at_the_stage_that_was_interrupted(finished, task, tmp_path, monkeypatch, broken):
    place, expected = finished
    folder = tmp_path / "out"
    shutil.copytree(place.folder, folder)
    (folder / "result.json").unlink()
    (folder / "summary.json").unlink()
    done = folder / ("export" if broken == "export_model" else "predictions") / "result.json"
    done.unlink()
    calls = []
    work = getattr(compose, broken)

    def interrupted(*args, **options):
        calls.append(broken)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return work(*args, **options)

    monkeypatch.setattr(compose, broken, interrupted)
    tracker = RecordingTracker()
    place = replace(place, folder=folder, tracker=tracker, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(place, task, on_plan=ignore)
    assert tracker.only(RunKind.PIPELINE).status is RunStatus.KILLED
    found = run_pipeline(place, task, on_plan=ignore)
    assert len(calls) == 2
    assert found.contenders == expected.contenders
    assert done.exists()
    assert (folder / "summary.json").exists()
    assert tracker.only(RunKind.PIPELINE).status is RunStatus.FINISHED


def test_other_settings_of_any_stage_are_refused(finished, task):
    place, _ = finished
    other = replace(task, local_search=task.local_search.replace(updates=5))
    with pytest.raises(InputError, match=r"`local_search\.updates` was 2 and is 5\.$"):
        run_pipeline(replace(place, resume=True), other, on_plan=ignore)


def test_a_wrong_data_set_is_told_before_a_run_is_opened(place, tracker, task):
    with pytest.raises(InputError, match="nowhere"):
        run_pipeline(place, replace(task, data=task.data.replace(dataset="nowhere")), on_plan=ignore)
    assert not tracker.runs
    assert not place.folder.exists()
