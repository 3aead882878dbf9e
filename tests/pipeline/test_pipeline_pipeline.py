from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

import g2l.pipeline.pipeline as stage
from g2l.config import Normalization
from g2l.errors import InputError
from g2l.files import read_json
from g2l.inference.sessions import open_session
from g2l.metrics.comparison import compare
from g2l.metrics.scores import metric_value
from g2l.models.artifact import read_metadata
from g2l.pipeline.context import RunContext
from g2l.pipeline.pipeline import run_pipeline
from g2l.progress import NullProgress
from g2l.records import RunKind, RunRecord, RunStatus, StatusRecord, read_result
from g2l.structure_files import read_structure
from tests.pipeline.tiny_pipeline import BACKBONE, RECIPE, SEEDS, pipeline_task

SELECTED = ("hand-designed", "local")  # the global search keeps the hand-designed structure
STAGES = {
    "search-global": RunKind.SEARCH_GLOBAL,
    "search-local": RunKind.SEARCH_LOCAL,
    **{f"select-{name}": RunKind.SELECT for name in SELECTED},
    **{f"select-{name}/holdout-{number}": RunKind.HOLDOUT for name in SELECTED for number in (0, 1)},
    **{f"train-{origin}": RunKind.TRAIN for origin in ("hand-designed", "searched")},
    **{
        f"train-{origin}/seed-{seed}": RunKind.SEED
        for origin in ("hand-designed", "searched")
        for seed in SEEDS
    },
    "export": RunKind.EXPORT,
    "predictions": RunKind.PREDICT,
}


@pytest.fixture(scope="module")
def task(tiny):
    data = tiny.replace(normalize=Normalization.TRAIN, sample_rate=2)
    return replace(pipeline_task(data), seeds=len(SEEDS))


class Shown(NullProgress):
    """Keeps the stages that are shown."""

    def __init__(self):
        self.stages = []

    def stage(self, title, seconds_left):
        self.stages.append((title, seconds_left))


PLANS = []


@pytest.fixture(scope="module")
def finished(task, tmp_path_factory):
    """A pipeline that ran to its end, made once; tests copy its folder before they change it."""
    context = RunContext(folder=tmp_path_factory.mktemp("run") / "out", device="cpu", progress=Shown())
    return context, run_pipeline(replace(context, on_plan=PLANS.append), task)


def test_the_cost_of_all_stages_is_estimated_before_and_reported_after(finished, task):
    context, outcome = finished
    (plan,) = PLANS
    assert list(plan.expected.steps) == list(outcome.costs) == ["search", *stage.STAGES[1:4]]
    actual = sum(outcome.costs.values())
    assert 1 / 1.5 < plan.expected.training_equivalents / actual < 1.5
    assert plan.maximal.total_steps * 1.01 > plan.expected.total_steps
    assert outcome.costs["final trainings"] == 2 * len(SEEDS) * outcome.contestants["searched"].epochs / 3
    assert read_json(context.folder / "summary.json")["costs"] == outcome.costs


def test_progress_shows_the_stages_and_the_time_left_of_all(finished):
    stages = finished[0].progress.stages
    assert [title for title, _ in stages] == [
        f"stage {number} of 5: {name}" for number, name in enumerate(stage.STAGES, 1)
    ]
    left = [seconds for _, seconds in stages]
    assert left == sorted(left, reverse=True)
    assert left[0] > left[1] > 0
    assert left[-1] == 0


def test_the_outcome_compares_two_structures_by_one_recipe(finished, task):
    context, outcome = finished
    assert list(outcome.contestants) == ["hand-designed", "searched"]
    baseline, searched = outcome.contestants.values()
    assert baseline.structure == BACKBONE.hand_designed()
    contest = outcome.contest
    assert (contest.shipped, contest.searched) == ("hand-designed", "local")
    assert baseline.structure == read_structure(context.folder / "structure.json").structure
    assert searched.structure == read_structure(context.folder / "search-local" / "structure.json").structure
    assert baseline.training_equivalents == 0
    steps = read_json(context.folder / "search-global" / "result.json")["steps"]
    steps += read_json(context.folder / "search-local" / "result.json")["steps"]
    steps += sum(one.steps for name, one in contest.selections.items() if name != "global")
    assert searched.training_equivalents == steps / (3 * RECIPE.epochs)
    summary = read_json(context.folder / "summary.json")
    assert summary["contest"] == contest.as_dict()
    assert read_result(context.folder)["recorded"]["tags"]["g2l.shipped"] == "hand-designed"
    for name, contestant in outcome.contestants.items():
        assert summary[name]["structure"] == contestant.structure.as_lists()
        reach = BACKBONE.topology.receptive_field(contestant.structure)
        assert summary[name]["receptive_field"] == reach.frames
        assert summary[name]["look_ahead"] == reach.future
        for metric, score in contestant.test.items():
            assert score.runs == len(SEEDS)
            assert summary[name]["test"][metric] == {"mean": score.mean, "std": score.std, "runs": 2}


