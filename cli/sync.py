"""`g2l sync`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import console
from .settings import DebugConfig


def sync(
    runs: Annotated[list[Path], typer.Argument(help="Output folders of runs.", metavar="RUN...")],
    config: DebugConfig,
) -> None:
    """Record runs in MLflow from their folders; what is there already is left as it is.

    Example: g2l sync runs/train/gtea-split1/*
    """
    from g2l.tracking.process import record

    for folder in runs:
        recorded = record(folder)
        console.say(f"{folder}: MLflow run {recorded.run_id}")
        if recorded.page:
            console.say(f"page in MLflow: {recorded.page}")
