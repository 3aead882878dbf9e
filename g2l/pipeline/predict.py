"""Predicting feature files with one model, writing what people use, scoring where the truth is known."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from g2l.errors import OperationalError
from g2l.inference.evaluate import EVALUATION_FILE, EvaluationReport, evaluate_predictions, find_truths
from g2l.inference.predictor import Predictor, VideoFailure, find_videos
from g2l.inference.sessions import Session
from g2l.inference.writers import Outputs, PredictionWriter
from g2l.pipeline.stage import Workplace, tracked, write_record
from g2l.tracking.protocol import Run, RunKind

logger = logging.getLogger("g2l")


@dataclass(frozen=True, kw_only=True)
class PredictOutcome:
    """What was predicted.

    Attributes:
        videos: Names of the videos that were written.
        failures: Those that could not be predicted.
        report: Scores, where ground truth was given.
        device_report: What ran the model.
    """

    videos: tuple[str, ...]
    failures: tuple[VideoFailure, ...]
    report: EvaluationReport | None
    device_report: str


def predict(
    place: Workplace,
    session: Session,
    features: Sequence[Path],
    *,
    ground_truth: Path | None = None,
    outputs: Outputs | None = None,
) -> PredictOutcome:
    """Predict videos into `place.folder`; a file that cannot be read does not stop the others.

    Args:
        place: Output folder, tracker and parent run.
        session: The model, ready to run.
        features: Feature files and folders of them.
        ground_truth: Folder of `<video>.txt` to score against, or None.
        outputs: What else is written, and whether labels are smoothed.

    Raises:
        InputError: There is nothing to predict, a ground truth is missing, or no video can be read.
        OperationalError: The disk refuses.
    """
    videos = find_videos(features)
    if ground_truth is not None:
        find_truths([video.stem for video in videos], ground_truth)  # before hours of predicting
    writer = PredictionWriter(place.folder, session.metadata, outputs, ground_truth=ground_truth)
    writer.claim(video.stem for video in videos)
    with tracked(place, RunKind.PREDICT, "predict") as run:
        smoothing = str(writer.outputs.smoothing)
        settings = {"videos": len(videos), "device": session.device_report, "smoothing": smoothing}
        run.log_params(settings)
        written, failures = _write_all(place, session, videos, writer)
        if not written:
            raise failures[0].error
        run.log_artifact(writer.finish())
        report = _score(run, place.folder, written, ground_truth, session)
        write_record(place, run, RunKind.PREDICT, settings | _model_settings(session, writer))
    return PredictOutcome(
        videos=tuple(written), failures=tuple(failures), report=report, device_report=session.device_report
    )


def _write_all(
    place: Workplace, session: Session, videos: Sequence[Path], writer: PredictionWriter
) -> tuple[list[str], list[VideoFailure]]:
    written: list[str] = []
    failures: list[VideoFailure] = []
    with place.progress.task("predicting", len(videos)) as task:
        for result in Predictor(session).predict(videos):
            if isinstance(result, VideoFailure):
                failures.append(result)
            else:
                if result.notice:
                    logger.warning("%s: %s", result.path, result.notice)
                writer.add(result)
                written.append(result.name)
            task.advance(note=result.name)
    return written, failures


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
        folder, ground_truth, background=session.metadata.background, videos=written
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
        OperationalError: Some were not; all are named with the reason.
    """
    if outcome.failures:
        reasons = "; ".join(failure.error.message for failure in outcome.failures)
        raise OperationalError(f"{len(outcome.failures)} videos could not be predicted: {reasons}")
