"""Options made from settings: how many are shown, and that each reaches its setting."""

from __future__ import annotations

import inspect
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pytest
import typer
from command_lines import invoke
from typer.testing import CliRunner

from cli import main, options
from cli.boundary import G2LCommand, G2LGroup
from cli.context import context
from cli.options import Uses, default_text, grouped, metavar, parse, uses_of
from cli.search_global import search_global
from g2l.config import Budget, DataConfig, GlobalSearchConfig, LocalSearchConfig, RecipeConfig, Space
from g2l.errors import InputError
from g2l.settings import Settings, setting_fields

MOST_SHOWN, MOST_FIRST, MOST_LINES = 30, 10, 60


def leaves(group: object = None, path: tuple[str, ...] = ()) -> dict[str, object]:
    group = typer.main.get_command(main.app) if group is None else group
    below = getattr(group, "commands", None)
    if below is None:
        return {" ".join(path): group}
    return {at: leaf for name, one in below.items() for at, leaf in leaves(one, (*path, name)).items()}


LEAVES = leaves()
every_command = pytest.mark.parametrize("name", LEAVES)


@every_command
def test_help_is_short_and_ends_in_an_example_that_parses(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    command, text = LEAVES[name], invoke(*name.split(), "--help").stdout
    assert len(text.splitlines()) <= MOST_LINES
    assert "<bool>" not in text
    shown = [one for one in command.params if one.opts[0].startswith("--") and not one.hidden]
    assert len(shown) + 1 <= MOST_SHOWN  # and --help
    assert {one.rich_help_panel for one in shown} <= {None, "Advanced"}
    first = [one for one in shown if one.rich_help_panel is None and one.name != "help_all"]
    assert 0 < len(first) <= MOST_FIRST or name in ("doctor", "demo", "sync")
    (example,) = re.findall(r"Example: (.*)", " ".join(command.help.split()))
    program, *words = shlex.split(example)
    assert (program, " ".join(words[: len(name.split())])) == ("g2l", name)
    command.make_context(command.name, words[len(name.split()) :])


def test_help_leaves_rare_options_to_help_all(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    told, everything = invoke("train", "-h").stdout, invoke("train", "--help-all").stdout
    for name in ("--smoothing-weight", "--length-tolerance", "--expansion-rate"):
        assert name not in told
        assert name in everything


def other_value(one) -> str:
    """Return a valid text that is not the usual preset's."""
    if one.choices:
        return next(text for text in one.choices if text != one.preset_value("fast"))
    if one.type in (int, float):
        low = one.at_least if one.above is None else one.above
        value = 0.75 if one.below is not None or one.at_most == 1 else 7 + (low or 0)
        return str(one.type(value))
    if one.name in ("mean", "std"):
        return "1,2,3"
    return "7" if one.type is Budget else "other"


@every_command
def test_every_option_reaches_its_setting(name):
    seen = {}
    for parameter, uses in uses_of(main.COMMANDS[name]).items():
        for one in uses.settings():
            assert seen.setdefault(one.option, (one.type, one.default, one.help)) == (
                *(one.type, one.default, one.help),
            ), "options that configurations share are the same"
            (found,) = (each for each in LEAVES[name].params if f"--{one.option}" in each.opts)
            text = None if one.type is bool else other_value(one)
            values = {found.name: (not one.default) if text is None else [text] if one.many else text}
            if "dataset" in setting_fields(uses.config):
                values = {"dataset": "gtea"} | values
            needed = {"ending": {}, "smooth": {"min_duration": "1"}, "precision": {"calibration": ["a"]}}
            values = needed.get(one.name, {}) | values
            if name == "predict" and parameter == "config" and one.name != "videos":
                values = {"features": ["a"]} | values
            configs, refused = None, ""
            try:
                configs = options.configurations({parameter: replace(uses, adjust=None)}, values)
            except InputError as error:
                refused = error.message
            if configs is not None:
                assert getattr(configs[parameter], one.name) != getattr(uses.usual(), one.name)
            else:  # it belongs to another option, which the error names
                assert re.search(rf"`--{one.option}`.* (needs|must be left out|must be false)", refused)


@every_command
def test_every_configuration_and_option_of_a_command_is_used(name):
    source = inspect.getsource(main.COMMANDS[name]).split('"""', 2)[2]
    for parameter in inspect.signature(main.COMMANDS[name]).parameters:
        assert re.search(rf"\b{parameter}\b", source) or parameter in ("preset", "config")


@pytest.mark.parametrize(
    ("given", "space", "budget"),
    [
        ({}, Space.SHAPES, 5.0),
        ({"strategy": "random"}, Space.RATES, 24.0),
        ({"proxy_steps": "9", "budget": "7"}, Space.RATES, 7.0),
        ({"preset": "paper"}, Space.RATES, None),
        ({"preset": "paper", "shapes": ["4,3"]}, Space.SHAPES, None),
    ],
)
def test_options_of_one_space_choose_it(given, space, budget):
    search = options.configurations({"search": uses_of(search_global)["search"]}, given)["search"]
    assert (search.space, search.trainings) == (space, budget)


def test_a_command_may_have_defaults_of_its_own():
    used = uses_of(context)
    assert options.configurations(used, {"dataset": "gtea"})["recipe"].epochs == 60
    assert options.configurations(used, {"dataset": "gtea", "epochs": "50"})["recipe"].epochs == 50
    (epochs,) = (one for one in used["recipe"].settings() if one.name == "epochs")
    assert default_text(epochs) == "60"


@pytest.fixture
def go():
    """A command line of one configuration; returns its result and the configuration."""

    def run(config: type[Settings], *line: str):
        seen = []

        def command(config) -> None:
            seen.append(config)

        command.__annotations__["config"] = Annotated[config, Uses()]
        app = typer.Typer(cls=G2LGroup, rich_markup_mode="rich", pretty_exceptions_enable=False)
        app.callback()(lambda: None)
        app.command("go", cls=G2LCommand)(grouped(command))
        told = CliRunner().invoke(app, ["go", *line])
        return (seen[0] if seen else None), " ".join(told.stderr.split())

    return run


def test_none_unsets_a_limit_that_a_preset_has(go):
    for line, trainings in (((), 5.0), (("--budget", "none"), None), (("--budget", "3"), 3.0)):
        assert go(GlobalSearchConfig, *line)[0].trainings == trainings


def test_errors_are_reported_at_once_as_typed(go):
    line = ("--epochs", "0", "--learning-rate", "fast", "--selection", "some", "--gradient-clip", "inf")
    _, message = go(RecipeConfig, *line)
    for part in (
        "`--epochs` must be >= 1, but is 0 instead.",
        "`--learning-rate` must be a number, but is 'fast' instead.",
        "`--selection` must be one of best, last, but is 'some' instead.",
        "`--gradient-clip` must be > 0 and finite, but is inf instead.",
    ):
        assert part in message


def test_budgets_have_two_options(go):
    config, _ = go(LocalSearchConfig, "--interval-epochs", "2")
    assert config.interval == Budget(2, "epochs")
    _, message = go(LocalSearchConfig, "--interval-epochs", "0", "--interval-steps", "x")
    assert "give --interval-epochs or --interval-steps, not both" in message
    assert "`--interval-epochs` must be >= 1, but is 0" in message
    assert "`--interval-steps` must be an integer, but is 'x'" in message


@pytest.mark.parametrize(
    ("config", "option", "default", "value"),
    [
        (RecipeConfig, "batch-size", "4; paper: 8", "INTEGER >=1"),
        (RecipeConfig, "decay-epoch", "none; paper: 50", "INTEGER >=1"),
        (RecipeConfig, "mixed-precision", "true", "true|false"),
        (RecipeConfig, "compile", "", ""),
        (GlobalSearchConfig, "space", "shapes; paper: rates", "shapes|rates|shapes+rates"),
        (GlobalSearchConfig, "budget", "5; paper: no limit", "FULL_TRAININGS >0"),
        (GlobalSearchConfig, "proxy-steps", "120", "INTEGER"),
        (GlobalSearchConfig, "proxy-epochs", "paper: 5", "INTEGER"),
        (GlobalSearchConfig, "max-look-ahead", "no limit", "FRAMES >=0"),
        (DataConfig, "holdout-fraction", "0.25", "FLOAT >0 and <1"),
        (DataConfig, "data-root", "data", "PATH"),
    ],
)
def test_help_names_default_presets_unit_and_range(config, option, default, value):
    (one,) = (one for one in Uses(config=config).settings() if one.option == option)
    assert (default_text(one), metavar(one)) == (default, value)


def test_texts_become_values():
    fields = setting_fields(DataConfig)
    assert parse(fields["data_root"], "none") == Path("none")
    assert parse(fields["fps"], "none") is None
    with pytest.raises(ValueError, match=r"`--split` must be an integer, but is '1\.5' instead\."):
        parse(fields["split"], "1.5")
