"""Predicting feature files with one model, writing what people use, scoring where the truth is known."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import g2l
from g2l.config import DataConfig
from g2l.errors import G2LError, InputError, OperationalError, listed
from g2l.files import (
    append_line,
    canonical_json,
    describe_file,
    ensure_folder,
    fingerprint,
    read_json,
    read_lines,
    write_text,
)
from g2l.inference.evaluate import (
    EVALUATION_FILE,
    METRICS_FILE,
    EvaluationReport,
    evaluate_predictions,
    require_fitting,
)
from g2l.inference.extraction import extract_features
from g2l.inference.loading import find_videos
from g2l.inference.predictor import Predictor, VideoFailure
from g2l.inference.segments import SegmentRow
from g2l.inference.sessions import Session
from g2l.inference.settings import ExtractionConfig
from g2l.inference.writers import RECORD_FILE, SEGMENTS_FILE, Outputs, PredictionWriter
from g2l.models.metadata import ModelMetadata
from g2l.pipeline.context import RECORDS, RunContext
from g2l.pipeline.output import MANIFEST, read_manifest, refuse_foreign_names, remove_files, write_manifest
from g2l.progress import Progress
from g2l.records import RESULT, RunKind, write_result

logger = logging.getLogger("g2l")

FEATURES = "features"
"""Folder of the features that were extracted of videos for a prediction."""
EDITED = "edited"
"""Folder of predictions that people have changed and that were made again."""
Source: TypeAlias = Mapping[str, Any]
"""Identity of a feature file at one time: a JSON value."""


@dataclass(frozen=True, kw_only=True)
class PredictOutcome:
    """Result of a prediction."""

    videos: tuple[str, ...]
    """Names of those whose predictions are there."""
    resumed: int
    """How many of them were there before."""
    failures: tuple[VideoFailure, ...]
    frames: int
    """Of the feature files that were predicted by this run."""
    seconds: float
    """From the first file that was read to the last one that was written."""
    report: EvaluationReport | None = None
    """Scores, where ground truth was given."""


def predict(
    context: RunContext,
    session: Session,
    features: Sequence[Path],
    *,
    ground_truth: Path | None = None,
    outputs: Outputs | None = None,
    max_memory: int | None = None,
    overwrite: bool = False,
    length_tolerance: int = DataConfig.length_tolerance,
    folder: str = "",
) -> PredictOutcome:
    """Predict videos; a file that cannot be read does not stop the others.

    On resume, videos are left alone that this model predicted before, as far as neither their features nor
    their files have changed; `segments.csv` and scores are of all of them. Files of earlier predictions that
    do not belong to these are removed; edited ones are kept, see `keep_edited`.

    Args:
        context: Where it runs.
        session: The model.
        features: Feature files and folders of them.
        ground_truth: Folder of `<video>.txt` to score against, or None.
        outputs: What else is written, and whether labels are smoothed.
        max_memory: Bytes that this process may have in memory, or None for a share of what is available.
        overwrite: Whether to replace earlier predictions: the files that `manifest.json` lists.
        length_tolerance: Frames by which a video and its ground truth may differ in length.
        folder: Of the stage, below that of the context.

    Raises:
        InputError: There is nothing to predict, a ground truth does not fit (see `require_fitting`), the only
            video cannot be read, or the folder holds files that g2l did not write.
        OperationalError: None of the videos could be predicted.
    """
    place, metadata = context.folder / folder, session.metadata
    videos = find_videos(features)
    writer = PredictionWriter(
        place, metadata, outputs, ground_truth=ground_truth, reserved=(*RECORDS, MANIFEST, FEATURES, EDITED)
    )
    refused = _refused(videos, writer)
    if ground_truth is not None:  # checked before hours of predicting
        readable = [video for video in videos if video.is_file() and video not in refused]
        require_fitting(readable, ground_truth, metadata, length_tolerance)
    predictor = Predictor(session, max_memory=max_memory, folder=place)
    scores = () if ground_truth is None else (METRICS_FILE, EVALUATION_FILE)
    names = {name for video in videos if video not in refused for name in writer.names(video.stem)}
    names |= {SEGMENTS_FILE, RECORD_FILE, *scores}
    ours = read_manifest(place) | {RECORD_FILE}
    refuse_foreign_names(place, names, ours)
    if context.resume or overwrite:
        keep_edited(place)
    if overwrite:
        # Not the manifest: after a kill it shows whose the other files are.
        remove_files(place, {*ours, *RECORDS} if (place / MANIFEST).exists() else ())
    made_by = {
        "version": g2l.__version__,
        "model": session.fingerprint,
        "outputs": asdict(writer.outputs),
        "ground_truth": str(ground_truth) if writer.outputs.plots else None,
    }
    settings = {
        "videos": len(videos),
        "device": session.device_report,
        "smoothing": str(writer.outputs.smoothing),
        "data": {"fps": writer.fps, "sample_rate": metadata.sample_rate},
        "backbone": metadata.backbone.as_dict(),
        "structure": metadata.structure.as_lists(),
    }
    with context.stage(RunKind.PREDICT, "predict", settings, folder, fixed=False):
        # Summaries of an earlier run would be wrong beside new predictions.
        remove_files(place, {*(ours - names), RESULT, SEGMENTS_FILE, METRICS_FILE, EVALUATION_FILE})
        write_manifest(place, names)
        record = PredictionRecord(place, made_by, resume=context.resume)
        outcome = predict_videos(videos, refused, predictor, writer, record, context.progress)
        if not outcome.videos:
            raise _nothing(outcome.failures)
        writer.finish()
        if ground_truth is not None:
            report = evaluate_predictions(
                place,
                ground_truth,
                background=metadata.background,
                classes=metadata.classes,
                videos=outcome.videos,
                length_tolerance=length_tolerance,
            )
            report.write(place)
            outcome = replace(outcome, report=report)
        result = {
            "videos": outcome.videos,
            "failures": {failure.name: failure.error.message for failure in outcome.failures},
            "speed": {"frames": outcome.frames, "seconds": outcome.seconds},
        }
        files = (SEGMENTS_FILE, *(f"{name}.txt" for name in outcome.videos), *scores)
        write_result(place, result, files, metrics=_metrics(outcome.report))
    return outcome


def extract_for_model(
    context: RunContext, metadata: ModelMetadata, videos: Path, encoder: Path, fps: float | None = None
) -> tuple[Path, tuple[VideoFailure, ...]]:
    """Extract features of videos for a model into the output folder; what is done already is kept.

    The encoder is the one that made the features of the training, `fps` None the rate of the model. Returned
    are the folder of features, and the videos that could not be decoded.
    """
    rate = metadata.fps if fps is None else fps
    if rate is None:
        raise InputError("the frame rate of the model is unknown.", hint="give --fps.")
    folder = context.folder / FEATURES
    if not (context.folder / MANIFEST).exists():
        write_manifest(context.folder, ())  # from now on the folder is known as ours
    config = ExtractionConfig(videos=videos, encoder=encoder, output=folder, fps=rate, device=context.device)
    result = extract_features(config, context.progress, feature_dim=metadata.feature_dim)
    failures = tuple(VideoFailure(issue.path.stem, issue.path, issue) for issue in result.issues)
    if not result.written and not result.kept:
        raise _nothing(failures)
    return folder, failures


def require_success(outcome: PredictOutcome) -> None:
    """Raise OperationalError if some video was not predicted; the log lists them with the reasons."""
    if outcome.failures:
        _list(outcome.failures)
        total = len(outcome.failures) + len(outcome.videos)
        names = listed([failure.name for failure in outcome.failures])
        raise OperationalError(
            f"{len(outcome.failures)} of {total} videos could not be predicted: {names}.",
            hint="--resume tries them again and leaves the others as they are.",
        )


def record_evaluation(context: RunContext, report: EvaluationReport) -> None:
    """Keep the scores of predictions that were made before as a run of their own."""
    with context.stage(RunKind.EVALUATE, "evaluate", {}) as stage:
        report.write(stage.folder)
        write_result(stage.folder, {}, (METRICS_FILE, EVALUATION_FILE), metrics=_metrics(report))


class PredictionRecord:
    """`predictions.jsonl`: of each video the model and options, its feature file, its files, its segments.

    A video is done where model, options (`settings`, JSON values) and features are as they were then and its
    files are there; call `keep_edited` before. A line is on disk before the next video is written. Of several
    lines of a video the last one counts.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        self._path = folder / RECORD_FILE
        self._made_by = fingerprint(settings)
        self._lines = _read_record(self._path) if resume else {}

    def done(self, features: Path) -> list[SegmentRow] | None:
        """Return the segments of a video that is done, or None."""
        line = self._lines.get(features.stem, {})
        try:
            same = (line["made_by"], line["features"]) == (self._made_by, source(features))
            there = line["files"] and all((self._path.parent / name).is_file() for name in line["files"])
            return [SegmentRow(*row) for row in line["segments"]] if same and there else None
        except (OSError, KeyError, TypeError):  # the line was not written by g2l
            return None

    def keep(self, videos: Iterable[str]) -> None:
        """Forget all other videos, whose files are about to be replaced."""
        lines = (self._lines[video] for video in videos)
        if self._path.exists():
            write_text(self._path, "".join(f"{canonical_json(line)}\n" for line in lines))

    def add(
        self, video: str, features: Source | None, files: Iterable[Path], segments: Sequence[SegmentRow]
    ) -> None:
        """Record that a video is done; `features` is the `source` of its file, taken before it was read."""
        line = {
            "video": video,
            "made_by": self._made_by,
            "features": features,
            "files": {str(path.relative_to(self._path.parent)): describe_file(path) for path in files},
            "segments": [list(vars(row).values()) for row in segments],
        }
        append_line(self._path, line)


