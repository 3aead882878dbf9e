"""`MLproject` and `docs/options.md` are what the settings make of them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer
import yaml

from cli.boundary import KEEPS_EMPTY
from cli.generated import ENTRY_POINTS, ROOT, mlproject, options_page
from cli.main import COMMANDS, app
from cli.options import option_names, uses_of

PROJECT = yaml.safe_load(mlproject())["entry_points"]


@pytest.mark.parametrize(
    ("path", "made"), [("MLproject", mlproject), ("docs/options.md", options_page)], ids=["MLproject", "docs"]
)
def test_files_are_up_to_date(path, made):
    assert Path(ROOT, path).read_text(encoding="utf-8") == made(), "run `python -m cli.generated`"


def test_every_option_is_in_the_documentation():
    page = options_page()
    for function in COMMANDS.values():
        for uses in uses_of(function).values():
            for one in uses.fields():
                assert all(f"| `--{option}`" in page for option in option_names(one))


@pytest.mark.parametrize("entry", PROJECT)
def test_entry_points_parse_as_mlflow_formats_them(entry):
    """Each parameter is shell-quoted into the command, defaults included."""
    parameters = PROJECT[entry]["parameters"]
    given = {name: shlex.quote(str(one.get("default", "given"))) for name, one in parameters.items()}
    python, dash, module, name, *line = shlex.split(PROJECT[entry]["command"].format(**given))
    assert (python, dash, module) == ("python", "-m", "cli")
    command = typer.main.get_command(app).commands[name]
    context = command.make_context(name, line)
    assert {f"--{name.replace('_', '-')}" for name in parameters} <= {
        option for one in command.params for option in one.opts
    }
    assert context.params.get("output_dir") is None


def test_every_stage_is_an_entry_point():
    assert set(PROJECT) == {"main", *ENTRY_POINTS}


def test_settings_whose_empty_text_is_a_value_are_known():
    found = {
        f"--{one.option}"
        for function in COMMANDS.values()
        for uses in uses_of(function).values()
        for one in uses.fields()
        if one.setting.keeps_empty
    }
    assert found == KEEPS_EMPTY


def test_undeclared_parameters_of_mlflow_are_options():
    command = typer.main.get_command(app).commands["train"]
    context = command.make_context("train", ["--dataset", "d", "--decay_epoch", "3", "--group_pattern=a_b"])
    assert (context.params["decay_epoch"], context.params["group_pattern"]) == ("3", "a_b")
