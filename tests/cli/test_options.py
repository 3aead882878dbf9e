"""Options made from settings: how many are shown, and that each reaches its setting."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import pytest
import typer
from command_lines import invoke
from typer.testing import CliRunner

from cli import main, options
from cli.boundary import G2LCommand, G2LGroup
from cli.context import context
from cli.options import Uses, default_text, grouped, metavar, option_names, parse, uses_of
from cli.search_global import search_global
from g2l.config import Budget, DataConfig, GlobalSearchConfig, LocalSearchConfig, RecipeConfig, Space
from g2l.errors import InputError
from g2l.settings import Settings, setting_fields

MOST_SHOWN, MOST_FIRST, MOST_LINES = 30, 10, 60


def leaves(group: object = None, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    group = typer.main.get_command(main.app) if group is None else group
    below = getattr(group, "commands", None)
    if below is None:
        return {path: group}
    return {at: leaf for name, one in below.items() for at, leaf in leaves(one, (*path, name)).items()}


LEAVES = leaves()
NAMES = [" ".join(path) for path in LEAVES]


@pytest.mark.parametrize(("path", "command"), LEAVES.items(), ids=NAMES)
def test_help_shows_few_options_and_the_most_important_first(path, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert len(invoke(*path, "--help").stdout.splitlines()) <= MOST_LINES
    shown = [one for one in command.params if one.opts[0].startswith("--") and not one.hidden]
    assert len(shown) + 1 <= MOST_SHOWN  # and --help
    assert {one.rich_help_panel for one in shown} <= {None, "Advanced"}
    first = [one for one in shown if one.rich_help_panel is None and one.name != "help_all"]
    assert 0 < len(first) <= MOST_FIRST or path in (("doctor",), ("demo",), ("sync",))


def test_help_leaves_rare_options_to_help_all(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    told, everything = invoke("train", "-h").stdout, invoke("train", "--help-all").stdout
    for name in ("--smoothing-weight", "--length-tolerance", "--expansion-rate"):
        assert name not in told
        assert name in everything


FUNCTIONS = {tuple(name.split()): function for name, function in main.COMMANDS.items()}


def other_value(one) -> str:
    """Return a valid text that is not the usual preset's."""
    if one.choices:
        return next(text for text in one.choices if text != one.preset_value("fast"))
    if one.type in (int, float):
        low = one.setting.at_least if one.setting.above is None else one.setting.above
        value = 7 if low is None else low + 7
        if one.setting.below is not None or one.setting.at_most == 1:
            value = 0.75
        return str(one.type(value))
    if one.name in ("mean", "std"):
        return "1,2,3"
    return "7" if one.type is Budget else "other"


def every_setting() -> list:
    return [
        pytest.param(path, name, uses, one, option, id=f"{' '.join(path)} --{option}")
        for path in LEAVES
        for name, uses in uses_of(FUNCTIONS[path]).items()
        for one in uses.fields()
        for option in option_names(one)
    ]


@pytest.mark.parametrize(("path", "parameter", "uses", "one", "option"), every_setting())
def test_every_option_reaches_its_setting(path, parameter, uses, one, option):
    command = LEAVES[path]
    (found,) = (each for each in command.params if f"--{option}" in each.opts)
    assert found.name == option.replace("-", "_")
    text = None if one.type is bool else other_value(one)
    value = (not one.default) if text is None else [text] if one.many else text
    values = {found.name: value}
    if "dataset" in setting_fields(uses.config) and option != "dataset":
        values["dataset"] = "gtea"
    cross_checked = {"ending": {}, "smooth": {"min_duration": "1"}, "precision": {"calibration": ["a"]}}
    values = cross_checked.get(one.name, {}) | values
    plain = replace(uses, adjust=None)
    configs, refused = None, ""
    try:
        configs = options.configurations({parameter: plain}, values)
    except InputError as error:
        refused = error.message
    if configs is None:  # it belongs to another option, which the error names
        assert re.search(rf"`--{option}`.* (needs|must be left out|must be false)", refused)
    else:
        assert getattr(configs[parameter], one.name) != getattr(uses.usual(), one.name)


@pytest.mark.parametrize(
    ("given", "space", "budget"),
    [
        ({}, Space.SHAPES, 5.0),
        ({"strategy": "random"}, Space.RATES, 24.0),
        ({"proxy_steps": "9", "budget": "7"}, Space.RATES, 7.0),
        ({"space": "rates"}, Space.RATES, 24.0),
        ({"preset": "paper"}, Space.RATES, None),
        ({"preset": "paper", "shapes": ["4,3"]}, Space.SHAPES, None),
    ],
)
def test_options_of_one_space_choose_it(given, space, budget):
    search = options.configurations({"search": uses_of(search_global)["search"]}, given)["search"]
    assert (search.space, search.trainings) == (space, budget)


