"""kill -9 at any instant, then the same command again: the same structures, weights and numbers, bit for bit.

Each run is a process of its own, forked from a server that has imported torch once. It kills itself right
before a flush to disk: since nothing that a resumed run reads is written without one, the flushes are all the
instants that differ. Others are killed from outside while they compute.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import time

import pytest
from safetensors.numpy import load_file

from tests.pipeline.tiny_pipeline import ATTENTION, CAUSAL, DUAL, run_stage

RUN = {"run_id", "seconds", "checkpoint", "recorded", "artifacts", "speed", "at"}
TIMEOUT = 280


@pytest.fixture(scope="session")
def server():
    """Starts processes in which torch is imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.pipeline.forked"])
    return context


@pytest.fixture
def run(server, tiny, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def start(stage, folder, **options):
        process = server.Process(target=run_stage, args=(stage, folder, tiny), kwargs=options)
        process.start()
        return process

    return start


@pytest.fixture(scope="session")
def whole(server, tiny, tmp_path_factory):
    """Outcomes of uninterrupted runs, each made once."""
    made = {}

    def outcome_of(stage, **options):
        key = (stage, *options.values())
        if key not in made:
            folder = tmp_path_factory.mktemp(stage)
            process = server.Process(target=run_stage, args=(stage, folder, tiny), kwargs=options)
            process.start()
            finish(process, 0)
            made[key] = outcome(folder)
        return made[key]

    return outcome_of


def finish(process, code):
    process.join(TIMEOUT)
    assert process.exitcode == code


def outcome(folder):
    """Return all that a run leaves, less what is told about the run itself."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name in ("run.json", "predictions.jsonl", "metrics.jsonl"):
            found[name] = None
        elif path.suffix == ".json":
            found[name] = without_run(json.loads(path.read_text()))
        elif path.suffix == ".jsonl":
            found[name] = journal(path)
        elif path.suffix == ".safetensors":
            found[name] = {key: value.tobytes() for key, value in load_file(path).items()}
        elif path.suffix in (".txt", ".csv"):
            found[name] = path.read_text()
        elif path.is_file():
            found[name] = None
    return found


def journal(path):
    """Return the decisions; candidates of a generation may complete in any order."""
    lines = [without_run(json.loads(line)) for line in path.read_text().splitlines()]
    return sorted(lines, key=lambda line: (line.get("generation", -1), json.dumps(line, sort_keys=True)))


def without_run(value):
    if isinstance(value, dict):
        return {key: without_run(item) for key, item in value.items() if key not in RUN}
    return [without_run(item) for item in value] if isinstance(value, list) else value


def assert_same(folder, expected):
    found = outcome(folder)
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name] == expected[name], name


@pytest.mark.parametrize(
    ("stage", "instants"),
    [
        # The record; candidates, generations and their journal lines; the structure; the result.
        ("search-global", (5, 9, 32, 49)),
        # The record; epochs; an update in the middle of an epoch (5-8); the collapse (9-12); the end.
        ("search-local", (2, 5, 7, 10, 11, 13, 16, 18, 19)),
        # The hold-outs (9-60): an epoch, a result; the seeds (61-90): a checkpoint, a model, a result.
        ("train", (19, 23, 31, 47, 57, 66, 71, 84)),
    ],
)
def test_a_run_that_is_killed_again_and_again(run, whole, tmp_path, stage, instants):
    expected = whole(stage)
    for number, instant in enumerate(instants):
        folder = tmp_path / str(number)
        finish(run(stage, folder, kill_at=instant), -signal.SIGKILL)
        if number % 2:  # a resumed run is killed too
            finish(run(stage, folder, kill_at=5), -signal.SIGKILL)
        finish(run(stage, folder), 0)
        assert_same(folder, expected)


@pytest.mark.parametrize(
    ("stage", "backbone", "instants"),
    [
        ("search-global", CAUSAL, (32,)),
        ("search-local", CAUSAL, (7, 10)),
        ("search-local", ATTENTION, (7,)),
        ("train", DUAL, (26, 66)),
        ("train", ATTENTION, (47,)),
    ],
)
def test_other_backbones_go_on_too(run, whole, tmp_path, stage, backbone, instants):
    expected = whole(stage, backbone=backbone)
    assert expected != whole(stage)
    for instant in instants:
        finish(run(stage, tmp_path, kill_at=instant, backbone=backbone), -signal.SIGKILL)
    finish(run(stage, tmp_path, backbone=backbone), 0)
    assert_same(tmp_path, expected)


def test_one_folder_killed_over_and_over(run, whole, tmp_path):
    """In the local search, the second training, the export, twice in the predictions, in the record."""
    for instant in (62, 43, 30, 24, 26, 31):
        finish(run("pipeline", tmp_path, kill_at=instant), -signal.SIGKILL)
    finish(run("pipeline", tmp_path), 0)
    assert_same(tmp_path, whole("pipeline"))


def test_a_search_in_processes_that_is_killed_while_they_train(run, whole, tmp_path):
    process = run("search-global", tmp_path, workers=2)
    path = tmp_path / "journal.jsonl"
    deadline = time.monotonic() + TIMEOUT
    while not (path.exists() and path.read_text().count("\n") >= 3):
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    finish(process, -signal.SIGKILL)
    assert '"event":"end"' not in path.read_text()
    finish(run("search-global", tmp_path), 0)  # where candidates are trained may change
    assert_same(tmp_path, whole("search-global"))
