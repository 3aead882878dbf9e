"""Folders become facts: of every kind of run, finished or not, and damaged files are named."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.figures.search import Scored
from g2l.records import RunKind, RunRecord, RunStatus, StatusRecord
from g2l.report.reading import read_run, read_runs
from g2l.report.render import build_report, markdown
from tests.report.generated_run import BACKBONE, context, epochs, search_of_shapes, write_run


def test_a_pipeline_is_read_whole(generated):
    run = read_run(generated)
    assert (run.label, run.kind, run.unfinished) == ("pipeline of kitchen split 1", "pipeline", None)
    assert (run.backbone, run.fps, run.seconds_per_frame) == (BACKBONE, 15.0, 1 / 15)
    assert [training.origin for training in run.trainings] == ["hand-designed", "searched"]
    assert [seed.test["f1@25"] for seed in run.trainings[1].seeds] == [62, 63]
    assert (run.differences["f1"].estimate, run.differences["f1"].seeds) == (2.0, 2)
    assert list(run.structures) == ["hand-designed", "after the global search", "after the local search"]
    assert run.data.frames["train"] == {"S9_Train": 700}
    assert run.versions["commit"] == "0123abc"
    assert run.command[1:3] == ("pipeline", "--dataset")


def test_a_training_that_goes_on_is_paid_once_and_failures_and_fresh_seeds_are_told_apart(tmp_path):
    folder = write_run(tmp_path / "run", candidates=1, population=2)
    journal = folder / "search-global" / "journal.jsonl"
    header, first = (json.loads(line) for line in journal.read_text().splitlines())
    longer, fresh, failed = (json.loads(json.dumps(first)) for _ in range(3))
    longer["evaluation"]["budget"]["amount"], longer["steps"] = 300, 180
    fresh["evaluation"]["seed"] = 7
    failed["evaluation"] |= {"structure": [[1] * 10] * 4, "status": "failed", "metrics": {}, "reason": "why"}
    lines = (header, first, longer, fresh, failed)
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": "eval')
    scores = read_run(folder).search.scores
    assert [score.spent for score in scores] == [120, 300, 420, 540]
    assert [score.fresh for score in scores] == [False, False, True, False]
    assert scores[3] == Scored(540, None)


def test_a_class_that_does_not_occur_has_no_scores(tmp_path):
    folder = write_run(tmp_path / "run", candidates=1, population=2)
    path = folder / "predictions" / "evaluation.json"
    evaluation = json.loads(path.read_text())
    name = next(iter(evaluation["per_class"]["classes"]))
    evaluation["per_class"]["classes"][name] |= {"precision": None, "recall": None, "f1-score": None}
    path.write_text(json.dumps(evaluation))
    run = read_run(folder)
    assert run.predictions.per_class[name].precision is None
    assert name in markdown(build_report([run]))


def test_hold_out_curves_of_trainings_are_read(generated, tmp_path):
    run = read_run(generated)
    assert list(run.curves) == ["hand-designed", "searched"]
    assert (run.curves["searched"].best, run.curves["searched"].rising) == (6, False)
    folder = shutil.copytree(generated / "train-searched", tmp_path / "run")
    (folder / "select" / "holdout-0").mkdir(parents=True)
    record = json.loads((folder / "run.json").read_text())
    (folder / "select" / "run.json").write_text(json.dumps(record | {"kind": "select"}))
    epochs(folder / "select" / "holdout-0", [float(epoch) for epoch in range(10, 40)])
    assert read_run(folder).curves["searched"].rising


def test_a_search_of_shapes_is_read_with_its_curves(tmp_path):
    search = read_run(search_of_shapes(tmp_path / "run")).search
    assert [(one.name, one.difference, one.shown) for one in search.shapes] == [
        ("4×10 (hand-designed)", 0, False),
        ("4,2,2", -1, True),
    ]
    assert {name: curve.scores for name, curve in search.curves.items()} == {
        "4×10 (hand-designed)": (56.5, 57.5, 58.5, 59.5, 60.5, 59.5),
        "4,2,2": (55.5, 56.5, 57.5, 58.5, 59.5, 58.5),
    }


def test_every_stage_can_be_read_by_itself(generated):
    stages = {
        "search-global": "search",
        "search-local": "local",
        "train-searched": "trainings",
        "train-searched/seed-1": "trainings",
        "predictions": "predictions",
    }
    for stage, part in stages.items():
        run = read_run(generated / stage)
        assert [one for one in dict.fromkeys(stages.values()) if getattr(run, one)] == [part]


def test_predictions_without_truth_are_read_from_their_segments(tmp_path):
    table = "video,segment,label,start_frame,end_frame\nb,0,cut,0,5\nb,1,pour,5,9\na,0,cut,0,3\n"
    (tmp_path / "segments.csv").write_text(table)
    run = read_run(tmp_path)
    assert (run.label, run.kind) == (tmp_path.name, "predict")
    assert run.predictions.classes == ("cut", "pour")
    assert {name: video.prediction for name, video in run.predictions.videos.items()} == {
        "a": ((0, 3),),
        "b": ((0, 5), (1, 9)),
    }
    assert {video.truth for video in run.predictions.videos.values()} == {None}


def test_a_run_that_goes_on_is_read_as_far_as_it_is(generated, tmp_path):
    folder = shutil.copytree(generated, tmp_path / "run")
    for name in ("result.json", "summary.json", "search-local/structure.json", "search-local/result.json"):
        (folder / name).unlink()
    (folder / "search-global" / "result.json").unlink()
    shutil.rmtree(folder / "train-searched")
    run = read_run(folder)
    assert run.unfinished.startswith("This run has not finished")
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
        ("run.json", "{", r"run.json:1: expected JSON"),
        ("search-global/structure.json", '{"stages": 3}', r"structure.json: expected `stages` to be tuple"),
        ("search-local/journal.jsonl", "{}\n", r"journal.jsonl:1: expected `number`, found none"),
        ("train-searched/seed-0/result.json", '{"test": {}}', r"result.json: expected `steps`, found none"),
    ],
)
def test_a_damaged_file_is_named(generated, tmp_path, file, content, message):
    folder = shutil.copytree(generated, tmp_path / "run")
    (folder / file).write_text(content)
    with pytest.raises(InputError, match=message):
        read_run(folder)


JSON_FILES = (
    "run.json",
    "shapes/search-global/result.json",
    "context/result.json",
    "summary.json",
    "search-global/run.json",
    "search-global/result.json",
    "search-global/structure.json",
    "search-global/dataset.json",
    "search-local/run.json",
    "search-local/result.json",
    "train-searched/run.json",
    "train-searched/seed-0/result.json",
    "predictions/evaluation.json",
)
LINE_FILES = (
    "search-global/journal.jsonl",
    "search-local/journal.jsonl",
    "shapes/search-global/journal.jsonl",
    "train-searched/seed-0/epochs.jsonl",
)
OTHER_KINDS = st.sampled_from([None, True, -1, 0, 1e308, 10**400, "", "\x00", [], [1], {}, {"a": 1}, [[]]])


def places(value, path=()):
    """Yield the path of every value inside a JSON value, at most two of each list."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in list(inner)[:12] if isinstance(value, dict) else list(inner)[:2]:
        yield from places(one, (*path, key))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from(JSON_FILES + LINE_FILES), drawn=st.data())
