"""The `g2l` command. Heavy imports happen inside the commands, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from g2l import __version__

from . import (
    console,
    data,
    data_convert,
    data_download,
    data_extract,
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
from .groups import G2LCommand, G2LGroup, grouped

app = typer.Typer(
    name="g2l",
    cls=G2LGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
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
    console.configure(quiet=False)  # until the command knows better: all may warn


def _add(target: typer.Typer, name: str, function: Callable[..., Any], panel: str | None = None) -> None:
    target.command(name, cls=G2LCommand, no_args_is_help=False, rich_help_panel=panel)(grouped(function))


_add(app, "demo", demo.demo, "Start here")
_add(app, "pipeline", pipeline.pipeline, "Start here")
_add(app, "search-global", search_global.search_global, "Stages")
_add(app, "search-local", search_local.search_local, "Stages")
_add(app, "train", train.train, "Stages")
_add(app, "export", export.export, "Stages")
_add(app, "predict", predict.predict, "Stages")
_add(app, "evaluate", evaluate.evaluate, "Stages")
_add(app, "report", report.report, "Stages")
_add(app, "sync", sync.sync, "Tools")
_add(app, "doctor", doctor.doctor, "Tools")

data_app = typer.Typer(no_args_is_help=True, help="Make, check and convert data sets.")
_add(data_app, "synth", data.synth)
_add(data_app, "validate", data.validate)
_add(data_app, "convert", data_convert.convert)
_add(data_app, "download", data_download.download)
_add(data_app, "extract", data_extract.extract)
app.add_typer(data_app, name="data", rich_help_panel="Tools")

structure_app = typer.Typer(no_args_is_help=True, help="Look at structure files and convert them.")
_add(structure_app, "show", structure.show)
_add(structure_app, "convert", structure.convert)
app.add_typer(structure_app, name="structure", rich_help_panel="Tools")


def main() -> None:
    """Run the command line."""
    app()
