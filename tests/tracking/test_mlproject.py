"""`mlflow run`: the project file fits the command line, and a run that MLflow made is joined."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from g2l.tracking.environment import load_mlflow

ROOT = Path(__file__).parents[2]
ENTRY_POINTS = (
    "main",
    "demo",
    "pipeline",
    "search-global",
    "search-local",
    "train",
    "predict",
    "export",
    "evaluate",
)
SPECIFICATION = yaml.safe_load((ROOT / "MLproject").read_text())

SCRIPT = """
import sys
from pathlib import Path
from g2l.records import RunKind, RunRecord, RunStatus, StatusRecord
from g2l.tracking.environment import environment
from g2l.tracking.process import Upload
assert sys.argv[1:] == ["--note", "", "--name", "a b"], sys.argv
upload = Upload()
for folder, kind in (("root", RunKind.TRAIN), ("root/child", RunKind.SEED)):
    around = environment() if kind is RunKind.TRAIN else None
    RunRecord(kind=kind, name=folder[-5:], settings={"name": "c"}, environment=around).write(Path(folder))
    StatusRecord(status=RunStatus.FINISHED).write(Path(folder))
upload.start(Path("root"))
assert upload.finish(patience=60) is None
"""
PROJECT = """
name: joined
entry_points:
  main:
    parameters:
      note: {type: string, default: ""}
      name: {type: string}
    command: python script.py --note {note} --name {name}
"""


def test_the_entry_points_are_those_of_the_command_line():
    assert SPECIFICATION["name"] == "g2l"
    assert set(SPECIFICATION["entry_points"]) == set(ENTRY_POINTS)


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_every_parameter_is_an_option(name):
    load_mlflow()
    from mlflow.projects._project_spec import load_project

    from cli.main import app

    entry = load_project(str(ROOT)).get_entry_point(name)
    required = {key: "x" for key, parameter in entry.parameters.items() if parameter.default is None}
    words = shlex.split(entry.compute_command(required, None))
    command = {"main": "demo"}.get(name, name)
    assert words[:4] == ["python", "-m", "cli", command]
    options = words[4::2]
    assert options == [f"--{key.replace('_', '-')}" for key in entry.parameters]
    known = {name for option in typer.main.get_command(app).commands[command].params for name in option.opts}
    assert set(options) <= known


def test_nothing_is_downloaded_or_required_to_exist():
    types = {
        parameter["type"]
        for entry in SPECIFICATION["entry_points"].values()
        for parameter in entry["parameters"].values()
    }
    assert types == {"string"}


def test_the_environment_is_that_of_the_package():
    environment = yaml.safe_load((ROOT / "conda.yaml").read_text())
    python, _, packages = environment["dependencies"]
    minimum = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert python == f"python={minimum.removeprefix('>=')}"
    assert packages["pip"] == ["-c constraints.txt", "."]


def test_mlflow_run_and_g2l_share_one_run(workdir, client):
    (workdir / "MLproject").write_text(PROJECT)
    (workdir / "script.py").write_text(SCRIPT)
    variables = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MLFLOW_LOGGING_LEVEL": "INFO",
        "MLFLOW_TRACKING_URI": f"sqlite:///{workdir / 'mlflow.db'}",
    }
    command = shlex.split("-m mlflow run . --env-manager local --experiment-name mine -P 'name=a b'")
    done = subprocess.run(
        [sys.executable, *command], cwd=workdir, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    experiment = client.get_experiment_by_name("mine").experiment_id
    root, child = sorted(client.search_runs([experiment]), key=lambda run: run.info.run_name == "child")
    assert re.search(rf"Run \(ID '{root.info.run_id}'\) succeeded", done.stderr)
    assert child.data.tags["mlflow.parentRunId"] == root.info.run_id
    assert root.data.tags["mlflow.source.type"] == "PROJECT"
    assert root.data.tags["g2l.kind"] == "train"
    assert {root.info.status, child.info.status} == {"FINISHED"}
    assert client.get_experiment_by_name("g2l") is None
