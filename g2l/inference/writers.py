"""What a prediction leaves in its output folder; every file appears whole or not at all."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from g2l.datasets.labels import Labels
from g2l.datasets.layout import name_fault
from g2l.errors import InputError
from g2l.files import atomic_path, ensure_folder
from g2l.inference.evaluate import EVALUATION_FILE, METRICS_FILE, UNSMOOTHED
from g2l.inference.formats.format import WRITERS, Format, check_formats
from g2l.inference.frame_names import FrameReader, check_line_names, write_frame_names
from g2l.inference.plots import write_plot
from g2l.inference.segment_rows import SegmentRow, segment_rows, write_segments
from g2l.inference.segment_scores import score_segments
from g2l.inference.smoothing.settings import Smoothing
from g2l.inference.smoothing.smoother import make_smoother
from g2l.inference.videos import VideoPrediction
from g2l.models.metadata import ModelMetadata

SEGMENTS_FILE = "segments.csv"
RECORD_FILE = "predictions.jsonl"
"""What the files of each video were made of; kept by who calls the writer."""
_LONGEST_NAME = 200
"""Bytes, of the 255 that most file systems allow: suffixes are added to it."""
RUN_FILE = "run.json"
"""Of the stage that predicts: who predicted what, and how."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What is written beside `<video>.txt` and `segments.csv`, and how both are made.

    Attributes:
        formats: Formats of segments, see `Format`.
        probabilities: Also `<video>.probabilities.npy`, float32 (C, T).
        plots: Also `<video>.png`.
        smoothing: Of the labels; `unsmoothed/<video>.txt` keeps what they were.
        fps: Frames per second of the feature files, or None for what the model says.
    """

    formats: tuple[Format, ...] = ()
    probabilities: bool = False
    plots: bool = False
    smoothing: Smoothing = field(default_factory=Smoothing)
    fps: float | None = None


class PredictionWriter:
    """Writes predictions into one folder.

    `<video>.txt` for each video and, at the end, `segments.csv` of all of them.

    Args:
        folder: Made if it is missing.
        metadata: Of the model: class names, frames per second, transitions.
        outputs: What else is written.
        ground_truth: Folder of `<video>.txt` that plots compare with; a video without is drawn alone.

    Attributes:
        files: What was written of the video that was added last.

    Raises:
        InputError: The folder cannot be used, or what is asked for cannot be written: a class name does not
            fit, the frame rate is unknown, the model holds no transitions.
    """

    def __init__(
        self,
        folder: Path,
        metadata: ModelMetadata,
        outputs: Outputs | None = None,
        *,
        ground_truth: Path | None = None,
    ) -> None:
        self.folder = folder
        self.outputs = outputs or Outputs()
        self.ground_truth = ground_truth
        self.fps = metadata.fps if self.outputs.fps is None else self.outputs.fps
        self._classes, self._background = metadata.classes, metadata.background
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise InputError(f"`fps` must be > 0 and finite, but is {self.fps} instead.")
        check_line_names(metadata.classes)
        check_formats(self.outputs.formats, metadata.classes, self.fps)
        self._smooth = make_smoother(self.outputs.smoothing, metadata, self.fps)
        self.files: list[Path] = []
        self._rows: list[SegmentRow] = []
        reserved = (SEGMENTS_FILE, METRICS_FILE, EVALUATION_FILE, RECORD_FILE, RUN_FILE, UNSMOOTHED)
        self._owners = dict.fromkeys(reserved, "")
        self._suffixes = (
            ".txt",
            *(WRITERS[each][0] for each in self.outputs.formats if each in WRITERS),
            *([".probabilities.npy"] if self.outputs.probabilities else []),
            *([".png"] if self.outputs.plots else []),
        )
        ensure_folder(folder)

    def claim(self, name: str) -> None:
        """Return if a video can have its own files; to be asked before hours of predicting.

        Raises:
            InputError: The name would leave the folder or is too long, or a file of it is another video's:
                video `a.txt` has a recognition file that is the label file of video `a`.
        """
        reason = "is too long" if len(os.fsencode(name)) > _LONGEST_NAME else name_fault(name)
        if reason:
            raise InputError(f"{name!r}: expected the name of a video, but it {reason}.")
        for file in (f"{name}{suffix}" for suffix in self._suffixes):
            owner = self._owners.setdefault(file, name)
            if owner != name:
                whose = f"of video {owner!r}" if owner else "of the folder itself"
                raise InputError(
                    f"{self.folder / file}: would belong to video {name!r}, but is {whose}.",
                    hint="rename the video, or predict it into another folder.",
                )

    def add(self, prediction: VideoPrediction) -> list[SegmentRow]:
        """Write the files of one video, `<video>.txt` last, and return its segments.

        Beside the prediction itself, memory holds little more than its labels: probabilities, which may be a
        memory map, are read in blocks.

        Raises:
            InputError: As of `claim`.
            OperationalError: The disk refuses.
        """
        name, probabilities = prediction.name, prediction.probabilities
        self.files = []
        self.claim(name)
        label_file = self.folder / f"{name}.txt"
        found = score_segments(prediction.labels, probabilities)
        kept = self.folder / UNSMOOTHED / label_file.name
        if self._smooth is None:
            with suppress(FileNotFoundError, NotADirectoryError):
                kept.unlink()  # of an earlier run
        else:
            write_frame_names(kept, segment_rows(name, found, self._classes, self.fps))
            self.files.append(kept)
            found = score_segments(self._smooth(prediction.labels, probabilities), probabilities)
        rows = segment_rows(name, found, self._classes, self.fps)
        for each in self.outputs.formats:
            if each in WRITERS:
                suffix, write = WRITERS[each]
                write(self._file(name, suffix), name, rows, self.fps)
        if self.outputs.probabilities:
            with atomic_path(self._file(name, ".probabilities.npy")) as temporary:
                _save(temporary, probabilities)
        if self.outputs.plots:
            self._plot(name, np.repeat(found.segments.labels, found.segments.ends - found.segments.starts))
        write_frame_names(label_file, rows)
        self.files.append(label_file)
        self._rows += rows
        return rows

    def restore(self, rows: Sequence[SegmentRow]) -> None:
        """Take in what `add` returned of a video whose files are there."""
        self._rows += rows

    def finish(self) -> Path:
        """Write `segments.csv` of all videos added, and return its path."""
        path = self.folder / SEGMENTS_FILE
        write_segments(path, self._rows)
        return path

    def _file(self, name: str, suffix: str) -> Path:
        """Return where a file of a video is about to be written."""
        self.files.append(self.folder / f"{name}{suffix}")
        return self.files[-1]

    def _plot(self, name: str, labels: Labels) -> None:
        reader = FrameReader(self._classes)
        truth = self.ground_truth and self.ground_truth / f"{name}.txt"
        write_plot(
            self._file(name, ".png"),
            name,
            labels,
            truth=reader.read(truth) if truth and truth.is_file() else None,
            classes=reader.names,
            background=self._background,
            fps=self.fps,
        )


def _save(path: Path, probabilities: npt.NDArray[np.floating]) -> None:
    with path.open("wb") as file:
        np.save(file, probabilities, allow_pickle=False)
