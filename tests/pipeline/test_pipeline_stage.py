from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

import g2l
from g2l.errors import InputError, OperationalError
from g2l.files import read_json, write_json
from g2l.pipeline.stage import RECORD, RESULT, Workplace, open_stage, tracked
from g2l.tracking.protocol import RunKind, RunStatus

SETTINGS = {"recipe": {"epochs": 3, "learning_rate": 0.1}, "seeds": (0, 1)}


def run_once(place, settings=SETTINGS, kind=RunKind.TRAIN, result=None):
    with open_stage(place, kind, "a stage", settings) as stage:
        if result is not None:
            stage.finish(result)
    return stage


def test_a_stage_writes_its_record_and_logs_its_settings(place, tracker):
    run_once(place)
    run = tracker.only(RunKind.TRAIN)
    assert (run.name, run.params, run.status, run.reason) == ("a stage", SETTINGS, RunStatus.FINISHED, None)
    record = read_json(place.folder / RECORD)
    environment = record.pop("environment")
    assert environment["command"][1:] == sys.argv[1:]
    assert environment["versions"]["g2l"] == g2l.__version__
    assert run.artifacts[RECORD] == (place.folder / RECORD).read_bytes()
    assert run.tags == {"g2l.folder": "out"}
    assert record == {
        "schema": "g2l.run/1",
        "kind": "train",
        "run_id": run.run_id,
        "settings": json.loads(json.dumps(SETTINGS)),
    }
    assert not (place.folder / RESULT).exists()


def test_an_untracked_stage_has_no_run(tmp_path):
    run_once(Workplace(folder=tmp_path))
    assert read_json(tmp_path / RECORD)["run_id"] is None


def test_resume_reopens_the_run_and_hands_the_result_over(place, tracker):
    run_once(place, result={"steps": 3})
    stage = run_once(replace(place, resume=True))
    assert stage.result == {"steps": 3}
    assert tracker.only(RunKind.TRAIN).opened == 2


def test_resume_goes_on_with_what_is_not_finished(place, tracker):
    run_once(place)
    assert run_once(replace(place, resume=True)).result is None
    assert tracker.only(RunKind.TRAIN).opened == 2


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (RECORD, [], r"run.json: expected an object, but found list"),
        (RESULT, 3, r"result.json: expected an object, but found int"),
        (
            RECORD,
            {"schema": "g2l.run/1", "kind": "train", "settings": []},
            "expected `settings` to be an object",
        ),
    ],
)
def test_a_spoilt_record_is_refused_in_one_line(place, name, value, expected):
    run_once(place, result={"steps": 3})
    write_json(place.folder / name, value)
    with pytest.raises(InputError, match=expected):
        run_once(replace(place, resume=True))


def test_resume_of_nothing_starts(place, tracker):
    run_once(replace(place, resume=True))
    assert tracker.only(RunKind.TRAIN).params == SETTINGS


@pytest.mark.parametrize("run_id", [None, "of another store"])
def test_settings_are_logged_again_where_the_store_does_not_know_the_run(place, tracker, run_id):
    run_once(place)
    write_json(place.folder / RECORD, read_json(place.folder / RECORD) | {"run_id": run_id})
    stage = run_once(replace(place, resume=True))
    assert [run.params for run in tracker.roots] == [SETTINGS, SETTINGS]
    assert read_json(place.folder / RECORD)["run_id"] == stage.run.run_id == tracker.roots[1].run_id


def test_a_folder_that_holds_a_run_is_refused(place, tracker):
    run_once(place)
    with pytest.raises(InputError, match=r"out: already holds a train run\.") as error:
        run_once(place)
    assert "--resume" in error.value.hint
    assert len(tracker.runs) == 1


def test_other_settings_are_refused_by_field(place, tracker):
    run_once(place)
    other = {"recipe": {"epochs": 3, "learning_rate": 0.2, "clip": 1}, "seeds": (0,)}
    with pytest.raises(
        InputError,
        match=r"run\.json: was started with other settings: `recipe\.clip` was None and is 1, "
        r"`recipe\.learning_rate` was 0\.1 and is 0\.2, `seeds` was \[0, 1\] and is \[0\]\.",
    ):
        run_once(replace(place, resume=True), other)
    assert tracker.only(RunKind.TRAIN).opened == 1


def test_a_run_of_another_kind_is_refused(place):
    run_once(place)
    with pytest.raises(InputError, match=r"run\.json: expected a seed run, but found 'train'"):
        run_once(replace(place, resume=True), kind=RunKind.SEED)


def test_an_output_folder_that_is_a_file_is_refused(place, tracker):
    place.folder.write_text("")
    with pytest.raises(InputError, match="cannot be used as an output folder"):
        run_once(place)
    assert not tracker.runs


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (OperationalError("the loss diverged."), RunStatus.FAILED, "the loss diverged."),
        (ValueError("odd"), RunStatus.FAILED, "odd"),
        (KeyboardInterrupt(), RunStatus.KILLED, "interrupted"),
        (SystemExit(1), RunStatus.KILLED, "interrupted"),
    ],
)
def test_how_a_stage_ended(place, tracker, error, status, reason):
    with (
        pytest.raises(type(error)),
        open_stage(place, RunKind.TRAIN, "outer", {}) as outer,
        tracked(outer.below("inner"), RunKind.EXPORT, "inner"),
    ):
        raise error
    runs = [tracker.only(RunKind.TRAIN), tracker.only(RunKind.EXPORT)]
    assert [(run.status, run.reason) for run in runs] == [(status, reason)] * 2
    assert runs[1].parent is runs[0]
    run_once(replace(place, resume=True), {})
    assert (runs[0].status, runs[0].reason) == (RunStatus.FINISHED, None)


def test_once_repeats_what_was_interrupted_and_nothing_else(place):
    calls = []

    def work(inner):
        calls.append(inner)
        if len(calls) == 1:
            raise KeyboardInterrupt

    with open_stage(place, RunKind.PIPELINE, "p", {}) as stage:
        with pytest.raises(KeyboardInterrupt):
            stage.once("export", work)
        stage.once("export", work)
        stage.once("export", work)
        assert calls == [stage.below("export")] * 2
        assert calls[0].folder == place.folder / "export"
        assert calls[0].parent is stage.run
