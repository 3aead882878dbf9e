"""Segments of a prediction: how certain the model is of each, and the rows of tables and annotation files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from g2l.datasets.labels import Labels
from g2l.files import write_text
from g2l.metrics.segments import Segments, segments

_BLOCK = 8192
"""Frames scored at a time: temporary arrays stay in the processor's cache, and a memory map on disk."""
_TINY = np.finfo(np.float32).tiny


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
        confidence: Mean probability of the class over the segment, in [0, 1].
        entropy: Mean entropy of the class distribution over the segment, in nats: 0 where the model is
            certain, ln C where it guesses; e^entropy is the number of classes it wavers between.
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
    video: str,
    labels: Labels,
    probabilities: npt.NDArray[np.floating],
    classes: Sequence[str],
    fps: float | None,
) -> list[SegmentRow]:
    """Return the rows of one video, in order of time: its maximal runs of equal labels, background included.

    Args:
        video: Its name.
        labels: Class of every frame, (T,): the most probable one, or a smoothed one.
        probabilities: Class probabilities, (C, T); a memory map is read in blocks.
        classes: Class names in index order.
        fps: Frames per second of the feature file, or None.

    Raises:
        ValueError: Labels and probabilities differ in length.
    """
    if probabilities.shape[1:] != labels.shape:
        raise ValueError(f"{labels.shape} labels do not fit probabilities {probabilities.shape}")
    found = segments(labels)
    confidence, entropy = segment_means(found, labels, probabilities)
    columns = (found.labels, found.starts, found.ends, confidence, entropy)
    return [
        SegmentRow(
            video,
            number,
            classes[label],
            start,
            end,
            None if fps is None else start / fps,
            None if fps is None else end / fps,
            sure,
            wavering,
        )
        for number, (label, start, end, sure, wavering) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        )
    ]


def segment_means(
    found: Segments, labels: Labels, probabilities: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean confidence and mean entropy of N segments, (N,) each; see `SegmentRow`."""
    sums = np.zeros((2, len(found)))
    for start in range(0, len(labels), _BLOCK):
        own, block = labels[start : start + _BLOCK], probabilities[:, start : start + _BLOCK]
        first = int(np.searchsorted(found.ends, start, side="right"))  # the segment that the block starts in
        number = np.concatenate([[0], np.cumsum(own[1:] != own[:-1])])
        for total, values in zip(sums, (block[own, np.arange(len(own))], frame_entropy(block)), strict=True):
            part = np.bincount(number, values)
            total[first : first + len(part)] += part
    confidence, entropy = sums / (found.ends - found.starts)
    return confidence, entropy


def frame_entropy(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return the entropy −Σ p·ln p of every frame in nats, (t,), of class probabilities (C, t)."""
    total = np.zeros(probabilities.shape[1], np.float32)
    for row in probabilities.astype(np.float32, copy=False):
        logarithm = np.maximum(row, _TINY)  # ln 0 would make 0 · ln 0 NaN
        np.log(logarithm, out=logarithm)
        total -= logarithm * row
    return np.maximum(total, 0, out=total)  # probabilities that add up to a bit more than 1


def write_segments(path: Path, rows: Iterable[SegmentRow]) -> None:
    """Write `segments.csv` atomically: a header, then one line per segment."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells() for row in rows)
    write_text(path, text.getvalue())
