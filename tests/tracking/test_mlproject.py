"""The project file of `mlflow run` fits the command line."""

from __future__ import annotations

import shlex
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
    "context",
    "search-global",
    "search-local",
    "train",
    "predict",
    "export",
    "evaluate",
)
SPECIFICATION = yaml.safe_load((ROOT / "MLproject").read_text())


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


def test_the_environment_is_that_of_the_package():
    environment = yaml.safe_load((ROOT / "conda.yaml").read_text())
    python, _, packages = environment["dependencies"]
    minimum = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert python == f"python={minimum.removeprefix('>=')}"
    assert packages["pip"] == ["-c constraints.txt", "."]
