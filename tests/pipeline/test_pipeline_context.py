from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

import g2l
from g2l.errors import InputError, OperationalError
from g2l.files import read_json, write_json
from g2l.pipeline.context import RunContext, open_run
from g2l.records import (
    DATASET,
    RESULT,
    RUN,
    RunKind,
    RunRecord,
    RunStatus,
    StatusRecord,
    write_result,
)

SETTINGS = {"recipe": {"epochs": 3, "learning_rate": 0.1}, "seeds": (0, 1), "data": {"cache_mb": 5}}


def run_once(context, settings=SETTINGS, kind=RunKind.TRAIN, result=None, files=(), **options):
    with context.stage(kind, "a stage", settings, **options) as stage:
        if result is not None:
            for name in files:
                (stage.folder / name).write_bytes(b"weights")
            write_result(stage.folder, result, files)
    return stage


def status(context, folder=""):
    record = StatusRecord.read(context.folder / folder)
    return record.status, record.reason


@pytest.fixture
def resumed(context):
    return replace(context, resume=True)


def test_a_stage_writes_its_record_and_how_it_ended(context):
    with context.stage(RunKind.TRAIN, "a stage", SETTINGS) as stage:
        assert status(context) == (RunStatus.RUNNING, None)
    record = RunRecord.read(context.folder)
    assert (record.id, record.kind, record.name) == (stage.run_id, RunKind.TRAIN, "a stage")
    assert record.settings == json.loads(json.dumps(SETTINGS))
    assert record.environment["command"][1:] == sys.argv[1:]
    assert record.environment["versions"]["g2l"] == g2l.__version__
    assert status(context) == (RunStatus.FINISHED, None)
    assert not (context.folder / RESULT).exists()


def test_resume_keeps_the_id_and_hands_the_result_over(context, resumed):
    first = run_once(context, result={"steps": 3})
    stage = run_once(resumed)
    assert stage.result["steps"] == 3
    assert (stage.run_id, stage.started_at) == (first.run_id, first.started_at)


@pytest.mark.parametrize("damage", ["truncated", "gone", "changed"])
def test_a_result_whose_files_differ_is_made_again(context, resumed, caplog, damage):
    run_once(context, result={"steps": 3}, files=["model.safetensors"])
    path = context.folder / "model.safetensors"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"wei" if damage == "truncated" else b"weighty")
    assert run_once(resumed).result is None
    assert "missing or were changed" in caplog.text
    assert not (context.folder / RESULT).exists()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (RUN, [], r"run.json: expected a JSON object"),
        (RESULT, 3, r"result.json: expected a JSON object"),
        (RUN, {"schema": "g2l.run/2", "id": "1", "name": "", "kind": "train", "settings": []}, "settings"),
    ],
)
def test_a_damaged_record_is_refused_in_one_line(context, resumed, name, value, expected):
    run_once(context, result={"steps": 3})
    write_json(context.folder / name, value)
    with pytest.raises(InputError, match=expected):
        run_once(resumed)


def test_runs_of_0_1_0_are_not_resumed(context, resumed):
    context.folder.mkdir()
    old = {"schema": "g2l.run/1", "kind": "train", "run_id": None, "settings": {}}
    write_json(context.folder / RUN, old)
    with pytest.raises(InputError, match=r"out: was written by g2l 0\.1\.0, whose runs cannot be resumed"):
        run_once(resumed)
    assert read_json(context.folder / RUN) == old


def test_a_folder_that_holds_a_run_is_refused(context):
    run_once(context)
    before = (context.folder / RUN).read_bytes()
    with pytest.raises(InputError, match=r"out: already holds a train run\.") as error:
        run_once(context)
    assert "--resume" in error.value.hint
    assert (context.folder / RUN).read_bytes() == before


def test_other_settings_are_refused_by_field(context, resumed):
    run_once(context)
    other = {"recipe": {"epochs": 3, "learning_rate": 0.2, "clip": 1}, "seeds": (0,)}
    with pytest.raises(
        InputError,
        match=r"run\.json: was started with other settings: `recipe\.clip` was None and is 1, "
        r"`recipe\.learning_rate` was 0\.1 and is 0\.2, `seeds` was \[0, 1\] and is \[0\]\.",
    ):
        run_once(resumed, other)
    assert status(context) == (RunStatus.FINISHED, None)


def test_other_settings_are_a_new_run_where_they_need_not_be_the_same(context, resumed):
    first = run_once(context, fixed=False)
    second = run_once(resumed, {"seeds": (5,)}, fixed=False)
    assert second.run_id != first.run_id
    assert RunRecord.read(context.folder).settings == {"seeds": [5]}


def test_a_run_of_another_kind_is_refused(context, resumed):
    run_once(context)
    for again in (context, resumed):
        with pytest.raises(InputError, match=r"run\.json: expected a seed run, but found 'train'"):
            run_once(again, kind=RunKind.SEED)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OperationalError("the loss diverged."), (RunStatus.FAILED, "the loss diverged.")),
        (ValueError("odd"), (RunStatus.FAILED, "odd")),
        (KeyboardInterrupt(), (RunStatus.KILLED, "interrupted")),
        (SystemExit(1), (RunStatus.KILLED, "interrupted")),
    ],
)
def test_how_a_stage_ended(context, resumed, error, expected):
    with (
        pytest.raises(type(error)),
        context.stage(RunKind.TRAIN, "outer", {}) as outer,
        outer.stage(RunKind.EXPORT, "inner", {}, "inner"),
    ):
        raise error
    assert status(context) == status(context, "inner") == expected
    run_once(resumed, {})
    assert status(context) == (RunStatus.FINISHED, None)


def test_a_new_stage_that_is_refused_leaves_nothing(tmp_path):
    context = RunContext(folder=tmp_path / "deep" / "out")

    def refused():
        with context.stage(RunKind.TRAIN, "t", {}) as stage:
            (stage.folder / DATASET).write_text("{}")
            raise InputError("the data is wrong.")

    with pytest.raises(InputError, match="the data is wrong"):
        refused()
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_stage_that_is_refused_keeps_its_status(context, resumed):
    with pytest.raises(KeyboardInterrupt), context.stage(RunKind.TRAIN, "t", {}):
        raise KeyboardInterrupt
    before = (context.folder / "status.json").read_bytes()
    with pytest.raises(InputError), resumed.stage(RunKind.TRAIN, "t", {}):
        raise InputError("the data has changed.")
    assert (context.folder / "status.json").read_bytes() == before


def test_the_start_of_a_command_is_announced_once(tmp_path):
    started = []

    def start(folder):
        assert (folder / RUN).exists()
        started.append(folder)

    with (
        open_run(tmp_path / "out", on_start=start) as context,
        context.stage(RunKind.PIPELINE, "p", {}) as stage,
        stage.stage(RunKind.TRAIN, "t", {}, "inner"),
    ):
        pass
    assert started == [tmp_path / "out"]


def test_temporary_files_of_killed_runs_are_removed_on_resume(tmp_path):
    torn = [tmp_path / ".result.json.abcd1234.tmp", tmp_path / "seed-0" / ".last.ckpt.abcd1234.tmp"]
    (tmp_path / "seed-0").mkdir()
    write_json(tmp_path / RUN, {})
    for path in torn:
        path.write_bytes(b"half")
    with open_run(tmp_path, resume=True):
        assert not any(path.exists() for path in torn)


def test_a_folder_in_which_nothing_was_written_is_removed(tmp_path):
    with pytest.raises(InputError), open_run(tmp_path / "a" / "b"):
        raise InputError("wrong.")
    assert list(tmp_path.iterdir()) == []