def test_the_difference_is_paired_by_seed_and_video(finished):
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
        assert found.estimate == pytest.approx(compare(values["searched"], values["hand-designed"]).estimate)
        assert (found.seeds, found.videos) == (2, 3)
        assert summary["difference"][metric] == found.as_dict()
        tracked = read_result(context.folder)["recorded"]["metrics"]
        assert tracked[f"difference/{metric}"] == found.estimate
        assert (tracked[f"difference/{metric}_low"], tracked[f"difference/{metric}_high"]) == (
            found.low,
            found.high,
        )


def test_all_stages_are_below_one_run(finished):
    context, outcome = finished
    records = {path.parent: RunRecord.read(path.parent) for path in context.folder.rglob("run.json")}
    root = records.pop(context.folder)
    assert (root.id, root.kind) == (outcome.run_id, RunKind.PIPELINE)
    found = {str(folder.relative_to(context.folder)): record.kind for folder, record in records.items()}
    assert found == STAGES
    assert len({record.id for record in records.values()}) == len(STAGES)
    statuses = {StatusRecord.read(folder).status for folder in (context.folder, *records)}
    assert statuses == {RunStatus.FINISHED}
    result = read_result(context.folder)
    assert set(result["artifacts"]) == {"structure.json", "summary.json"}
    accuracy = outcome.contestants["searched"].test["accuracy"].mean
    assert result["recorded"]["metrics"]["searched/accuracy"] == accuracy
    train = read_result(context.folder / "train-searched")
    assert train["recorded"]["metrics"]["test/accuracy"] == accuracy
    assert outcome.report.exists()


def test_the_exported_model_scores_as_the_trained_one(finished):
    context, outcome = finished
    best = context.folder / "train-hand-designed" / "seed-0"  # that of the shipped structure
    expected = read_metadata(best / "model.safetensors")
    metadata = open_session(outcome.model, "cpu").metadata
    assert metadata == expected
    assert (metadata.normalize, metadata.sample_rate) == (Normalization.TRAIN, 2)
    assert len(metadata.mean) == len(metadata.std) == 4
    trained = read_json(best / "metrics.json")
    assert read_json(outcome.predictions / "metrics.json") == trained
    assert (context.folder / "export" / "model.onnx").read_bytes() == outcome.model.read_bytes()
    assert read_result(outcome.predictions)["recorded"]["metrics"] == trained


def test_a_finished_pipeline_repeats_nothing(finished, task, tmp_path):
    context, expected = finished
    folder = tmp_path / "out"
    shutil.copytree(context.folder, folder)
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    found = run_pipeline(replace(context, folder=folder, resume=True), task)
    assert found.contestants == expected.contestants
    assert found.differences == expected.differences
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_damaged_results_of_any_stage_are_made_again(finished, task, tmp_path):
    context, expected = finished
    folder = tmp_path / "out"
    shutil.copytree(context.folder, folder)
    damaged = [
        *("model.onnx", "structure.json", "search-global/structure.json", "search-local/model.safetensors"),
        *("train-hand-designed/seed-0/model.safetensors", "export/model.onnx", "predictions/segments.csv"),
    ]
    for name in damaged:
        (folder / name).write_bytes(b"")
    found = run_pipeline(replace(context, folder=folder, resume=True), task)
    assert found.contestants == expected.contestants
    for name in damaged:
        if not name.endswith(".safetensors"):  # whose header is in no order
            assert (folder / name).read_bytes() == (context.folder / name).read_bytes()
        else:
            assert read_metadata(folder / name).structure == read_metadata(context.folder / name).structure


def test_other_settings_of_any_stage_are_refused(finished, task):
    context, _ = finished
    other = replace(task, local_search=task.local_search.replace(updates=5))
    with pytest.raises(InputError, match=r"`local_search\.updates` was 2 and is 5\.$"):
        run_pipeline(replace(context, resume=True), other)


def test_a_wrong_data_set_is_reported_before_anything_is_written(context, task):
    with pytest.raises(InputError, match="nowhere"):
        run_pipeline(context, replace(task, data=task.data.replace(dataset="nowhere")))
    assert not context.folder.exists()
