"""Predicting feature files with one model, writing what people use, scoring where the truth is known."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import g2l
from g2l.errors import G2LError, OperationalError
from g2l.inference.evaluate import (
    EVALUATION_FILE,
    METRICS_FILE,
    EvaluationReport,
    evaluate_predictions,
    find_truths,
    require_known_classes,
)
from g2l.inference.predictor import Predictor
from g2l.inference.sessions import Session
from g2l.inference.videos import VideoFailure, find_videos
from g2l.inference.writers import RECORD_FILE, SEGMENTS_FILE, Outputs, PredictionWriter
from g2l.pipeline.context import RECORDS, RunContext
from g2l.pipeline.output import (
    MANIFEST,
    read_manifest,
    refuse_foreign_names,
    remove_files,
    write_manifest,
)
from g2l.pipeline.predictions import (
    PredictedVideos,
    PredictionRecord,
    PredictSpeed,
    predict_videos,
    refused_videos,
)
from g2l.records import RESULT, RunKind, write_result

logger = logging.getLogger("g2l")


@dataclass(frozen=True, kw_only=True)
class PredictOutcome:
    """What was predicted.

    Attributes:
        videos: Names of the videos whose predictions are there.
        resumed: How many of them were there before.
        failures: Those that could not be predicted.
        report: Scores, where ground truth was given.
        device_report: What ran the model.
        speed: Of this run.
    """

    videos: tuple[str, ...]
    resumed: int
    failures: tuple[VideoFailure, ...]
    report: EvaluationReport | None
    device_report: str
    speed: PredictSpeed


def predict(
    context: RunContext,
    session: Session,
    features: Sequence[Path],
    *,
    ground_truth: Path | None = None,
    outputs: Outputs | None = None,
    max_memory: int | None = None,
    overwrite: bool = False,
    folder: str = "",
) -> PredictOutcome:
    """Predict videos; a file that cannot be read does not stop the others.

    On resume, videos are left alone that this model predicted before, as far as neither their features nor
    their files have changed; `segments.csv` and scores are of all of them. Files of earlier predictions that
    do not belong to these are removed.

    Args:
        context: Where it runs.
        session: The model, ready to run.
        features: Feature files and folders of them.
        ground_truth: Folder of `<video>.txt` to score against, or None.
        outputs: What else is written, and whether labels are smoothed.
        max_memory: Bytes that this process may have in memory, or None for a share of what is available.
        overwrite: Whether to replace earlier predictions: the files that `manifest.json` lists.
        folder: Of the stage, below that of the context.

    Raises:
        InputError: There is nothing to predict, a ground truth is missing, `max_memory` is too small, the
            only video cannot be read, or the folder holds files that g2l did not write.
        OperationalError: None of the videos could be predicted, or the disk refuses.
    """
    place = context.folder / folder
    videos = find_videos(features)
    writer = PredictionWriter(
        place, session.metadata, outputs, ground_truth=ground_truth, reserved=(*RECORDS, MANIFEST)
    )
    refused = refused_videos(videos, writer)
    if ground_truth is not None:
        # Before hours of predicting; what is no file has none and is refused by itself.
        names_of_truths = [video.stem for video in videos if video.is_file() and video not in refused]
        truths = find_truths(names_of_truths, ground_truth)
        require_known_classes(truths.values(), session.metadata.classes)
    predictor = Predictor(session, max_memory=max_memory, folder=place)
    names = {name for video in videos if video not in refused for name in writer.names(video.stem)}
    names |= {SEGMENTS_FILE, RECORD_FILE}
    names |= set() if ground_truth is None else {METRICS_FILE, EVALUATION_FILE}
    ours = read_manifest(place) | {RECORD_FILE}
    refuse_foreign_names(place, names, ours)
    if overwrite:
        remove_files(place, {*ours, *RECORDS, MANIFEST} if (place / MANIFEST).exists() else ())
    made_by = {
        "version": g2l.__version__,
        "model": session.fingerprint,
        "outputs": asdict(writer.outputs),
        "ground_truth": str(ground_truth) if writer.outputs.plots else None,
    }
    settings = _settings(session, writer, len(videos))
    with context.stage(RunKind.PREDICT, "predict", settings, folder, fixed=False) as stage:
        writer.date = datetime.fromtimestamp(stage.started_at / 1000, UTC)
        # Summaries of an earlier run would be wrong beside new predictions.
        remove_files(place, {*(ours - names), RESULT, SEGMENTS_FILE, METRICS_FILE, EVALUATION_FILE})
        write_manifest(place, names)
        record = PredictionRecord(place, made_by, resume=context.resume)
        work = predict_videos(videos, refused, predictor, writer, record, context.progress)
        if not work.written:
            raise _nothing(work.failures)
        writer.finish()
        report = None
        if ground_truth is not None:
            report = evaluate_predictions(
                place,
                ground_truth,
                background=session.metadata.background,
                classes=session.metadata.classes,
                videos=work.written,
            )
            report.write(place)
        _write_result(place, work, report)
    return PredictOutcome(
        videos=tuple(work.written),
        resumed=work.resumed,
        failures=tuple(work.failures),
        report=report,
        device_report=session.device_report,
        speed=work.speed,
    )


def _settings(session: Session, writer: PredictionWriter, videos: int) -> dict[str, Any]:
    """Return what the tracked run and readers of the predictions may ask of them."""
    metadata = session.metadata
    return {
        "videos": videos,
        "device": session.device_report,
        "smoothing": str(writer.outputs.smoothing),
        "data": {"fps": writer.fps, "sample_rate": metadata.sample_rate},
        "backbone": metadata.backbone.as_dict(),
        "structure": metadata.structure.as_lists(),
    }


def _write_result(folder: Path, work: PredictedVideos, report: EvaluationReport | None) -> None:
    result = {
        "videos": work.written,
        "failures": {failure.name: failure.error.message for failure in work.failures},
        "speed": asdict(work.speed),
    }
    files = [SEGMENTS_FILE, *(f"{name}.txt" for name in work.written)]
    files += [] if report is None else [METRICS_FILE, EVALUATION_FILE]
    write_result(folder, result, files, metrics=None if report is None else _metrics(report))


def _nothing(failures: Sequence[VideoFailure]) -> G2LError:
    """Return what to raise where no video was predicted."""
    if len(failures) == 1:
        return failures[0].error
    _list(failures)
    return OperationalError(f"none of {len(failures)} videos could be predicted.")


def _list(failures: Sequence[VideoFailure]) -> None:
    for failure in failures:
        hint = f" (hint: {failure.error.hint})" if failure.error.hint else ""
        logger.warning("%s%s", failure.error.message, hint)


def record_evaluation(context: RunContext, report: EvaluationReport) -> None:
    """Keep the scores of predictions that were made before as a run of their own."""
    with context.stage(RunKind.EVALUATE, "evaluate", {}) as stage:
        report.write(stage.folder)
        write_result(stage.folder, {}, (METRICS_FILE, EVALUATION_FILE), metrics=_metrics(report))


def _metrics(report: EvaluationReport) -> dict[str, float]:
    """Return the metrics that the tracked run shows."""
    return report.metrics | {f"unsmoothed/{name}": value for name, value in (report.unsmoothed or {}).items()}


def require_success(outcome: PredictOutcome) -> None:
    """Return if every video was predicted.

    Raises:
        OperationalError: Some were not; the log lists them with the reasons.
    """
    if outcome.failures:
        _list(outcome.failures)
        total = len(outcome.failures) + len(outcome.videos)
        names = ", ".join(failure.name for failure in outcome.failures[:10])
        more = f" and {len(outcome.failures) - 10} more" if len(outcome.failures) > 10 else ""
        raise OperationalError(
            f"{len(outcome.failures)} of {total} videos could not be predicted: {names}{more}.",
            hint="--resume tries them again and leaves the others as they are.",
        )
