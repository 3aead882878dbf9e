"""What MLflow should hold of a run, from its folder alone."""

from __future__ import annotations

import json

import pytest
from generated_run import START, open_stage, write_run

from g2l.records import RUN, STATUS, RunKind, RunRecord, RunStatus, StatusRecord
from g2l.tracking.mirror import Mirror


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    return write_run(tmp_path / "run")


def mirrored(folder, *, over=True):
    return {run.name: run for run in Mirror(folder).runs(over=over)}


def test_every_stage_and_every_candidate_is_a_run_below_its_own(folder):
    runs = mirrored(folder)
    by_id = {run.id: run.name for run in runs.values()}
    parents = {name: by_id.get(run.parent) for name, run in runs.items()}
    candidates = {name for name in runs if name.startswith("candidate")}
    assert len(candidates) == 5
    assert parents == {
        "run": None, "search-global": "run", "search-local": "run", "train": "run", "seed-0": "train",
        **dict.fromkeys(candidates, "search-global"),
    }  # fmt: skip
    assert {run.tags["g2l.root_id"] for run in runs.values()} == {runs["run"].id}
    assert runs["run"].tags.keys() >= {"g2l.command", "g2l.version.torch", "mlflow.user"}


def test_a_training(folder):
    seed = mirrored(folder)["seed-0"]
    assert [(m.name, m.value, m.step, m.at) for m in seed.metrics["epochs.jsonl"]][:3] == [
        ("train/loss", 1.0, 1, START + 1),
        ("train/learning_rate", 1e-3, 1, START + 1),
        ("holdout/f1_at_10", 51.0, 1, START + 1),
    ]
    assert [(m.name, m.value, m.step) for m in seed.metrics["result.json"]] == [("test/accuracy", 80.0, 3)]
    assert [(one.name, one.context) for one in seed.datasets] == [
        ("tiny split 1 test", "test"),
        ("tiny split 1 train", "train"),
    ]
    assert {one.path: one.stable for one in seed.artifacts} == {
        **dict.fromkeys(["run.json", "dataset.json"], True),
        **dict.fromkeys(["result.json", "epochs.jsonl", "model.safetensors", "last.ckpt"], False),
    }
    assert seed.tags["g2l.data"] == "abc"
    (structure,) = [one for one in mirrored(folder)["train"].artifacts if one.path == "structure.json"]
    assert json.loads(structure.text) == [[1, 2]]


def test_a_global_search(folder):
    runs = mirrored(folder)
    first = runs["candidate 1,2"]
    assert first.params == {
        "structure": "1,2", "seed": "0", "origin": "random", "phase": "search", "generation": "0",
        "cached": "False",
    }  # fmt: skip
    values = {(m.name, m.step): m.value for m in first.metrics["journal.jsonl"]}
    assert values[("holdout/accuracy", 10)] == values[("holdout/accuracy", 20)] == 52.0
    assert (values[("fitness", 20)], values[("receptive_field", 10)]) == (40.0, 7.0)
    assert (first.status, first.tags["g2l.budget"]) == (RunStatus.FINISHED, "20 steps")
    failed, given_up = runs["candidate 1,40"], runs["candidate 1,41"]
    assert (failed.status, failed.tags["g2l.reason"]) == (RunStatus.FAILED, "diverged")
    assert (given_up.status, given_up.tags["g2l.reason"]) == (RunStatus.KILLED, "given up after 10 steps")
    search = runs["search-global"]
    tables = {one.path: one for one in search.artifacts if one.table}
    assert tables.keys() == {"race.json", "population/generation-000.json"}
    population = json.loads(tables["population/generation-000.json"].text)
    assert population["columns"][:4] == ["rank", "structure", "fitness", "origin"]
    assert population["data"] == [[1, "1,2", 40.0, "random", 7, 3]]
    assert {m.name for m in search.metrics["journal.jsonl"]} >= {"generation/best", "generation/diversity"}


def test_a_candidate_that_may_go_on_is_running(folder):
    StatusRecord(status=RunStatus.RUNNING).write(folder / "search-global")
    assert mirrored(folder, over=False)["candidate 1,41"].status is RunStatus.RUNNING


def test_a_local_search(folder):
    local = mirrored(folder)["search-local"]
    assert {m.name: m.value for m in local.metrics["updates.jsonl"]} == {
        "rate/stage1.layers.0": 2.0,
        **{f"branch_weight/stage1.layers.0/{i}": weight for i, weight in enumerate((0.2, 0.5, 0.3))},
    }
    assert (local.status, local.tags["g2l.reason"]) == (RunStatus.FAILED, "the loss diverged")


def test_what_a_dead_process_left_running_was_killed(folder):
    StatusRecord(status=RunStatus.RUNNING).write(folder)
    assert mirrored(folder, over=False)["run"].status is RunStatus.RUNNING
    dead = mirrored(folder)["run"]
    assert (dead.status, dead.tags["g2l.reason"]) == (
        RunStatus.KILLED,
        "the process ended before the run did",
    )
    assert dead == mirrored(folder)["run"]


