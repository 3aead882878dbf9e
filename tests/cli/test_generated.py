"""`MLproject` and `docs/options.md` are what the settings make of them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer
import yaml

from cli.generated import ENTRY_POINTS, ROOT, mlproject, options_page
from cli.main import COMMANDS, app
from cli.options import uses_of

PROJECT = yaml.safe_load(mlproject())["entry_points"]


@pytest.mark.parametrize(("path", "made"), [("MLproject", mlproject), ("docs/options.md", options_page)])
def test_files_are_up_to_date(path, made):
    assert Path(ROOT, path).read_text(encoding="utf-8") == made(), "run `python -m cli.generated`"


def test_every_option_is_in_the_documentation():
    page, used = options_page(), (uses for one in COMMANDS.values() for uses in uses_of(one).values())
    assert all(f"| `--{one.option}`" in page for uses in used for one in uses.settings())


def test_entry_points_parse_as_mlflow_formats_them():
    """Each parameter is shell-quoted into the command, defaults included."""
    assert set(PROJECT) == {"main", *ENTRY_POINTS}
    for entry in PROJECT.values():
        given = {name: shlex.quote(one.get("default", "given")) for name, one in entry["parameters"].items()}
        python, dash, module, name, *line = shlex.split(entry["command"].format(**given))
        assert (python, dash, module) == ("python", "-m", "cli")
        command = typer.main.get_command(app).commands[name]
        assert command.make_context(name, line).params.get("output_dir") is None
        options = {option for one in command.params for option in one.opts}
        assert {f"--{name.replace('_', '-')}" for name in entry["parameters"]} <= options


def test_undeclared_parameters_of_mlflow_are_options():
    command = typer.main.get_command(app).commands["train"]
    context = command.make_context("train", ["--dataset", "d", "--decay_epoch", "3", "--group_pattern=a_b"])
    assert (context.params["decay_epoch"], context.params["group_pattern"]) == ("3", "a_b")
