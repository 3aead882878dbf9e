"""Segments of a prediction as the rows of `segments.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from g2l.files import write_text
from g2l.inference.predictor import VideoPrediction
from g2l.metrics.segments import segments


@dataclass(frozen=True)
class SegmentRow:
    """One line of `segments.csv`.

    Attributes:
        video: Name of the video.
        segment: Number within the video, from 0.
        label: Class name.
        start_frame: First frame.
        end_frame: Frame after the last.
        start_s: Start in seconds, or "" where fps is unknown.
        end_s: End in seconds, or "".
        confidence: Mean probability of the class over the segment.
    """

    video: str
    segment: int
    label: str
    start_frame: int
    end_frame: int
    start_s: str
    end_s: str
    confidence: str


def segment_rows(prediction: VideoPrediction, classes: Sequence[str], fps: float | None) -> list[SegmentRow]:
    """Return the rows of one video, in order of time.

    Args:
        prediction: Of the video.
        classes: Class names in index order.
        fps: Frames per second of the feature file, or None.
    """
    found = segments(prediction.labels)
    # The label is the most probable class, so its probability is the largest of each frame.
    chosen = prediction.probabilities.max(axis=0).astype(np.float64)
    confidences = np.add.reduceat(chosen, found.starts) / (found.ends - found.starts)
    bounds = zip(found.labels, found.starts, found.ends, confidences, strict=True)
    return [
        SegmentRow(
            prediction.name,
            number,
            classes[label],
            int(start),
            int(end),
            _seconds(start, fps),
            _seconds(end, fps),
            f"{confidence:.4f}",
        )
        for number, (label, start, end, confidence) in enumerate(bounds)
    ]


def write_segments(path: Path, rows: Iterable[SegmentRow]) -> None:
    """Write `segments.csv` atomically: a header, then one line per segment."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(SegmentRow)])
    writer.writerows(map(astuple, rows))
    write_text(path, text.getvalue())


def _seconds(frame: int, fps: float | None) -> str:
    return "" if fps is None else f"{frame / fps:.3f}"