def _read_record(path: Path) -> dict[str, dict[str, Any]]:
    """Return the lines by video; behind a damaged line all videos are predicted again."""
    lines = {}
    with suppress(InputError):
        for _, line in read_lines(path):
            lines[str(line.get("video"))] = line
    return lines


def keep_edited(folder: Path) -> None:
    """Move files of earlier predictions that differ from what was written to `edited/`.

    People correct labels in place; a truncated file cannot be told from one that they have cut.
    """
    result = read_json(folder / RESULT) if (folder / RESULT).exists() else {}
    records = [line.get("files") for line in _read_record(folder / RECORD_FILE).values()]
    written: dict[str, Any] = {}
    for files in (result.get("artifacts") if isinstance(result, dict) else None, *records):
        written |= files if isinstance(files, dict) else {}
    for name in sorted(read_manifest(folder) & written.keys()):
        path, kept = folder / name, folder / EDITED / name
        if not path.is_file() or describe_file(path) == written[name]:
            continue
        while kept.exists():
            kept = kept.with_name(f"{kept.name}~")
        ensure_folder(kept.parent)
        path.rename(kept)
        logger.warning("%s: was changed since g2l wrote it; it is kept as %s.", path, kept)


def source(features: Path) -> Source | None:
    """Return what identifies the present content of a feature file; None where there is none."""
    try:
        status = features.stat()
        return {"path": str(features.resolve()), "stamp": [status.st_size, status.st_mtime_ns]}
    except OSError:
        return None


