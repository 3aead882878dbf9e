"""Folders become facts: of every kind of run, finished or not, and damaged files are named."""

from __future__ import annotations

import json
import shutil

import pytest

from g2l.errors import InputError
from g2l.report.read import read_run, read_runs
from g2l.report.stage_facts import Scored
from tests.report.generated_run import BACKBONE, HAND_DESIGNED, write_run


def test_a_pipeline_is_read_whole(generated):
    run = read_run(generated)
    assert (run.label, run.kind, run.finished) == ("pipeline of kitchen split 1", "pipeline", True)
    assert (run.backbone, run.fps, run.seconds_per_frame) == (BACKBONE, 15.0, 1 / 15)
    assert [training.origin for training in run.trainings] == ["hand-designed", "searched"]
    assert [seed.test["f1@25"] for seed in run.trainings[1].seeds] == [62, 63]
    assert (run.differences["f1"].estimate, run.differences["f1"].seeds) == (2.0, 2)
    assert list(run.structures) == ["hand-designed", "after the global search", "after the local search"]
    assert run.data["frames"]["train"] == {"S9_Train": 700}
    assert run.environment["commit"] == "0123abc"


def test_scores_of_candidates_come_with_what_was_spent(generated):
    search = read_run(generated).search
    assert [score.spent for score in search.scores] == [120 * number for number in range(1, 13)]
    assert search.scores[0].structure == search.hand_designed == HAND_DESIGNED
    assert search.winner == max(search.scores, key=lambda score: score.fitness).structure
    assert [len(one.members) for one in search.generations] == [4, 4, 4]
    assert search.generations[-1].best == search.result["fitness"]


def test_a_training_that_goes_on_is_paid_once_and_failures_and_fresh_seeds_are_told_apart(tmp_path):
    folder = write_run(tmp_path / "run", candidates=1, population=2)
    journal = folder / "search-global" / "journal.jsonl"
    header, first = (json.loads(line) for line in journal.read_text().splitlines())
    longer, fresh, failed = (json.loads(json.dumps(first)) for _ in range(3))
    longer["evaluation"]["budget"]["amount"] = 300
    fresh["evaluation"]["seed"] = 7
    failed["evaluation"] |= {"structure": [[1] * 10] * 4, "status": "failed", "metrics": {}, "reason": "why"}
    lines = (header, first, longer, fresh, failed)
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": "eval')
    scores = read_run(folder).search.scores
    assert [score.spent for score in scores] == [120, 300, 420, 540]
    assert [score.fresh for score in scores] == [False, False, True, False]
    assert scores[3] == Scored(scores[3].structure, 540, None)


def test_paths_of_rates_start_where_the_search_did(generated):
    local = read_run(generated).local
    assert len(local.paths) == 40
    assert [path.start for path in local.paths] == list(local.start.rates)
    assert [path.rates[-1] for path in local.paths] == list(local.found.rates)
    step = local.paths[0].steps[0]
    assert sum(step.weights) == pytest.approx(1)
    mean = sum(weight * branch for weight, branch in zip(step.weights, step.branches, strict=True))
    assert step.expectation == pytest.approx(mean)


@pytest.mark.parametrize(
    ("stage", "kind", "has"),
    [
        ("search-global", "search-global", {"search"}),
        ("search-local", "search-local", {"local"}),
        ("train-searched", "train", {"trainings"}),
        ("train-searched/seed-1", "seed", {"trainings"}),
        ("predictions", "predict", {"predictions"}),
    ],
)
def test_every_stage_can_be_read_by_itself(generated, stage, kind, has):
    run = read_run(generated / stage)
    parts = {"search", "local", "trainings", "predictions"}
    assert run.kind == kind
    assert {part for part in parts if getattr(run, part)} == has
    assert [len(training.seeds) for training in run.trainings] in ([], [1], [2])


def test_predictions_without_truth_are_read_from_their_segments(tmp_path):
    table = "video,segment,label,start_frame,end_frame\nb,0,cut,0,5\nb,1,pour,5,9\na,0,cut,0,3\n"
    (tmp_path / "segments.csv").write_text(table)
    run = read_run(tmp_path)
    assert (run.label, run.kind) == (tmp_path.name, "predict")
    assert run.predictions.classes == ("cut", "pour")
    assert [(video.name, video.prediction) for video in run.predictions.videos] == [
        ("a", ((0, 3),)),
        ("b", ((0, 5), (1, 9))),
    ]
    assert {video.truth for video in run.predictions.videos} == {None}


def test_a_run_that_goes_on_is_read_as_far_as_it_is(generated, tmp_path):
    folder = shutil.copytree(generated, tmp_path / "run")
    for name in ("result.json", "summary.json", "search-local/structure.json", "search-local/result.json"):
        (folder / name).unlink()
    (folder / "search-global" / "result.json").unlink()
    shutil.rmtree(folder / "train-searched")
    run = read_run(folder)
    assert not run.finished
    assert (run.local.found, run.local.steps, run.differences) == (None, None, {})
    assert len(run.search.scores) == 12


def test_runs_with_one_label_are_told_apart_by_their_folders(generated, tmp_path):
    other = shutil.copytree(generated, tmp_path / "other")
    labels = [run.label for run in read_runs({"x/run": generated, str(other): other})]
    assert labels == ["pipeline of kitchen split 1 (run)", "pipeline of kitchen split 1 (other)"]


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"expected the output folder of a run, but it holds neither run.json"
    ):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("run.json", "[]", r"run.json: expected a JSON object, but found a list"),
        ("run.json", "{", r"run.json:1: expected JSON"),
        ("search-global/structure.json", "{}", None),
        ("search-global/structure.json", '{"stages": 3}', r"structure.json: is not as g2l writes it"),
        (
            "search-global/run.json",
            '{"kind": "search-global"}',
            r"run.json: is not .* \(`settings` is missing",
        ),
        ("search-local/journal.jsonl", "{}\n", r"journal.jsonl: is not .* \(`layers` is missing\)"),
        ("search-local/journal.jsonl", "{\n", r"journal.jsonl: expected one JSON object per line"),
        (
            "train-searched/seed-0/result.json",
            '{"test": {}}',
            r"result.json: is not .* \(`holdout` is missing",
        ),
        ("predictions/evaluation.json", '{"classes": []}', r"evaluation.json: is not .* \(`background`"),
    ],
)
def test_a_damaged_file_is_named(generated, tmp_path, file, content, message):
    folder = shutil.copytree(generated, tmp_path / "run")
    (folder / file).write_text(content)
    if message is None:
        read_run(folder)
    else:
        with pytest.raises(InputError, match=message):
            read_run(folder)
