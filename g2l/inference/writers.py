"""The files of a prediction; each is written atomically."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from g2l.datasets.labels import Labels
from g2l.datasets.layout import name_error
from g2l.datasets.reading import normal
from g2l.errors import InputError
from g2l.figures.strips import GROUND_TRUTH, Video, strips
from g2l.figures.style import save_figure, undrawable
from g2l.files import atomic_path, ensure_folder
from g2l.inference.evaluate import EVALUATION_FILE, METRICS_FILE, UNSMOOTHED, label_files
from g2l.inference.predictor import VideoPrediction
from g2l.inference.segments import (
    WRITERS,
    Annotation,
    Format,
    FrameReader,
    SegmentRow,
    check_formats,
    segment_rows,
    write_frame_names,
    write_segments,
)
from g2l.inference.smoothing import Smoothing, make_smoother
from g2l.models.metadata import ModelMetadata

_log = logging.getLogger("g2l")

SEGMENTS_FILE = "segments.csv"
RECORD_FILE = "predictions.jsonl"
"""Sources of the files of each video; written by the caller."""
_LONGEST_NAME = 200
"""Bytes, of the 255 that most file systems allow: suffixes are added to it."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Files beside `<video>.txt` and `segments.csv`, and how both are made."""

    formats: tuple[Format, ...] = ()
    probabilities: bool = False
    """Also `<video>.probabilities.npy`, float32 (C, T)."""
    plots: str | None = None
    """Also `<video>.svg`, `.pdf` or `.png`."""
    smoothing: Smoothing = field(default_factory=Smoothing)
    """Of the labels; `unsmoothed/<video>.txt` keeps what they were."""
    fps: float | None = None
    """Frames per second of the feature files, or None for the rate of the model."""


class PredictionWriter:
    """Writes predictions into one folder: `<video>.txt` each and, at the end, `segments.csv` of all of them.

    Plots compare with `<video>.txt` in `ground_truth`; a video without is drawn alone. No video may have the
    name of a `reserved` file. `files` are those of the video that was added last. InputError if an output
    cannot be written: a class name does not fit, the frame rate is unknown, the model holds no transitions.
    """

    def __init__(
        self,
        folder: Path,
        metadata: ModelMetadata,
        outputs: Outputs | None = None,
        *,
        ground_truth: Path | None = None,
        reserved: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.outputs = outputs or Outputs()
        self._truths = label_files(ground_truth) if ground_truth and self.outputs.plots else {}
        self.fps = metadata.fps if self.outputs.fps is None else self.outputs.fps
        self._classes, self._background = metadata.classes, metadata.background
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise InputError(f"`fps` must be > 0 and finite, but is {self.fps} instead.")
        check_formats(self.outputs.formats, metadata.classes, self.fps)
        self._smooth = make_smoother(self.outputs.smoothing, metadata, self.fps)
        self.files: list[Path] = []
        self._rows: list[SegmentRow] = []
        own = (SEGMENTS_FILE, METRICS_FILE, EVALUATION_FILE, RECORD_FILE, UNSMOOTHED)
        self._owners = dict.fromkeys((*own, *reserved), "")
        self._suffixes = (
            ".txt",
            *(WRITERS[each][0] for each in self.outputs.formats if each in WRITERS),
            *([".probabilities.npy"] if self.outputs.probabilities else []),
            *([f".{self.outputs.plots}"] if self.outputs.plots else []),
        )
        if self.outputs.plots and (names := undrawable(metadata.classes)):
            _log.warning("plots: no installed font has the glyphs of %s.", ", ".join(names))
        ensure_folder(folder)

    def claim(self, name: str) -> None:
        """Reserve the files of a video; to be called before anything is predicted.

        InputError if its name would leave the folder or is too long, or if a file is another video's: video
        `a.txt` has a recognition file that is the label file of video `a`.
        """
        reason = "is too long" if len(os.fsencode(name)) > _LONGEST_NAME else name_error(name)
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

    def names(self, video: str) -> tuple[str, ...]:
        """Return the names, relative to the folder, of the files that `add` writes of a video."""
        kept = () if self._smooth is None else (f"{UNSMOOTHED}/{video}.txt",)
        return (*(f"{video}{suffix}" for suffix in self._suffixes), *kept)

    def add(self, prediction: VideoPrediction) -> list[SegmentRow]:
        """Write the files of one video, `<video>.txt` last, and return its segments.

        Beside the prediction itself, memory holds little more than its labels: probabilities, which may be a
        memory map, are read in blocks. InputError as of `claim`.
        """
        name, labels, probabilities = prediction.name, prediction.labels, prediction.probabilities
        self.files = []
        self.claim(name)
        unsmoothed = self.folder / UNSMOOTHED / f"{name}.txt"
        if self._smooth is None:
            with suppress(FileNotFoundError, NotADirectoryError):
                unsmoothed.unlink()  # of an earlier run
        else:
            write_frame_names(unsmoothed, segment_rows(name, labels, probabilities, self._classes, self.fps))
            self.files.append(unsmoothed)
            labels = self._smooth(labels, probabilities)
        rows = segment_rows(name, labels, probabilities, self._classes, self.fps)
        for each in self.outputs.formats:
            if each in WRITERS:
                suffix, write = WRITERS[each]
                date = Annotation.date
                with suppress(OSError):  # of the features, so that a resumed run writes the same
                    date = datetime.fromtimestamp(int(prediction.path.stat().st_mtime), UTC)
                write(self._file(name, suffix), Annotation(name, rows, self.fps, date))
        if self.outputs.probabilities:
            path = self._file(name, ".probabilities.npy")
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.save(file, probabilities, allow_pickle=False)
        if self.outputs.plots:
            self._plot(name, labels)
        write_frame_names(self._file(name, ".txt"), rows)
        self._rows += rows
        return rows

    def restore(self, rows: Sequence[SegmentRow]) -> None:
        """Add the rows of a video whose files exist, as `add` returned them."""
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
        truth = self._truths.get(normal(name))
        known = {GROUND_TRUTH: reader.read(truth)} if truth else {}
        video = Video(name, known | {"prediction": labels})
        figure = strips([video], reader.names, self._background, self.fps)
        save_figure(self._file(name, f".{self.outputs.plots}"), figure)
