"""`g2l data synth` and `g2l data validate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from g2l.errors import InputError

from . import console, data_report
from .data_options import DataRoot, NewDataset, Seed, next_command
from .options import Debug, Json

if TYPE_CHECKING:
    from g2l.datasets.synthetic.content import SyntheticDataset


class Kind(StrEnum):
    """Kinds of synthetic data."""

    KITCHEN = "kitchen"
    LAGS = "lags"


def synth(
    dataset: NewDataset,
    data_root: DataRoot = Path("data"),
    kind: Annotated[
        Kind, typer.Option(help="kitchen: actions that need context; lags: planted dilation rates.")
    ] = Kind.KITCHEN,
    lags: Annotated[
        str | None, typer.Option(help="Planted lags in frames, such as 41,7 (default 41).")
    ] = None,
    videos: Annotated[int, typer.Option(help="Number of videos.")] = 24,
    frames: Annotated[int, typer.Option(help="Mean number of frames of a video.")] = 400,
    classes: Annotated[int | None, typer.Option(help="Classes of a kitchen (default 10).")] = None,
    feature_dim: Annotated[int | None, typer.Option(help="D (default 16, for lags 8).")] = None,
    seed: Seed = 0,
    debug: Debug = False,
) -> None:
    """Make a synthetic data set whose best receptive fields are known.

    Example: g2l data synth --dataset lags41 --kind lags --lags 41
    """
    from g2l.datasets.synthetic.content import write_dataset
    from g2l.datasets.writing import new_path

    new_path(data_root, dataset)  # refused before anything is drawn
    sizes = {"videos": videos, "frames": frames, "classes": classes, "feature_dim": feature_dim}
    given = {name: value for name, value in sizes.items() if value is not None}
    source = {"made_by": "g2l data synth", "kind": kind.value, "lags": lags, "seed": seed, **sizes}
    path = write_dataset(data_root, dataset, _generate(kind, lags, given, seed), source)
    console.say(f"{path}: {videos} videos, splits 1 and 2.")
    console.say(f"try: {next_command('pipeline', data_root, dataset)} --split 1")


def validate(
    dataset: Annotated[str, typer.Option(help="Folder of the data set below the data root.")],
    data_root: DataRoot = Path("data"),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List every fault of a data set, all splits and all values, then what it holds.

    Example: g2l data validate --dataset gtea
    """
    from g2l.config import DataConfig
    from g2l.datasets.validation import validate_dataset

    report = validate_dataset(DataConfig(data_root=data_root, dataset=dataset), console.ConsoleProgress())
    path = data_root / dataset
    if json:
        console.data_json(data_report.as_json(report))
    else:
        data_report.print_faults(report.faults)
        data_report.print_facts(path, report.facts)
    if report.errors:
        raise InputError(f"{path}: {data_report.count(report.faults)}.")


def _generate(kind: Kind, planted: str | None, sizes: dict[str, int], seed: int) -> SyntheticDataset:
    import numpy as np

    from g2l.datasets.synthetic.kitchen import kitchen
    from g2l.datasets.synthetic.lags import lags

    generator = np.random.default_rng(seed)
    if kind is Kind.LAGS:
        if "classes" in sizes:
            raise InputError("`classes` is for --kind kitchen: lags have 2 classes per lag, multiplied.")
        return lags(generator, _lags("41" if planted is None else planted), **sizes)
    if planted is not None:
        raise InputError("`lags` is for --kind lags, but the kind is kitchen.", hint="add --kind lags.")
    return kitchen(generator, **sizes)


def _lags(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"`lags` must be frames separated by commas, such as 41,7, but is {text!r} instead."
        ) from None
