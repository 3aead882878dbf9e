"""Exporting a trained model as a stage, and the real videos that fp16 and int8 are compared on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from g2l.config import DataConfig
from g2l.datasets.features import FeatureFile, Features, open_features
from g2l.datasets.labels import Labels
from g2l.export.onnx_export import ExportReport, export_onnx
from g2l.export.precision import Precision, Video
from g2l.inference.evaluate import find_truths, require_length
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
    **options: Any,
) -> ExportReport:
    """Write one checked ONNX file by the `options` of `export_onnx`, and keep it in the folder of the stage.

    An earlier export is replaced, InputError for another file. The model may be registered in MLflow under a
    name and an alias.
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
    """Return whether an ONNX file was exported by g2l: its metadata has our key (protobuf fields 1 and 2)."""
    key = METADATA_KEY.encode()
    return b"\x0a" + bytes([len(key)]) + key + b"\x12" in path.read_bytes()


def open_videos(
    features: Sequence[Path], ground_truth: Path | None, metadata: ModelMetadata
) -> tuple[Video, ...]:
    """Return one video per feature file of files and folders; only headers and ground truth are read.

    InputError if one is not a feature file of the model's feature_dim, or a truth is missing or does not fit.
    """
    files = [open_features(path, metadata.feature_dim) for path in find_videos(features)]
    names = [file.path.stem for file in files]
    truths = {} if ground_truth is None else find_truths(names, ground_truth)
    return tuple(
        Video(
            file.path.name,
            partial(_load, file, metadata),
            _truth(truths[name], file, metadata) if truths else None,
        )
        for name, file in zip(names, files, strict=True)
    )


def _load(file: FeatureFile, metadata: ModelMetadata) -> Features:
    rate = metadata.sample_rate
    return prepare(file.read(rate, min(file.num_frames, MOST_FRAMES * rate)), metadata)


def _truth(path: Path, file: FeatureFile, metadata: ModelMetadata) -> Labels:
    """Return the classes at the network's frame rate; unknown ones get indices of their own."""
    labels = FrameReader(metadata.classes).read(path)
    require_length(path, len(labels), file.path, file.num_frames, DataConfig.length_tolerance)
    return labels[:: metadata.sample_rate][:MOST_FRAMES]
