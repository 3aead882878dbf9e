"""What a prediction leaves in its output folder; every file appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from g2l.datasets.bundle import name_fault
from g2l.datasets.labels import write_labels
from g2l.errors import InputError
from g2l.files import atomic_path, ensure_folder
from g2l.inference.frame_names import read_frame_names, write_recognition
from g2l.inference.plots import write_plot
from g2l.inference.predictor import VideoPrediction
from g2l.inference.segment_rows import SegmentRow, segment_rows, write_segments
from g2l.models.metadata import ModelMetadata

SEGMENTS_FILE = "segments.csv"


class PredictionWriter:
    """Writes predictions into one folder.

    `<video>.txt` for each video and, at the end, `segments.csv` of all of them.

    Args:
        folder: Made if it is missing.
        metadata: Of the model: class names and frames per second.
        probabilities: Also write `<video>.probabilities.npy`, float32 (C, T).
        mstcn: Also write `<video>` as the official recognition files are.
        plots: Also write `<video>.png`.
        ground_truth: Folder of `<video>.txt` that plots compare with; a video without is drawn alone.

    Raises:
        InputError: The folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        metadata: ModelMetadata,
        *,
        probabilities: bool = False,
        mstcn: bool = False,
        plots: bool = False,
        ground_truth: Path | None = None,
    ) -> None:
        ensure_folder(folder)
        self.folder = folder
        self.metadata = metadata
        self.probabilities = probabilities
        self.mstcn = mstcn
        self.plots = plots
        self.ground_truth = ground_truth
        self._rows: list[SegmentRow] = []

    def add(self, prediction: VideoPrediction) -> list[SegmentRow]:
        """Write the files of one video and return its segments.

        Raises:
            InputError: The name would leave the folder, or a class name cannot be written.
            OperationalError: The disk refuses.
        """
        classes = self.metadata.classes
        names = [classes[label] for label in prediction.labels.tolist()]
        write_labels(self._path(prediction.name, ".txt"), names)
        if self.mstcn:
            write_recognition(self._path(prediction.name, ""), names)
        if self.probabilities:
            with atomic_path(self._path(prediction.name, ".probabilities.npy")) as temporary:
                _save(temporary, prediction)
        rows = segment_rows(prediction, classes, self.metadata.fps)
        if self.plots:
            write_plot(
                self._path(prediction.name, ".png"),
                prediction.name,
                names,
                truth=self._truth(prediction.name),
                classes=classes,
                background=self.metadata.background,
                fps=self.metadata.fps,
            )
        self._rows += rows
        return rows

    def finish(self) -> Path:
        """Write `segments.csv` of all videos added, and return its path."""
        path = self.folder / SEGMENTS_FILE
        write_segments(path, self._rows)
        return path

    def _path(self, name: str, suffix: str) -> Path:
        if reason := name_fault(name):
            raise InputError(f"{name!r}: expected the name of a video, but it {reason}.")
        return self.folder / f"{name}{suffix}"

    def _truth(self, name: str) -> tuple[str, ...] | None:
        if self.ground_truth is None:
            return None
        path = self.ground_truth / f"{name}.txt"
        return read_frame_names(path) if path.is_file() else None


def _save(path: Path, prediction: VideoPrediction) -> None:
    with path.open("wb") as file:
        np.save(file, prediction.probabilities, allow_pickle=False)
