"""Exporting a trained model as a stage, and the real videos that fp16 and int8 are compared on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from g2l.config import DataConfig
from g2l.datasets.features import FeatureFile, Features, open_features
from g2l.datasets.labels import Labels
from g2l.errors import InputError
from g2l.export.onnx_export import ExportOptions, ExportReport, export_onnx
from g2l.export.precision import Precision, Video
from g2l.inference.evaluate import find_truths
from g2l.inference.loading import find_videos, prepare
from g2l.inference.segments import FrameReader
from g2l.models.metadata import METADATA_KEY, ModelMetadata
from g2l.pipeline.context import RunContext
from g2l.pipeline.output import link_or_copy, refuse_foreign_file
from g2l.records import RunKind, write_result

if TYPE_CHECKING:
    from torch import nn

MODEL = "model.onnx"
MOST_FRAMES = 32_768
"""Of one video, at the network's frame rate: 256 MiB at D = 2048. A longer one counts as if it ended
there."""


def export_model(
    context: RunContext,
    model: nn.Module,
    metadata: ModelMetadata,
    output: Path,
    *,
    registered_model: str | None = None,
    alias: str | None = None,
    folder: str = "",
    **options: Unpack[ExportOptions],
) -> ExportReport:
    """Write one checked ONNX file, and keep it in the folder of the stage as well.

    Args:
        context: Where it runs.
        model: The network.
        metadata: Metadata of the file.
        output: The `.onnx` file; an earlier export is replaced.
        registered_model: Name to register the model under in MLflow, or None.
        alias: Alias of the registered version, or None.
        folder: Of the stage, below that of the context.
        **options: Of `export_onnx`.

    Raises:
        InputError: An option is invalid, a video cannot be read, or `output` is another file.
        OperationalError: The export failed or differs too much from torch, or the reduced model from fp32.
    """
    refuse_foreign_file(output, _is_export)
    settings = {"precision": Precision.FP32.value, "frame_mask": False, "opset": None, **options}
    settings.pop("videos", None)
    with context.stage(RunKind.EXPORT, "export", settings, folder) as stage:
        report = export_onnx(model, metadata, output, **options)
        link_or_copy(output, stage.folder / MODEL)
        result = {
            "precision": report.precision.value,
            "opset": report.opset,
            "reduced": None if report.reduced is None else asdict(report.reduced),
            "register": {"name": registered_model, "alias": alias},
        }
        write_result(stage.folder, result, (MODEL,), metrics=_metrics(report))
    return report


def _metrics(report: ExportReport) -> dict[str, float]:
    """Return the numbers that the tracked run shows."""
    metrics = {"max_difference": report.parity.max_difference, "label_agreement": report.parity.agreement}
    found = {} if report.reduced is None else asdict(report.reduced)
    numbers = {name: float(value) for name, value in found.items() if type(value) in (float, int)}
    return metrics | {f"{report.precision}/{name}": value for name, value in numbers.items()}


def _is_export(path: Path) -> bool:
    """Tell whether an ONNX file was exported by g2l: its metadata has our key (protobuf fields 1 and 2)."""
    key = METADATA_KEY.encode()
    return b"\x0a" + bytes([len(key)]) + key + b"\x12" in path.read_bytes()


def open_videos(
    features: Sequence[Path], ground_truth: Path | None, metadata: ModelMetadata
) -> tuple[Video, ...]:
    """Return one video per feature file of files and folders; only headers and ground truth are read.

    Raises:
        InputError: A file is missing, unreadable, or not a feature file of the model's feature_dim, or a
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
