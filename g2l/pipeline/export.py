"""Exporting a trained model and keeping it where `mlflow.pyfunc` finds it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from g2l.export.onnx_export import ExportReport, export_onnx
from g2l.export.precision import Precision, Video
from g2l.models.metadata import ModelMetadata
from g2l.pipeline.stage import Workplace, tracked
from g2l.tracking.protocol import Run, RunKind

if TYPE_CHECKING:
    from torch import nn

EXAMPLE_FRAMES = 64
"""Length of the input example that is kept with the tracked model."""


def export_model(
    place: Workplace,
    model: nn.Module,
    metadata: ModelMetadata,
    output: Path,
    *,
    precision: Precision = Precision.FP32,
    videos: Sequence[Video] = (),
    force: bool = False,
    frame_mask: bool = False,
    opset: int | None = None,
    ir_version: int | None = None,
    registered_model: str | None = None,
    alias: str | None = None,
) -> ExportReport:
    """Write one checked ONNX file and log it as an MLflow model.

    Args:
        place: Tracker and parent run.
        model: The network.
        metadata: What the file says of itself.
        output: The `.onnx` file.
        precision: As of `export_onnx`, like the five after it.
        videos: For fp16 and int8.
        force: Whether to keep an fp16 or int8 model that falls short.
        frame_mask: Whether the file takes a frame mask.
        opset: Version of the operator set.
        ir_version: Version of the file format.
        registered_model: Name to register the model under, or None.
        alias: Alias of the registered version, or None.

    Raises:
        InputError: Opset or suffix are none that work, or a video cannot be read.
        OperationalError: The export failed or differs too much from torch, or the reduced model from fp32.
    """
    with tracked(place, RunKind.EXPORT, "export") as run:
        run.log_params({"precision": precision.value, "frame_mask": frame_mask, "opset": opset})
        report = export_onnx(
            model,
            metadata,
            output,
            precision=precision,
            videos=videos,
            force=force,
            frame_mask=frame_mask,
            opset=opset,
            ir_version=ir_version,
        )
        _log_report(run, report)
        run.log_artifact(output)
        example = np.zeros((1, metadata.feature_dim, EXAMPLE_FRAMES), dtype=np.float32)
        run.log_onnx_model(output, input_example=example, registered_model=registered_model, alias=alias)
    return report


def _log_report(run: Run, report: ExportReport) -> None:
    run.log_metrics({"max_difference": report.max_difference, "label_agreement": report.agreement})
    if report.reduced is None:
        return
    measured = report.reduced.measured.items()
    run.log_metrics({f"{report.precision}/{name}": value for name, value in measured})
    run.log_dict(report.reduced.as_dict(), "precision.json")
