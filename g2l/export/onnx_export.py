"""Export to one ONNX file that describes itself: export, check, compare with torch, then put in place."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from g2l.errors import InputError, OperationalError
from g2l.export.parity import compare
from g2l.export.quiet import quiet
from g2l.export.reduction import Reduction, reduced
from g2l.export.report import ExportReport
from g2l.files import atomic_path
from g2l.models.metadata import METADATA_KEY, ModelMetadata

OPSETS = range(18, 27)
"""Operator sets that torch's exporter writes and onnxruntime reads."""


def export_onnx(
    model: nn.Module,
    metadata: ModelMetadata,
    output: Path,
    *,
    opset: int | None = None,
    frame_mask: bool = False,
    reduction: Reduction | None = None,
) -> ExportReport:
    """Write `output` atomically, after onnx's checker and all comparisons have passed.

    The file has input `features` (batch, feature_dim, frames), with `frame_mask` also input
    `frame_mask` (batch, 1, frames), and output `probabilities` (batch, classes, frames): the softmax
    of the last stage. Batch and frames are dynamic.

    Args:
        model: (features (B, D, T), frame_mask (B, 1, T) or None) -> logits (S, B, C, T); left as it is.
        metadata: Kept in the file, so that it can be used without any other.
        output: Name that ends in `.onnx`.
        opset: Version of the operator set, or None for torch's own choice.
        frame_mask: Whether the file takes a frame mask, for batches of different lengths.
        reduction: To fp16 or int8, compared with fp32; None for fp32 itself.

    Raises:
        InputError: The opset or the suffix is none that works, or int8 has nothing to be calibrated on.
        OperationalError: The network cannot be exported or reduced, the result differs too much, or the disk
            refuses.
    """
    if opset is not None and opset not in OPSETS:
        raise InputError(f"`opset` must be in {OPSETS[0]}…{OPSETS[-1]}, but is {opset} instead.")
    if output.suffix != ".onnx":
        raise InputError(f"`output` must end in .onnx, but is {str(output)!r} instead.")
    if reduction is not None:
        reduction.validate()
    # A copy, since the caller's may be on a GPU or in training.
    network = DeployedNetwork(copy.deepcopy(model)).cpu().eval()
    proto = exported_proto(network, metadata.feature_dim, opset=opset, frame_mask=frame_mask)
    if opset not in (None, _opset(proto)):
        raise InputError(f"`opset` {opset} is none that torch {torch.__version__} can write.")
    _describe(proto, metadata)
    checks = compare(
        proto.SerializeToString(),
        network,
        metadata.structure,
        feature_dim=metadata.feature_dim,
        frame_mask=frame_mask,
    )
    report = ExportReport(output, _opset(proto), checks)
    report.require_parity()
    if reduction is not None:
        proto, report, metadata = reduced(proto, reduction, report, metadata, frame_mask=frame_mask)
        _describe(proto, metadata)
    with atomic_path(output) as temporary:
        temporary.write_bytes(proto.SerializeToString(deterministic=True))
        _check_model(temporary, output)
    return report


class DeployedNetwork(nn.Module):
    """The network as it is deployed: softmax of the last stage.

    Args:
        network: (features (B, D, T), frame_mask (B, 1, T) or None) -> logits (S, B, C, T).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """Return the probabilities (B, C, T) of features (B, D, T); `frame_mask` is (B, 1, T) or None."""
        # (S, B, C, T) -> (B, C, T)
        return functional.softmax(self.network(features, frame_mask)[-1], dim=1)


def exported_proto(
    network: DeployedNetwork, feature_dim: int, *, opset: int | None = None, frame_mask: bool = False
) -> Any:
    """Return the `onnx.ModelProto` of a network on the CPU, of any batch and length, as torch writes it.

    Args:
        network: In evaluation mode.
        feature_dim: D.
        opset: Version of the operator set, or None for torch's own choice.
        frame_mask: Whether it takes a frame mask.

    Raises:
        OperationalError: The network cannot be exported.
    """
    # Sizes of 1 would be frozen by the exporter.
    inputs = {"features": torch.zeros(2, feature_dim, 16)}
    if frame_mask:
        inputs["frame_mask"] = torch.ones(2, 1, 16)
    dynamic = {0: torch.export.Dim("batch"), 2: torch.export.Dim("frames")}
    try:
        with quiet():
            program = torch.onnx.export(
                network,
                tuple(inputs.values()),
                dynamo=True,
                external_data=False,
                input_names=list(inputs),
                output_names=["probabilities"],
                dynamic_shapes=dict.fromkeys(inputs, dynamic),
                opset_version=opset,
                verbose=False,
            )
    except Exception as error:  # exporter, tracer and shape solver each raise their own
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise OperationalError(f"the network cannot be exported to ONNX: {reason}") from error
    if program is None:
        raise OperationalError("the network cannot be exported to ONNX: torch returned nothing.")
    return program.model_proto


def _describe(proto: Any, metadata: ModelMetadata) -> None:
    """Put our metadata in, and take out that of converters: torch's holds the paths of this machine."""
    graph = proto.graph
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for part in (proto, graph, *graph.node, *values):
        part.ClearField("metadata_props")
    entry = proto.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, metadata.to_json()


def _opset(proto: Any) -> int:
    return next(int(entry.version) for entry in proto.opset_import if not entry.domain)


def _check_model(path: Path, output: Path) -> None:
    import onnx

    try:
        onnx.checker.check_model(path, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise OperationalError(f"{output}: onnx's checker refuses the export ({error}).") from error
