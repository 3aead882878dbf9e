"""`g2l evaluate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from . import console, tables
from .options import Debug, Json, class_names
from .session import quick_workplace


def evaluate(
    predictions: Annotated[Path, typer.Option(help="Folder of <video>.txt, one class name per line.")],
    ground_truth: Annotated[Path, typer.Option(help="Folder of <video>.txt in the same form.")],
    background: Annotated[
        list[str] | None,
        typer.Option(help="Class left out of Edit and F1; repeatable; '' for none. (default: background)"),
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Score only the videos of this bundle.")] = None,
    convention: Annotated[
        str, typer.Option(help="mstcn, or g2l: the last frame of the last segment is dropped.")
    ] = "mstcn",
    output: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write metrics.json here as well.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Score predictions against ground truth: accuracy, edit score, F1@10,25,50.

    Example: g2l evaluate --predictions out --ground-truth data/gtea/groundTruth
    """
    from g2l.datasets.layout import read_bundle
    from g2l.files import write_json
    from g2l.inference.evaluate import evaluate_predictions
    from g2l.metrics.segments import Convention
    from g2l.pipeline.predict import record_evaluation

    from .choices import choice

    report = evaluate_predictions(
        predictions,
        ground_truth,
        background=class_names(background),
        videos=None if bundle is None else read_bundle(bundle),
        convention=choice(Convention, convention, "convention"),
    )
    if os.environ.get("MLFLOW_RUN_ID"):  # under `mlflow run`; by hand it would only cost seconds
        with quick_workplace(Path(), "cpu", quiet=True) as place:
            record_evaluation(place, report)
    if output is not None:
        write_json(output, report.as_dict())
    if json:
        console.data_json(report.as_dict())
    else:
        tables.evaluation(str(predictions), report)
