"""The `g2l` command. Heavy imports happen inside the commands, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from g2l import __version__

from . import (
    console,
    data_convert,
    data_download,
    data_extract,
    data_synth,
    data_validate,
    demo,
    doctor,
    evaluate,
    export,
    pipeline,
    predict,
    report,
    search_global,
    search_local,
    structure,
    sync,
    train,
)
from .groups import G2LCommand, G2LGroup
from .options import grouped

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="g2l",
    cls=G2LGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings=HELP,
    help="Search the receptive fields of temporal action-segmentation networks, train them, ship them.",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"g2l {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Search the receptive fields of temporal action-segmentation networks, train them, ship them."""
    console.configure(quiet=False)  # until the command has read --quiet


COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": demo.demo,
    "pipeline": pipeline.pipeline,
    "search-global": search_global.search_global,
    "search-local": search_local.search_local,
    "train": train.train,
    "export": export.export,
    "predict": predict.predict,
    "evaluate": evaluate.evaluate,
    "report": report.report,
    "sync": sync.sync,
    "doctor": doctor.doctor,
    "data synth": data_synth.synth,
    "data validate": data_validate.validate,
    "data convert": data_convert.convert,
    "data download": data_download.download,
    "data extract": data_extract.extract,
    "structure show": structure.show,
    "structure convert": structure.convert,
}
"""Every command by its name, in the order of `--help`."""

PANELS = {
    "demo": "Start here",
    "pipeline": "Start here",
    "sync": "Tools",
    "doctor": "Tools",
    "data": "Tools",
    "structure": "Tools",
}

GROUPS = {
    name: typer.Typer(no_args_is_help=True, context_settings=HELP, help=text)
    for name, text in {
        "data": "Make, check and convert data sets.",
        "structure": "Show and convert structure files.",
    }.items()
}

for _name, _function in COMMANDS.items():
    _group, _, _last = _name.rpartition(" ")
    GROUPS.get(_group, app).command(
        _last,
        cls=G2LCommand,
        context_settings=HELP,
        rich_help_panel=None if _group else PANELS.get(_name, "Stages"),
    )(grouped(_function))
for _name, _app in GROUPS.items():
    app.add_typer(_app, name=_name, rich_help_panel=PANELS[_name])


def main() -> None:
    """Run the command line."""
    app()
