"""`g2l data convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from g2l.errors import InputError

from . import console, data_report
from .data_options import DataRoot, NewDataset, Seed, next_command
from .options import Debug


def convert(
    features: Annotated[
        Path,
        typer.Option(help="Folder of <video>.npy, .npz, .pt, .h5, .mat, .csv or .txt, T×D or D×T."),
    ],
    dataset: NewDataset,
    segments: Annotated[
        Path | None,
        typer.Option(
            help="Table with video, label, start, end (frames, end exclusive) or start_s, end_s; an .eaf "
            "file; an export of ELAN or BORIS; or a folder of one file a video. (default: `Y` in .mat files)"
        ),
    ] = None,
    data_root: DataRoot = Path("data"),
    layout: Annotated[
        str | None,
        typer.Option(help="dt (feature_dim × frames) or td; told from the shapes by default."),
    ] = None,
    feature_dim: Annotated[int | None, typer.Option(help="D; told from the shapes by default.")] = None,
    variable: Annotated[
        str | None, typer.Option(help="Array to take of feature files that hold several.")
    ] = None,
    tier: Annotated[str | None, typer.Option(help="Tier to take of ELAN's files that have several.")] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second of the features; kept. Times of labels are then in seconds."),
    ] = None,
    label_fps: Annotated[
        float | None, typer.Option(help="Labels count frames at this rate; they are resampled to --fps.")
    ] = None,
    offset: Annotated[float, typer.Option(help="Seconds to add to all times of labels.")] = 0.0,
    length_tolerance: Annotated[
        int, typer.Option(help="Frames by which labels may be longer or shorter than the features.")
    ] = 16,
    mapping: Annotated[
        Path | None, typer.Option(help="mapping.txt to keep; without, classes are numbered by their names.")
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
    """Make a data set of your own features and labels.

    Example: g2l data convert --features i3d --segments segments.csv --dataset mine
    """
    from g2l.datasets.convert.plan import plan_conversion, write_conversion
    from g2l.datasets.convert.request import ConversionRequest
    from g2l.datasets.convert.sources import Layout

    from .choices import choice

    plan = plan_conversion(
        ConversionRequest(
            features=features,
            segments=segments,
            data_root=data_root,
            dataset=dataset,
            layout=None if layout is None else choice(Layout, layout, "layout"),
            feature_dim=feature_dim,
            variable=variable,
            tier=tier,
            fps=fps,
            label_fps=label_fps,
            offset=offset,
            length_tolerance=length_tolerance,
            mapping=mapping,
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
    console.say(f"try: {next_command('data validate', data_root, dataset)}")
