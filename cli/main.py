"""The `g2l` command. Heavy imports happen inside the commands, so that `--help` is quick."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from g2l import __version__
from g2l.machine import share_cores

from . import (
    console,
    context,
    data,
    doctor,
    evaluate,
    export,
    pipeline,
    predict,
    runs,
    search_global,
    search_local,
    structure,
    train,
)
from .boundary import G2LCommand, G2LGroup, PlainGroup
from .options import grouped

HELP = {"help_option_names": ["-h", "--help"]}

COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": pipeline.demo,
    "pipeline": pipeline.pipeline,
    "context": context.context,
    "search-global": search_global.search_global,
    "search-local": search_local.search_local,
    "train": train.train,
    "export": export.export,
    "predict": predict.predict,
    "evaluate": evaluate.evaluate,
    "report": runs.report,
    "sync": runs.sync,
    "doctor": doctor.doctor,
    "data synth": data.synth,
    "data validate": data.validate,
    "data convert": data.convert,
    "data download": data.download,
    "data extract": data.extract,
    "structure show": structure.show,
    "structure convert": structure.convert,
}
"""Every command by its name, in the order of `--help`."""

PANELS = {"demo": "Start here", "pipeline": "Start here"} | dict.fromkeys(
    ("sync", "doctor", "data", "structure"), "Tools"
)
GROUPS = {
    "data": "Create, check, convert and download data sets.",
    "structure": "Show and convert structure files.",
}


def _version(value: bool) -> None:
    if value:
        typer.echo(f"g2l {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Search the receptive field of temporal action segmentation networks; train, export and run them."""
    console.configure(quiet=False)  # until the command has read --quiet


def make_app(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """Return the root command with these commands; each costs some milliseconds."""
    app = typer.Typer(
        cls=G2LGroup,
        name="g2l",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings=HELP,
    )
    app.callback()(root)
    groups: dict[str, typer.Typer] = {}
    for name in names:
        group, _, last = name.rpartition(" ")
        if group and group not in groups:
            groups[group] = typer.Typer(
                cls=PlainGroup, no_args_is_help=True, context_settings=HELP, help=GROUPS[group]
            )
            app.add_typer(groups[group], name=group, rich_help_panel=PANELS[group])
        panel = None if group else PANELS.get(name, "Stages")
        add = groups.get(group, app).command(
            last, cls=G2LCommand, context_settings=HELP, rich_help_panel=panel
        )
        add(grouped(COMMANDS[name]))
    return app


def main() -> None:
    """Run the command line; only the commands that it may mean are made."""
    share_cores()
    word = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    meant = [name for name in COMMANDS if name.split()[0] == word]
    make_app(meant or COMMANDS)()


def __getattr__(name: str) -> Any:
    if name == "app":  # made when a test or the documentation wants it
        return make_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