def test_a_value_of_another_kind_is_one_line_that_names_the_file_or_a_report(
    generated, tmp_path, file, drawn
):
    """Whatever stands where a number, a list or a name should be: an `InputError` or a whole page."""
    source = tmp_path / "source"
    if not source.exists():
        shutil.copytree(generated, source)
        search_of_shapes(source / "shapes")
        context(source / "context")
    text = (source / file).read_text()
    lines = text.splitlines() if file in LINE_FILES else [text]
    number = drawn.draw(st.integers(0, len(lines) - 1))
    value = json.loads(lines[number])
    path = drawn.draw(st.sampled_from(list(places(value))))
    replacement = drawn.draw(OTHER_KINDS)
    if path:
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = replacement
    else:
        value = replacement
    lines[number] = json.dumps(value)
    folder = tmp_path / "run"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    first = file.partition("/")[0]
    asked = folder / {"shapes": "shapes/search-global", "context": "context"}.get(first, "")
    (folder / file).write_text("\n".join(lines) + "\n")
    message = f"{folder / file}: # G2L: "
    try:
        message += markdown(build_report(read_runs({"run": asked})))[:7].strip()
    except InputError as error:
        message = str(error)
    assert str(folder / file) in message
    assert "\n" not in message
    assert len(message) < 600


def test_a_run_of_this_version_is_read_like_one_of_0_1_0(generated, tmp_path):
    folder = shutil.copytree(generated, tmp_path / "run")
    for path in folder.rglob("run.json"):
        value = json.loads(path.read_text())
        RunRecord(
            kind=RunKind(value["kind"]),
            name="run",
            settings=value["settings"],
            environment=value.get("environment"),
        ).write(path.parent)
    (folder / "search-local" / "journal.jsonl").rename(folder / "search-local" / "updates.jsonl")
    StatusRecord(status=RunStatus.FINISHED).write(folder)
    old = read_run(generated)
    assert read_run(folder) == replace(old, source=str(folder))
    StatusRecord(status=RunStatus.KILLED, reason="Ctrl-C").write(folder)
    assert read_run(folder).unfinished == "This run was stopped before its end (Ctrl-C)."


def test_a_line_that_was_cut_anywhere_is_left_out_or_named(generated, tmp_path):
    """A kill or a full disk ends a file anywhere; what is there before is shown."""
    folder = shutil.copytree(generated, tmp_path / "run")
    for name in (
        "search-global/journal.jsonl",
        "search-local/journal.jsonl",
        "train-searched/seed-0/epochs.jsonl",
    ):
        whole = (folder / name).read_bytes()
        for end in (1, len(whole) // 2, len(whole) - 1):
            (folder / name).write_bytes(whole[:end])
            try:
                found = read_run(folder).source
            except InputError as error:
                found = str(error)
            assert found == str(folder) or str(folder / name) in found
        (folder / name).write_bytes(whole)
