"""The real videos that an export to fp16 or int8 is calibrated and compared on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from g2l.config import DataConfig
from g2l.datasets.features import FeatureFile, Features, open_features
from g2l.datasets.labels import Labels
from g2l.errors import InputError
from g2l.export.precision import Video
from g2l.inference.evaluate import find_truths
from g2l.inference.frame_names import FrameReader
from g2l.inference.loading import prepare
from g2l.inference.videos import find_videos
from g2l.models.metadata import ModelMetadata

MOST_FRAMES = 32_768
"""Of one video, at the network's frame rate: 256 MiB at D = 2048. A longer one counts as if it ended
there."""


def open_videos(
    features: Sequence[Path], ground_truth: Path | None, metadata: ModelMetadata
) -> tuple[Video, ...]:
    """Return one video per feature file; only headers and ground truth are read.

    Args:
        features: Feature files, or folders of them.
        ground_truth: Folder of `<video>.txt`, or None.
        metadata: Says how the network takes its features.

    Raises:
        InputError: A file is missing, is no feature file of the model's feature_dim or is unreadable, or a
            truth is missing or of another length.
    """
    paths = find_videos(features)
    files = [open_features(path, metadata.feature_dim) for path in paths]
    truths: list[Labels | None] = [None] * len(files)
    if ground_truth is not None:
        found = find_truths([path.stem for path in paths], ground_truth)
        truths = [_truth(found[file.path.stem], file, metadata) for file in files]
    return tuple(
        Video(file.path.name, partial(_load, file, metadata), truth)
        for file, truth in zip(files, truths, strict=True)
    )


def _load(file: FeatureFile, metadata: ModelMetadata) -> Features:
    rate = metadata.sample_rate
    return prepare(file.read(rate, min(file.num_frames, MOST_FRAMES * rate)), metadata)


def _truth(path: Path, file: FeatureFile, metadata: ModelMetadata) -> Labels:
    """Return the classes at the network's frame rate; unknown ones get indices of their own."""
    labels = FrameReader(metadata.classes).read(path)
    if abs(len(labels) - file.num_frames) > DataConfig.length_tolerance:
        raise InputError(
            f"{path}: expected {file.num_frames} frames as in {file.path}, but found {len(labels)} instead."
        )
    return labels[:: metadata.sample_rate][:MOST_FRAMES]