def predict_videos(
    videos: Sequence[Path],
    refused: Mapping[Path, VideoFailure],
    predictor: Predictor,
    writer: PredictionWriter,
    record: PredictionRecord,
    progress: Progress,
) -> PredictOutcome:
    """Predict and write what is not done; the segments of all videos end up in their order.

    Those that are `refused` can have no files of their own; `record` knows what is done.
    """
    start = time.perf_counter()
    frames = 0
    failures: list[VideoFailure] = []
    notices: list[str] = []
    done = {path: rows for path in videos if path not in refused and (rows := record.done(path)) is not None}
    todo = {path: source(path) for path in videos if path not in done and path not in refused}
    record.keep(path.stem for path in done)
    with progress.task("predicting", len(videos)) as task, closing(predictor.results(list(todo))) as results:
        for path in videos:
            if path in refused:
                failures.append(refused[path])
            elif path in done:
                writer.restore(done[path])
            else:
                result = next(results)
                if isinstance(result, VideoFailure):
                    failures.append(result)
                else:
                    notices += [f"{result.path}: {result.notice}"] if result.notice else []
                    try:
                        rows = writer.add(result)
                    except InputError as error:
                        failures.append(VideoFailure(result.name, result.path, error))
                    else:
                        record.add(result.name, todo[path], writer.files, rows)
                        frames += len(result.labels)
            task.advance(note=path.stem)
    if notices:
        logger.warning("%s%s", notices[0], f" ({len(notices) - 1:,} more like it)" if notices[1:] else "")
    failed = {failure.path for failure in failures}
    return PredictOutcome(
        videos=tuple(path.stem for path in videos if path not in failed),
        resumed=len(done),
        failures=tuple(failures),
        frames=frames,
        seconds=time.perf_counter() - start,
    )


def _refused(videos: Sequence[Path], writer: PredictionWriter) -> dict[Path, VideoFailure]:
    """Return the videos that can have no files of their own."""
    refused = {}
    for path in videos:
        try:
            writer.claim(path.stem)
        except InputError as error:
            refused[path] = VideoFailure(path.stem, path, error)
    return refused


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


def _metrics(report: EvaluationReport | None) -> dict[str, float] | None:
    """Return the metrics that the tracked run shows."""
    if report is None:
        return None
    return report.metrics | {f"unsmoothed/{name}": value for name, value in (report.unsmoothed or {}).items()}