def test_a_command_may_have_defaults_of_its_own():
    used = uses_of(context)
    assert options.configurations(used, {"dataset": "gtea"})["recipe"].epochs == 15
    assert options.configurations(used, {"dataset": "gtea", "epochs": "50"})["recipe"].epochs == 50
    (epochs,) = (one for one in used["recipe"].fields() if one.name == "epochs")
    assert default_text(epochs) == "15"


def test_options_that_configurations_share_are_the_same():
    for path in LEAVES:
        seen = {}
        for uses in uses_of(FUNCTIONS[path]).values():
            for one in uses.fields():
                for option in option_names(one):
                    assert seen.setdefault(option, (one.type, one.setting)) == (one.type, one.setting)


@pytest.mark.parametrize(("path", "function"), FUNCTIONS.items(), ids=map(" ".join, FUNCTIONS))
def test_every_configuration_and_option_of_a_command_is_used(path, function):
    used = set(function.__code__.co_names) | set(function.__code__.co_varnames)
    source = inspect.getsource(function).split('"""', 2)[2]
    for name in inspect.signature(function).parameters:
        assert name in used
        assert re.search(rf"\b{name}\b", source) or name in ("preset", "config")


def small_app(config: type[Settings], uses: Uses | None = None):
    seen = []

    def command(config) -> None:
        seen.append(config)

    command.__annotations__["config"] = Annotated[config, uses or Uses()]
    app = typer.Typer(cls=G2LGroup, rich_markup_mode="rich", pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    app.command("go", cls=G2LCommand)(grouped(command))
    return app, seen


def test_none_unsets_a_limit_that_a_preset_has():
    app, seen = small_app(GlobalSearchConfig)
    for arguments, trainings in (([], 5.0), (["--budget", "none"], None), (["--budget", "3"], 3.0)):
        told = CliRunner().invoke(app, ["go", *arguments])
        assert told.exit_code == 0, told.output
        assert seen[-1].trainings == trainings


def test_errors_are_reported_at_once_as_typed():
    app, _ = small_app(RecipeConfig)
    line = ["go", "--epochs", "0", "--learning-rate", "fast", "--selection", "some", "--gradient-clip", "-1"]
    message = " ".join(CliRunner().invoke(app, line).stderr.split())
    for part in (
        "`--epochs` must be >= 1, but is 0 instead.",
        "`--learning-rate` must be a number, but is 'fast' instead.",
        "`--selection` must be one of best, last, but is 'some' instead.",
        "`--gradient-clip` must be > 0 and finite, but is -1.0 instead.",
    ):
        assert part in message


def test_budgets_have_two_options():
    app, seen = small_app(LocalSearchConfig)
    assert CliRunner().invoke(app, ["go", "--interval-epochs", "2"]).exit_code == 0
    assert seen[-1].interval == Budget(2, "epochs")
    told = CliRunner().invoke(app, ["go", "--interval-epochs", "2", "--interval-steps", "x"])
    assert "give --interval-epochs or --interval-steps, not both" in " ".join(told.stderr.split())


@pytest.mark.parametrize(
    ("config", "name", "default", "value"),
    [
        (RecipeConfig, "batch_size", "4; paper: 8", "INTEGER >=1"),
        (RecipeConfig, "decay_epoch", "none; paper: 50", "INTEGER >=1"),
        (RecipeConfig, "mixed_precision", "true", "true|false"),
        (RecipeConfig, "compile", "", "TEXT"),
        (GlobalSearchConfig, "space", "shapes; paper: rates", None),
        (GlobalSearchConfig, "trainings", "5; paper: no limit", "FULL_TRAININGS >0"),
        (GlobalSearchConfig, "max_look_ahead", "no limit", "FRAMES >=0"),
        (DataConfig, "dataset", "", "TEXT"),
        (DataConfig, "holdout_fraction", "0.25", "FLOAT in (0, 1)"),
        (DataConfig, "data_root", "data", "PATH"),
    ],
)
def test_help_names_default_presets_unit_and_range(config, name, default, value):
    one = setting_fields(config)[name]
    assert default_text(one) == default
    assert value is None or metavar(one) == value


def test_texts_become_values():
    fields = setting_fields(DataConfig) | setting_fields(RecipeConfig)
    assert parse(fields["split"], "3") == 3
    assert parse(fields["data_root"], "none") == Path("none")
    assert parse(fields["fps"], "none") is None
    assert isinstance(parse(fields["normalize"], "train"), Enum)
    with pytest.raises(ValueError, match=r"`--split` must be an integer, but is '1\.5' instead\."):
        parse(fields["split"], "1.5")
