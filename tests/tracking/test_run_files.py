"""The files of a run come back laid out as its folders were, and no tag leads out of them."""

from __future__ import annotations

import pytest

from g2l.errors import InputError
from g2l.tracking.protocol import FOLDER_TAG, RunKind
from g2l.tracking.run_files import fetch_run

WANTED = ("run.json", "journal.jsonl")


def logged(run, folder, name, text):
    (folder / name).write_text(text)
    run.log_artifact(folder / name)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }


def test_files_of_a_run_and_of_the_stages_below_it(tracker, workdir):
    root = tracker.start(name="root", kind=RunKind.PIPELINE)
    logged(root, workdir, "run.json", "root")
    logged(root, workdir, "model.onnx", "large")
    search = root.child(name="search", kind=RunKind.SEARCH_GLOBAL)
    search.set_tags({FOLDER_TAG: "search-global"})
    logged(search, workdir, "journal.jsonl", "lines")
    candidate = search.child(name="candidate", kind=RunKind.CANDIDATE)
    candidate.set_tags({FOLDER_TAG: "candidate"})
    logged(candidate, workdir, "run.json", "candidate")
    trained = root.child(name="train", kind=RunKind.TRAIN)
    trained.set_tags({FOLDER_TAG: "train"})
    seed = trained.child(name="seed", kind=RunKind.SEED)
    seed.set_tags({FOLDER_TAG: "seed-0"})
    logged(seed, workdir, "run.json", "seed")
    for folder in ("../outside", "..", "/tmp/outside", ".hidden", "a/b", ""):
        other = root.child(name="other", kind=RunKind.TRAIN)
        other.set_tags({FOLDER_TAG: folder})
        logged(other, workdir, "run.json", "outside")
        other.finish()
    for run in (candidate, search, seed, trained, root):
        run.finish()
    run_id = root.run_id
    assert tracker.close() is None
    folder = fetch_run(run_id, WANTED)
    assert folder.name == run_id
    assert files(folder.parent) == {
        f"{run_id}/run.json": "root",
        f"{run_id}/search-global/journal.jsonl": "lines",
        f"{run_id}/train/seed-0/run.json": "seed",
    }


def test_a_run_that_is_not_there_is_named(workdir, client):
    with pytest.raises(InputError, match=f"run {'0' * 32}: not found in MLflow at sqlite:.*mlflow.db"):
        fetch_run("0" * 32, WANTED)
