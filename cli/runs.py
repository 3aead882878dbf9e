"""`g2l report` and `g2l sync`, which read the folders of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from g2l.config import FIRST
from g2l.errors import InputError

from . import console
from .settings import ConsoleConfig, DebugConfig, drawing, first


class ReportConfig(ConsoleConfig):
    """Format and path of a report."""

    format: str = first(
        "html", "html: one self-contained page; md: for a pull request.", choices=("html", "md")
    )
    plots: str | None = drawing(
        None, "Also write the figures beside the report; without a value: svg.", rank=FIRST
    )
    output: Path | None = first(
        None, "File to write.", default_text="report.<format> in the folder of the run; of several runs, here"
    )


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Output folder of a command or id of an MLflow run; several are compared."
        ),
    ],
    config: ReportConfig,
) -> None:
    """Write a report of one or more runs: result, figures, cost.

    Example: g2l report runs/pipeline/gtea-split1/20260101-120000
    """
    from g2l.pipeline.output import refuse_foreign_file
    from g2l.report.render import ReportFormat, is_report, write_report

    console.configure(quiet=config.quiet)
    form = ReportFormat(config.format)
    folders = {run.rstrip("/") or run: find_run(run) for run in runs}
    first = Path(runs[0])
    path = config.output or (first if len(runs) == 1 and first.is_dir() else Path()) / f"report.{form.value}"
    refuse_foreign_file(path, is_report)
    figures = write_report(folders, path, form, plots=config.plots)
    console.say(f"report: {path}")
    if figures is not None:
        console.say(f"figures: {figures}")


def find_run(run: str) -> Path:
    """Return the folder of a run; the files of an MLflow run are fetched."""
    from g2l.report.reading import WANTED
    from g2l.tracking.resolve import RUN_ID, fetch_run

    path = Path(run)
    if path.is_dir():
        return path
    run_id = run.removeprefix("runs:/")
    if not RUN_ID.fullmatch(run_id):
        raise InputError(
            f"{run}: expected the output folder of a run or the id of an MLflow run, found neither.",
            hint="the last line of every command names both.",
        )
    return fetch_run(run_id, WANTED)


def sync(
    runs: Annotated[list[Path], typer.Argument(help="Output folders of runs.", metavar="RUN...")],
    config: DebugConfig,
) -> None:
    """Upload run folders to MLflow; records that exist are skipped.

    Example: g2l sync runs/train/gtea-split1/*
    """
    from g2l.tracking.process import record

    for folder in runs:
        recorded = record(folder)
        console.say(f"{folder}: MLflow run {recorded.run_id}")
        if recorded.page:
            console.say(f"page in MLflow: {recorded.page}")
