"""`g2l data synth`, `g2l data validate` and `g2l data convert`."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from g2l.errors import InputError

from . import console, data_report
from .options import Debug, Json

if TYPE_CHECKING:
    from g2l.datasets.synthetic.content import SyntheticDataset

DataRoot = Annotated[Path, typer.Option(help="Folder that holds data sets.")]
NewDataset = Annotated[str, typer.Option(help="Folder to make below the data root.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]


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
    from g2l.datasets.new_dataset import new_path
    from g2l.datasets.synthetic.writer import write_dataset

    new_path(data_root, dataset)  # refused before anything is drawn
    sizes = {"videos": videos, "frames": frames, "classes": classes, "feature_dim": feature_dim}
    given = {name: value for name, value in sizes.items() if value is not None}
    path = write_dataset(data_root, dataset, _generate(kind, lags, given, seed))
    console.say(f"{path}: {videos} videos, splits 1 and 2.")
    console.say(f"try: {_command('pipeline', data_root, dataset)} --split 1")


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


def convert(
    features: Annotated[Path, typer.Option(help="Folder of <video>.npy or .npz, one array per file.")],
    segments: Annotated[
        Path,
        typer.Option(
            help=".csv or .tsv: video, label, start, end (frames, end exclusive) or start_s, end_s."
        ),
    ],
    dataset: NewDataset,
    data_root: DataRoot = Path("data"),
    layout: Annotated[
        str | None,
        typer.Option(help="dt (feature_dim × frames) or td; told from the shapes by default."),
    ] = None,
    feature_dim: Annotated[int | None, typer.Option(help="D; told from the shapes by default.")] = None,
    fps: Annotated[
        float | None, typer.Option(help="The table is in seconds; frames per second of the features.")
    ] = None,
    background: Annotated[str, typer.Option(help="Class of frames that no segment covers.")] = "background",
    bundles: Annotated[
        Path | None,
        typer.Option(
            help="Folder of train.split<k>.bundle and test.split<k>.bundle; without, one split is cut."
        ),
    ] = None,
    test_fraction: Annotated[float, typer.Option(help="Share of the subjects to test on, if cut.")] = 0.25,
    group_pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression whose group is the subject in a video name; '' for none. "
            "By default names of GTEA, 50Salads and Breakfast are known."
        ),
    ] = None,
    seed: Seed = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Make a data set of your own features and a table of segments.

    Example: g2l data convert --features i3d --segments segments.csv --dataset mine
    """
    from g2l.datasets.conversion_request import ConversionRequest
    from g2l.datasets.convert import plan_conversion, write_conversion
    from g2l.datasets.feature_sources import Layout

    from .choices import choice

    plan = plan_conversion(
        ConversionRequest(
            features=features,
            segments=segments,
            data_root=data_root,
            dataset=dataset,
            layout=None if layout is None else choice(Layout, layout, "layout"),
            feature_dim=feature_dim,
            fps=fps,
            background=background,
            bundles=bundles,
            test_fraction=test_fraction,
            group_pattern=group_pattern,
            seed=seed,
        )
    )
    data_report.print_faults(plan.faults)
    if plan.errors:
        raise InputError(f"{plan.path}: not made; {data_report.count(plan.faults)}.")
    data_report.print_facts(plan.path, plan.facts)
    console.say(f"frames that no segment covers, taken as {background!r}: {plan.filled:,}.")
    if dry_run:
        console.say(f"{plan.path}: would be made as above; nothing was written.")
        return
    write_conversion(plan, console.ConsoleProgress())
    console.say(f"{plan.path}: made.")
    console.say(f"try: {_command('data validate', data_root, dataset)}")


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


def _command(name: str, data_root: Path, dataset: str) -> str:
    return f"g2l {name} {shlex.join(['--data-root', str(data_root), '--dataset', dataset])}"
