"""Exporting a trained model and keeping it where `mlflow.pyfunc` finds it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from g2l.export.onnx_export import export_onnx
from g2l.export.report import ExportReport, Precision
from g2l.models.metadata import ModelMetadata
from g2l.pipeline.stage import Workplace, tracked
from g2l.tracking.protocol import RunKind

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
    opset: int | None = None,
    frame_mask: bool = False,
    precision: Precision = Precision.FP32,
    registered_model: str | None = None,
    alias: str | None = None,
) -> ExportReport:
    """Write one checked ONNX file and log it as an MLflow model.

    Args:
        place: Tracker and parent run.
        model: The network.
        metadata: What the file says of itself.
        output: The `.onnx` file.
        opset: Version of the operator set, or None for torch's own choice.
        frame_mask: Whether the file takes a frame mask, for padded batches.
        precision: Of weights and computation.
        registered_model: Name to register the model under, or None.
        alias: Alias of the registered version, or None.

    Raises:
        InputError: Opset or suffix are none that work.
        OperationalError: The export failed or differs from torch.
    """
    with tracked(place, RunKind.EXPORT, "export") as run:
        run.log_params({"precision": precision.value, "frame_mask": frame_mask, "opset": opset})
        report = export_onnx(model, metadata, output, opset=opset, frame_mask=frame_mask, precision=precision)
        run.log_metrics({"max_difference": report.max_difference, "label_agreement": report.agreement})
        run.log_artifact(output)
        if not frame_mask:  # pyfunc hands an array only to models of a single input
            example = np.zeros((1, metadata.feature_dim, EXAMPLE_FRAMES), dtype=np.float32)
            run.log_onnx_model(output, input_example=example, registered_model=registered_model, alias=alias)
    return report
