"""Options that several commands of `g2l data` have."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

DataRoot = Annotated[Path, typer.Option(help="Folder that holds data sets.")]
NewDataset = Annotated[str, typer.Option(help="Folder to make below the data root.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]


def next_command(name: str, data_root: Path, dataset: str) -> str:
    """Return the command line that is to be typed next on a data set."""
    return f"g2l {name} {shlex.join(['--data-root', str(data_root), '--dataset', dataset])}"
