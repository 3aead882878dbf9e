from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from tests.pipeline.recording_tracker import RecordingTracker

import g2l.pipeline.pipeline as compose
from g2l.config import Normalization
from g2l.errors import InputError
from g2l.files import read_json
from g2l.inference.sessions import open_session
from g2l.metrics.comparison import compare
from g2l.metrics.scores import metric_value
from g2l.models.artifact import read_metadata
from g2l.pipeline.context import RunContext
from g2l.pipeline.pipeline import run_pipeline
from g2l.structure_files import read_structure
from g2l.tracking.protocol import RunKind, RunStatus
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
    context = RunContext(folder=tmp_path_factory.mktemp("run") / "out", tracker=tracker, device="cpu")
    return context, run_pipeline(context, task, on_plan=ignore)


def test_the_outcome_compares_two_structures_by_one_recipe(finished, task):
    context, outcome = finished
    assert list(outcome.contestants) == ["hand-designed", "searched"]
    baseline, searched = outcome.contestants.values()
    assert baseline.structure == BACKBONE.hand_designed()
    assert searched.structure == read_structure(context.folder / "structure.json").structure
    assert searched.structure == read_structure(context.folder / "search-local" / "structure.json").structure
    assert baseline.training_equivalents == 0
    steps = read_json(context.folder / "search-global" / "result.json")["steps"]
    steps += read_json(context.folder / "search-local" / "result.json")["steps"]
    assert searched.training_equivalents == steps / (2 * RECIPE.epochs)
    summary = read_json(context.folder / "summary.json")
    for name, contestant in outcome.contestants.items():
        assert summary[name]["structure"] == contestant.structure.as_lists()
        reach = BACKBONE.topology.receptive_field(contestant.structure)
        assert summary[name]["receptive_field"] == reach.frames
        assert summary[name]["look_ahead"] == reach.future
        for metric, score in contestant.test.items():
            assert score.runs == len(SEEDS)
            assert summary[name]["test"][metric] == {"mean": score.mean, "std": score.std, "runs": 2}


def test_the_difference_is_paired_by_seed(finished):
    context, outcome = finished
    summary = read_json(context.folder / "summary.json")
    assert list(outcome.differences) == ["f1", "accuracy"]
    for metric, found in outcome.differences.items():
        scores = {
            name: [
                read_json(context.folder / f"train-{name}" / f"seed-{seed}" / "metrics.json")
                for seed in SEEDS
            ]
            for name in outcome.contestants
        }
        values = {name: [metric_value(run, metric) for run in runs] for name, runs in scores.items()}
        assert found == compare(values["searched"], values["hand-designed"])
        assert summary["difference"][metric] == found.as_dict()
        tracked = context.tracker.roots[0].latest()
        assert tracked[f"difference/{metric}"] == found.mean
        assert (tracked[f"difference/{metric}_low"], tracked[f"difference/{metric}_high"]) == (
            found.low,
            found.high,
        )


def test_all_stages_are_below_one_run(finished):
    context, outcome = finished
    (root,) = context.tracker.roots
    assert (root.run_id, root.kind) == (outcome.run_id, RunKind.PIPELINE)
    assert [child.kind for child in root.children] == STAGES
    assert {run.status for run in context.tracker.runs.values()} == {RunStatus.FINISHED}
    assert {run.opened for run in context.tracker.runs.values()} == {1}
    own = {"summary.json", "structure.json", "report.html"}
    assert set(root.artifacts) == {"run.json", "result.json", *own}
    accuracy = outcome.contestants["searched"].test["accuracy"].mean
    assert root.latest()["searched/accuracy"] == accuracy
    train = root.of_kind(RunKind.TRAIN)[1]
    assert train.latest()["test/accuracy"] == accuracy


def test_the_exported_model_scores_as_the_trained_one(finished):
    context, outcome = finished
    seeds = [context.folder / "train-searched" / f"seed-{seed}" for seed in SEEDS]
    best = max(seeds, key=lambda seed: metric_value(read_json(seed / "result.json")["holdout"], "f1"))
    expected = read_metadata(best / "model.safetensors")
    metadata = open_session(outcome.model, "cpu").metadata
    assert metadata == expected
    assert (metadata.normalize, metadata.sample_rate) == (Normalization.TRAIN, 2)
    assert len(metadata.mean) == len(metadata.std) == 4
    trained = read_json(best / "metrics.json")
    del trained["likelihood"]  # a file of labels has no probabilities
    assert read_json(outcome.predictions / "metrics.json") == trained
    assert context.tracker.only(RunKind.EXPORT).models[0]["bytes"] == outcome.model.read_bytes()
    assert context.tracker.only(RunKind.PREDICT).latest() == trained


def test_a_finished_pipeline_repeats_nothing(finished, task, tmp_path):
    context, expected = finished
    folder = tmp_path / "out"
    shutil.copytree(context.folder, folder)
    rewritten = ("run.json", "structure.json", "dataset.json")  # with what is in them
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in rewritten]
    written = {path: path.stat().st_mtime_ns for path in files}
    runs = context.tracker.runs
    before = {run_id: (list(run.metrics), len(run.children)) for run_id, run in runs.items()}
    found = run_pipeline(replace(context, folder=folder, resume=True), task, on_plan=ignore)
    assert found.contestants == expected.contestants
    assert found.differences == expected.differences
    assert {path: path.stat().st_mtime_ns for path in files} == written
    assert {run_id: (run.metrics, len(run.children)) for run_id, run in runs.items()} == before


@pytest.mark.parametrize("broken", ["export_model", "predict"])
def test_a_pipeline_goes_on_at_the_stage_that_was_interrupted(finished, task, tmp_path, monkeypatch, broken):
    context, expected = finished
    folder = tmp_path / "out"
    shutil.copytree(context.folder, folder)
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
    context = replace(context, folder=folder, tracker=tracker, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(context, task, on_plan=ignore)
    assert tracker.only(RunKind.PIPELINE).status is RunStatus.KILLED
    found = run_pipeline(context, task, on_plan=ignore)
    assert len(calls) == 2
    assert found.contestants == expected.contestants
    assert done.exists()
    assert (folder / "summary.json").exists()
    assert tracker.only(RunKind.PIPELINE).status is RunStatus.FINISHED


def test_other_settings_of_any_stage_are_refused(finished, task):
    context, _ = finished
    other = replace(task, local_search=task.local_search.replace(updates=5))
    with pytest.raises(InputError, match=r"`local_search\.updates` was 2 and is 5\.$"):
        run_pipeline(replace(context, resume=True), other, on_plan=ignore)


def test_a_wrong_data_set_is_told_before_a_run_is_opened(context, tracker, task):
    with pytest.raises(InputError, match="nowhere"):
        run_pipeline(context, replace(task, data=task.data.replace(dataset="nowhere")), on_plan=ignore)
    assert not tracker.runs
    assert not context.folder.exists()
