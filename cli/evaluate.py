"""`g2l evaluate`."""

from __future__ import annotations

import os
from pathlib import Path

from . import console, tables
from .options import check_file
from .session import quick_workplace
from .settings import EvaluateConfig


def evaluate(config: EvaluateConfig) -> None:
    """Score predictions against ground truth: accuracy, edit score, F1@10,25,50.

    Example: g2l evaluate --predictions out --ground-truth data/gtea/groundTruth
    """
    from g2l.datasets.bundle import read_bundle
    from g2l.files import write_json
    from g2l.inference.evaluate import evaluate_predictions
    from g2l.metrics.segments import Convention
    from g2l.pipeline.predict import record_evaluation

    check_file("--output", config.output)
    report = evaluate_predictions(
        config.predictions,
        config.ground_truth,
        background=config.background,
        videos=None if config.bundle is None else read_bundle(config.bundle),
        convention=Convention(config.convention),
    )
    if os.environ.get("MLFLOW_RUN_ID"):  # under `mlflow run`; by hand it would only cost seconds
        with quick_workplace(Path(), "cpu", quiet=True) as place:
            record_evaluation(place, report)
    if config.output is not None:
        write_json(config.output, report.as_dict())
    if config.json:
        console.data_json(report.as_dict())
    else:
        tables.evaluation(str(config.predictions), report)
