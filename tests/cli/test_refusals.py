"""Refusals that come when stages are open already: nothing stays that counts as a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_lines import GLOBAL, LOCAL, SEARCH, SMALL, TRAIN, Run, refusal

LINES = {
    "train": TRAIN,
    "search-local": ("search-local", *SMALL, *LOCAL, "--hand-designed"),
    "search-global": GLOBAL,
    "pipeline": ("pipeline", *SMALL, *SEARCH, *LOCAL),
}


@pytest.fixture
def damaged(workdir: Path) -> Path:
    """The working directory; what is wrong with its features is seen when a first batch is read."""
    for path in Path("data/tiny/features").glob("*.npy"):
        np.save(path, np.full_like(np.load(path), np.nan))
    return workdir


@pytest.mark.parametrize("command", ["search-local", "pipeline"])
def test_no_folder_stays(run: Run, damaged: Path, command: str) -> None:
    assert "features must be finite, but row 0 of frame 0 is nan" in refusal(run(*LINES[command]))
    assert {path.name for path in damaged.iterdir()} == {"data"}


def test_a_folder_that_was_there_can_be_used_afterwards(run: Run, damaged: Path, tiny: Path) -> None:
    Path("out").mkdir()
    refusal(run(*TRAIN, "--output-dir", "out"))
    assert not list(Path("out").iterdir())
    shutil.copytree(tiny, "data", dirs_exist_ok=True)
    assert run(*TRAIN, "--output-dir", "out").exit_code == 0


@pytest.mark.usefixtures("tracking")
def test_no_run_stays_running(run: Run, damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{damaged}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    refusal(run(*LINES["pipeline"]))
    client = MlflowClient(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments)
    assert {found.info.status for found in runs} <= {"FAILED"}  # a run whose folder went first was never sent