def test_a_damaged_record_is_named_and_the_rest_is_mirrored(folder):
    (folder / "train" / "seed-0" / "epochs.jsonl").write_text("{}\n")
    (folder / "search-global" / RUN).write_text("{")
    mirror = Mirror(folder)
    names = {run.name for run in mirror.runs(over=True)}
    assert names == {"run", "search-local", "train", "seed-0"}
    assert [problem.partition(":")[0].rpartition("/")[2] for problem in mirror.problems] == [
        "run.json",
        "epochs.jsonl",
    ]


OTHER_KINDS = [None, -1, 10**400, "text", [1], {"a": 1}]


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("seed-0/result.json", ("recorded",)),
        ("seed-0/result.json", ("recorded", "metrics")),
        ("seed-0/result.json", ("recorded", "metrics", "test/accuracy")),
        ("seed-0/result.json", ("artifacts",)),
        ("run.json", ("settings", "data")),
        ("run.json", ("environment", "versions")),
        ("search-global/run.json", ("settings", "search")),
        ("search-global/journal.jsonl", ("evaluation", "metrics")),
        ("search-global/journal.jsonl", ("evaluation", "structure")),
        ("search-global/journal.jsonl", ("at",)),
    ],
)
def test_a_value_of_another_kind_is_named_and_stops_no_upload(folder, file, path):
    """Before, it ended the uploader: nothing of the run was recorded."""
    found = next(one for one in folder.rglob(file.rpartition("/")[2]) if str(one).endswith(file))
    lines = found.read_text().splitlines() if file.endswith("l") else [found.read_text()]
    place = next(number for number, line in enumerate(lines) if f'"{path[0]}"' in line)
    for other in OTHER_KINDS:
        value = json.loads(lines[place])
        inner = value
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = other
        found.write_text("\n".join([*lines[:place], json.dumps(value), *lines[place + 1 :]]) + "\n")
        mirror = Mirror(folder)
        runs = {run.name for run in mirror.runs(over=True)}
        assert all(str(found) in problem and "\n" not in problem for problem in mirror.problems)
        assert file == "run.json" or {"run", "search-local"} <= runs
        assert mirror.problems or "seed-0" in runs


def test_a_file_that_did_not_change_is_read_once(folder, monkeypatch):
    mirror = Mirror(folder)
    before = mirror.runs(over=True)
    monkeypatch.setattr(RunRecord, "read", lambda folder: pytest.fail(f"{folder} is read again"))
    assert mirror.runs(over=True) == before
    (folder / STATUS).write_text(json.dumps({"status": "FAILED", "reason": "disk", "at": 5}))
    assert mirror.runs(over=True)[0].tags["g2l.reason"] == "disk"


def test_the_files_of_single_videos_stay_where_they_are(tmp_path):
    open_stage(tmp_path, RunKind.PREDICT, {"videos": 1})
    for name in ("a.txt", "segments.csv"):
        (tmp_path / name).write_text("")
    (tmp_path / "result.json").write_text(json.dumps({"artifacts": {"a.txt": {}, "segments.csv": {}}}))
    found = [one.path for one in mirrored(tmp_path)[tmp_path.name].artifacts]
    assert found == ["run.json", "result.json", "segments.csv"]


@pytest.mark.parametrize("below", ["figures/rates.svg", "tables/updates.json"])
def test_a_file_that_is_being_written_is_no_artifact(folder, below):
    place = folder / "search-local" / below
    place.parent.mkdir(exist_ok=True)
    place.write_text('{"columns": [], "data": []}')
    place.with_name(f".{place.name}.abcd1234.tmp").write_text("")
    found = [one.path for one in mirrored(folder)["search-local"].artifacts]
    assert place.name in found
    assert not [path for path in found if "tmp" in path]


def test_no_name_in_a_result_leads_out_of_the_folder(folder):
    (folder / "secret").write_text("")
    outside = {"../secret": {}, str(folder / "secret"): {}}
    (folder / "train" / "result.json").write_text(json.dumps({"artifacts": outside}))
    found = {one.path for one in mirrored(folder)["train"].artifacts}
    assert found == {"structure.json", "run.json", "result.json"}


def test_an_exported_model_is_logged_once_it_is_finished(tmp_path):
    open_stage(tmp_path, RunKind.EXPORT, {"precision": "fp16"})
    (tmp_path / "model.onnx").write_bytes(b"")
    assert mirrored(tmp_path)[tmp_path.name].model is None
    result = {"register": {"name": "best", "alias": "champion"}, "artifacts": {"model.onnx": {}}}
    (tmp_path / "result.json").write_text(json.dumps(result))
    model = mirrored(tmp_path)[tmp_path.name].model
    assert (model.registered_model, model.alias) == ("best", "champion")
