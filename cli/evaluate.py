"""`g2l evaluate`."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from g2l.errors import InputError

from . import console, tables
from .options import Debug, Json, class_names
from .session import scratch_context


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
    compare: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Other predictions of the same videos to compare with."),
    ] = None,
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
    from g2l.inference.comparison import compare_predictions
    from g2l.inference.evaluate import evaluate_predictions
    from g2l.metrics.segments import Convention
    from g2l.pipeline.output import refuse_foreign_file
    from g2l.pipeline.predict import record_evaluation

    from .choices import choice

    score = partial(
        evaluate_predictions,
        ground_truth=ground_truth,
        background=class_names(background),
        videos=None if bundle is None else read_bundle(bundle),
        convention=choice(Convention, convention, "convention"),
    )
    if output is not None:
        refuse_foreign_file(output, _is_scores)
    report = score(predictions)
    other = None if compare is None else score(compare)
    compared = None if other is None else compare_predictions(report, other)
    if os.environ.get("MLFLOW_RUN_ID"):  # under `mlflow run`; by hand it would only cost seconds
        with scratch_context(quiet=True) as context:
            record_evaluation(context, report)
    values = report.as_dict() | ({} if compared is None else {"comparison": compared.as_dict()})
    if output is not None:
        write_json(output, values)
    if json:
        console.data_json(values)
    else:
        tables.evaluation(str(predictions), report)
        if other is not None and compared is not None:
            tables.predictions_compared(str(compare), report, other, compared)


def _is_scores(path: Path) -> bool:
    """Tell whether a file holds scores of an earlier evaluation."""
    from g2l.files import read_json

    try:
        found = read_json(path)
    except InputError:
        return False
    return isinstance(found, dict) and {"accuracy", "edit"} <= found.keys()
