"""`g2l evaluate`."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from g2l.config import BACKGROUND_HELP
from g2l.errors import InputError

from . import console, tables
from .session import scratch_context
from .settings import JsonConfig, first


class EvaluateConfig(JsonConfig):
    """Predictions to score, and how."""

    predictions: Path = first(Path(), "Folder of <video>.txt, one class name per line.", required=True)
    ground_truth: Path = first(Path(), "Folder of <video>.txt in the same format.", required=True)
    background: tuple[str, ...] | None = first(
        None, BACKGROUND_HELP, default_text="dataset.json, else background"
    )
    bundle: Path | None = first(None, "Score only the videos of this bundle.")
    convention: str = first(
        "mstcn",
        "g2l: drop the last frame of the last segment, as the official code does.",
        choices=("mstcn", "g2l"),
    )
    output: Path | None = first(None, "Also write the scores to this JSON file.")
    compare: Path | None = first(None, "Other predictions of the same videos to compare with.")


def evaluate(config: EvaluateConfig) -> None:
    """Score predictions against ground truth: accuracy, edit score, F1@10, 25 and 50.

    Example: g2l evaluate --predictions out --ground-truth data/gtea/groundTruth
    """
    from g2l.datasets.layout import read_bundle
    from g2l.files import write_json
    from g2l.inference.evaluate import compare_predictions, data_set_of, evaluate_predictions
    from g2l.metrics.segments import Convention
    from g2l.pipeline.output import refuse_foreign_file
    from g2l.pipeline.predict import record_evaluation

    classes, facts = data_set_of(config.ground_truth)
    known = facts.get("background", ("background",))
    background = known if config.background is None else config.background
    if "background" in facts and set(background) != set(known):
        console.say(f"background of the data set is {', '.join(known)}, but the option is used instead.")
    score = partial(
        evaluate_predictions,
        ground_truth=config.ground_truth,
        background=background,
        classes=classes,
        videos=None if config.bundle is None else read_bundle(config.bundle),
        convention=Convention(config.convention),
    )
    if config.output is not None:
        refuse_foreign_file(config.output, _is_scores)
    report = score(config.predictions)
    other = None if config.compare is None else score(config.compare)
    compared = None if other is None else compare_predictions(report, other)
    if os.environ.get("MLFLOW_RUN_ID"):  # under `mlflow run`; by hand it would only cost seconds
        with scratch_context(quiet=True) as context:
            record_evaluation(context, report)
    values = report.as_dict() | ({} if compared is None else {"comparison": compared.as_dict()})
    if config.output is not None:
        write_json(config.output, values)
    if config.json:
        console.data_json(values)
        return
    tables.evaluation(str(config.predictions), report)
    if other is not None and compared is not None:
        tables.predictions_compared(str(config.predictions), str(config.compare), report, other, compared)


def _is_scores(path: Path) -> bool:
    """Tell whether a file holds scores of an earlier evaluation."""
    from g2l.files import read_json

    try:
        found = read_json(path)
    except InputError:
        return False
    return isinstance(found, dict) and {"accuracy", "edit"} <= found.keys()
