"""Segments of a prediction as every table and annotation file of them says it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from g2l.files import write_text
from g2l.inference.segment_scores import ScoredSegments


@dataclass(frozen=True)
class SegmentRow:
    """One line of `segments.csv`.

    Attributes:
        video: Name of the video.
        segment: Number within the video, from 0.
        label: Class name.
        start_frame: First frame.
        end_frame: Frame after the last.
        start_s: Start in seconds, or None where fps is unknown.
        end_s: End in seconds, or None.
        confidence: Mean probability of the class over the segment.
        entropy: Mean entropy of the class distribution over the segment, in nats.
    """

    video: str
    segment: int
    label: str
    start_frame: int
    end_frame: int
    start_s: float | None
    end_s: float | None
    confidence: float
    entropy: float

    def cells(self) -> tuple[str, ...]:
        """Return the line: seconds with three digits, confidence and entropy with four."""
        seconds = ("" if value is None else f"{value:.3f}" for value in (self.start_s, self.end_s))
        frames = (str(self.start_frame), str(self.end_frame))
        scores = (f"{self.confidence:.4f}", f"{self.entropy:.4f}")
        return (self.video, str(self.segment), self.label, *frames, *seconds, *scores)


COLUMNS = tuple(field.name for field in fields(SegmentRow))
"""First line of `segments.csv`."""


def segment_rows(
    video: str, scored: ScoredSegments, classes: Sequence[str], fps: float | None
) -> list[SegmentRow]:
    """Return the rows of one video, in order of time.

    Args:
        video: Its name.
        scored: Its segments.
        classes: Class names in index order.
        fps: Frames per second of the feature file, or None.
    """
    found = scored.segments
    columns = (found.labels, found.starts, found.ends, scored.confidence, scored.entropy)
    return [
        SegmentRow(
            video,
            number,
            classes[label],
            start,
            end,
            None if fps is None else start / fps,
            None if fps is None else end / fps,
            confidence,
            entropy,
        )
        for number, (label, start, end, confidence, entropy) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        )
    ]


def write_segments(path: Path, rows: Iterable[SegmentRow]) -> None:
    """Write `segments.csv` atomically: a header, then one line per segment."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells() for row in rows)
    write_text(path, text.getvalue())
