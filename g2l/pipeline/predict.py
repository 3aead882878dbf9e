"""Predicting feature files with one model, writing what people use, scoring where the truth is known."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import g2l
from g2l.errors import G2LError, InputError, OperationalError
from g2l.files import remove_torn
from g2l.inference.evaluate import (
    EVALUATION_FILE,
    UNSMOOTHED,
    EvaluationReport,
    evaluate_predictions,
    find_truths,
    require_known_classes,
)
from g2l.inference.predictor import Predictor
from g2l.inference.sessions import Session
from g2l.inference.videos import VideoFailure, find_videos
from g2l.inference.writers import Outputs, PredictionWriter
from g2l.pipeline.predict_record import PredictionRecord
from g2l.pipeline.predict_videos import PredictSpeed, predict_videos
from g2l.pipeline.stage import Workplace, tracked, write_record
from g2l.tracking.protocol import Run, RunKind

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
    place: Workplace,
    session: Session,
    features: Sequence[Path],
    *,
    ground_truth: Path | None = None,
    outputs: Outputs | None = None,
    max_memory: int | None = None,
) -> PredictOutcome:
    """Predict videos into `place.folder`; a file that cannot be read does not stop the others.

    Where `place.resume` holds, videos are left alone that this model predicted before, as far as neither
    their features nor their files have changed; `segments.csv` and scores are of all of them.

    Args:
        place: Output folder, tracker and parent run.
        session: The model, ready to run.
        features: Feature files and folders of them.
        ground_truth: Folder of `<video>.txt` to score against, or None.
        outputs: What else is written, and whether labels are smoothed.
        max_memory: Bytes that this process may have in memory, or None for a share of what is available.

    Raises:
        InputError: There is nothing to predict, a ground truth is missing, `max_memory` is too small, or the
            only video cannot be read.
        OperationalError: None of the videos could be predicted, or the disk refuses.
    """
    videos = find_videos(features)
    writer = PredictionWriter(place.folder, session.metadata, outputs, ground_truth=ground_truth)
    if ground_truth is not None:  # checked before anything is predicted
        truths = find_truths(
            [video.stem for video in videos if _can_be_predicted(video, writer)], ground_truth
        )
        require_known_classes(truths.values(), session.metadata.classes)
    predictor = Predictor(session, max_memory=max_memory, folder=place.folder)
    made_by = {
        "version": g2l.__version__,
        "model": session.fingerprint,
        "outputs": asdict(writer.outputs),
        "ground_truth": str(ground_truth) if writer.outputs.plots else None,
    }
    record = PredictionRecord(place.folder, made_by, resume=place.resume)
    if place.resume:
        for folder in (place.folder, place.folder / UNSMOOTHED):
            remove_torn(folder)
    with tracked(place, RunKind.PREDICT, "predict") as run:
        smoothing = str(writer.outputs.smoothing)
        settings = {"videos": len(videos), "device": session.device_report, "smoothing": smoothing}
        run.log_params(settings)
        work = predict_videos(videos, predictor, writer, record, place.progress)
        run.log_dict(asdict(work.speed), "speed.json")
        if work.failures:
            run.log_dict({failure.name: failure.error.message for failure in work.failures}, "failures.json")
        if not work.written:
            raise _nothing(work.failures)
        run.log_artifact(writer.finish())
        report = _score(run, place.folder, work.written, ground_truth, session)
        write_record(place, run, RunKind.PREDICT, settings | _model_settings(session, writer))
    return PredictOutcome(
        videos=tuple(work.written),
        resumed=work.resumed,
        failures=tuple(work.failures),
        report=report,
        device_report=session.device_report,
        speed=work.speed,
    )


def _can_be_predicted(video: Path, writer: PredictionWriter) -> bool:
    """Return whether a video is a file that may have predictions; the others are refused one by one."""
    try:
        writer.claim(video.stem)
    except InputError:
        return False
    return video.is_file()


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


def _model_settings(session: Session, writer: PredictionWriter) -> dict[str, Any]:
    """Return what a reader of the predictions may ask of the model that made them."""
    metadata = session.metadata
    return {
        "data": {"fps": writer.fps, "sample_rate": metadata.sample_rate},
        "backbone": metadata.backbone.as_dict(),
        "structure": metadata.structure.as_lists(),
    }


def _score(
    run: Run, folder: Path, written: Sequence[str], ground_truth: Path | None, session: Session
) -> EvaluationReport | None:
    if ground_truth is None:
        return None
    report = evaluate_predictions(
        folder,
        ground_truth,
        background=session.metadata.background,
        classes=session.metadata.classes,
        videos=written,
    )
    report.write(folder)
    run.log_artifact(folder / EVALUATION_FILE)
    _log_report(run, report)
    return report


def record_evaluation(place: Workplace, report: EvaluationReport) -> None:
    """Keep the scores of predictions that were made before with a run of their own."""
    with tracked(place, RunKind.EVALUATE, "evaluate") as run:
        _log_report(run, report)


def _log_report(run: Run, report: EvaluationReport) -> None:
    run.log_metrics(report.metrics)
    run.log_metrics({f"unsmoothed/{name}": value for name, value in (report.unsmoothed or {}).items()})
    run.log_dict(report.as_dict(), "metrics.json")
    run.log_dict(report.per_class, "per_class.json")
    run.log_dict({"classes": list(report.classes), "frames": report.confusion}, "confusion.json")


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
