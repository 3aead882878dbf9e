"""A tiny kitchen and the command line, run in this process in a folder of its own and tracked nowhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_lines import TRAIN, Run, invoke
from typer.testing import Result

from cli import console
from g2l.datasets.synthetic import kitchen, write_dataset
from g2l.tracking.process import Upload

START = Upload.start


def no_start(upload: Upload, folder: Path) -> None:
    """Record nothing in MLflow."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the caller's changes what is said or tracked."""
    for name in [*os.environ]:
        if name.startswith("MLFLOW_") or name in (
            "COLUMNS",
            "FORCE_COLOR",
            "PY_COLORS",
            "GITHUB_ACTIONS",
            "NO_COLOR",
        ):
            monkeypatch.delenv(name)
    monkeypatch.setattr(Upload, "start", no_start)
    monkeypatch.setattr(console, "_quiet", False)


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real upload, whose store is made when there is something to record."""
    monkeypatch.setattr(Upload, "start", START)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root that holds the data set `tiny`: 8 videos, 5 classes, feature_dim 4."""
    root = tmp_path_factory.mktemp("tiny")
    content = kitchen(np.random.default_rng(1), videos=8, frames=60, classes=5, feature_dim=4)
    write_dataset(root, "tiny", content)
    return root


@pytest.fixture
def workdir(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a copy of the data in `data/tiny`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny, tmp_path / "data")
    return tmp_path


@pytest.fixture
def run(workdir: Path) -> Run:
    """Runs a command line in the working directory."""
    return invoke


@pytest.fixture(scope="session")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The output folder of a small training of two seeds, and what the command said."""
    output = tmp_path_factory.mktemp("trained") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Upload, "start", no_start)
        told = invoke(
            *(*TRAIN, "--data-root", str(tiny), "--seeds", "2", "--normalize", "train", "--fps", "15"),
            *("--output-dir", str(output)),
        )
    assert told.exit_code == 0, told.stderr
    return output, told


@pytest.fixture(scope="session")
def model(trained: tuple[Path, Result]) -> Path:
    """A trained `model.safetensors`."""
    return trained[0] / "seed-0" / "model.safetensors"


@pytest.fixture(scope="session")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The same model as `.onnx`, and what the command said."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Upload, "start", no_start)
        told = invoke("export", "--model", str(model), "--output", str(path))
    assert told.exit_code == 0, told.stderr
    return path, told
