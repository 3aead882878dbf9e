"""Export to one ONNX file that describes itself: export, check, compare with torch, then put in place."""

from __future__ import annotations

import copy
import errno
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from g2l.config import BackboneConfig
from g2l.errors import G2LError, InputError, OperationalError, brief
from g2l.export.normalizer import describe_input, with_normalization
from g2l.export.parity import LARGEST_DIFFERENCE, Parity, compare, open_runner, quiet
from g2l.export.precision import Precision, PrecisionReport, Video, random_videos, reduce_precision
from g2l.files import atomic_path
from g2l.models.metadata import INPUT_KEY, METADATA_KEY, ModelMetadata
from g2l.models.registry import build_backbone
from g2l.structure import DilationStructure

OPSETS = range(15, 27)
"""Operator sets that can be written; torch's exporter writes those from 18 on, older ones are converted."""
_OLDEST_OF_TORCH = 18
_log = logging.getLogger("g2l")


@dataclass(frozen=True)
class ExportReport:
    """The file that was written and its comparison with the network."""

    path: Path
    opset: int
    ir_version: int
    parity: Parity
    """Comparison of the fp32 export with torch."""
    reduced: PrecisionReport | None = None
    """Comparison of the fp16 or int8 model that was written with fp32; None for an fp32 file."""

    @property
    def precision(self) -> Precision:
        """Of weights and computation."""
        return Precision.FP32 if self.reduced is None else self.reduced.precision

    def require_parity(self) -> None:
        """Raise OperationalError if the fp32 export computes NaN or not what the network computes."""
        if math.isnan(self.parity.max_difference):
            raise OperationalError(f"{self.path}: the network or its export gives NaN; nothing was written.")
        if self.parity.max_difference > LARGEST_DIFFERENCE:
            raise OperationalError(
                f"{self.path}: the export differs from torch by {self.parity.max_difference:.2g}, "
                f"more than {LARGEST_DIFFERENCE:.0e}; nothing was written."
            )


def export_onnx(
    model: nn.Module,
    metadata: ModelMetadata,
    output: Path,
    *,
    precision: Precision = Precision.FP32,
    videos: Sequence[Video] = (),
    force: bool = False,
    frame_mask: bool = False,
    opset: int | None = None,
) -> ExportReport:
    """Write `output` atomically, after onnx's checker and all comparisons have passed.

    The file has input `features` (batch, feature_dim, frames), raw as in the feature files, with `frame_mask`
    also input `frame_mask` (batch, 1, frames), and output `probabilities` (batch, classes, frames): the
    softmax of the last stage. Batch and frames are dynamic. Where the model normalises, the graph does, see
    `with_normalization`. The file format is the oldest that holds the operator set, for older runtimes.

    Args:
        model: (features (B, D, T), frame_mask (B, 1, T) or None) -> logits (S, B, C, T); left as it is.
        metadata: Kept in the file, so that it can be used without any other.
        output: Name that ends in `.onnx`.
        precision: Of weights and computation.
        videos: Real videos that fp16 and int8 are compared on and int8 is calibrated with; fp16 needs none.
        force: Whether to keep an fp16 or int8 model that falls short.
        frame_mask: Whether the file takes a frame mask, for batches of different lengths.
        opset: Version of the operator set, or None for torch's own choice.

    Raises:
        InputError: Opset or suffix cannot be written, or int8 has no videos.
        OperationalError: The network cannot be exported or reduced, or the result differs too much.
    """
    if opset is not None and opset not in OPSETS:
        raise InputError(f"`opset` must be in {OPSETS[0]}…{OPSETS[-1]}, but is {opset} instead.")
    if output.suffix != ".onnx":
        raise InputError(f"`output` must end in .onnx, but is {str(output)!r} instead.")
    if precision is Precision.INT8 and not videos:
        raise InputError("int8 must be calibrated on real features, but none are given.")
    # A copy, since the caller's may be on a GPU or in training.
    network = DeployedNetwork(copy.deepcopy(model)).cpu().eval()
    inner = exported_proto(network, metadata.feature_dim, opset=opset, frame_mask=frame_mask)
    _describe(inner, metadata)
    proto = with_normalization(inner, metadata, frame_mask=frame_mask)
    parity = compare(proto.SerializeToString(), network, metadata, frame_mask=frame_mask)
    report = ExportReport(output, _opset(proto), proto.ir_version, parity)
    report.require_parity()
    if precision is not Precision.FP32:
        smaller, found = reduce_precision(inner, precision, videos, metadata, frame_mask=frame_mask)
        found = found.accepted(output, force=force)
        report, metadata = replace(report, reduced=found), replace(metadata, precision=asdict(found))
        proto = with_normalization(smaller, metadata, frame_mask=frame_mask)
    _describe(proto, metadata)
    with atomic_path(output) as temporary:
        temporary.write_bytes(proto.SerializeToString(deterministic=True))
        _check_file(temporary, output, metadata, frame_mask=frame_mask)
    return report


class DeployedNetwork(nn.Module):
    """The network as it is deployed: softmax of the last stage of (S, B, C, T) logits."""

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
    """Return the `onnx.ModelProto` of a network in evaluation mode on the CPU, for any batch and length.

    InputError if torch cannot write this opset, or an older one cannot express the network, OperationalError
    if the network cannot be exported.
    """
    exported = opset if opset is None else max(opset, _OLDEST_OF_TORCH)
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
                opset_version=exported,
                verbose=False,
            )
    except Exception as error:  # exporter, tracer and shape solver each raise their own
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise OperationalError(f"the network cannot be exported to ONNX: {reason}") from error
    if program is None:
        raise OperationalError("the network cannot be exported to ONNX: torch returned nothing.")
    proto = program.model_proto
    if exported not in (None, _opset(proto)):
        raise InputError(f"`opset` {opset} cannot be written by torch {torch.__version__}.")
    return proto if opset is None else _at_opset(proto, opset)


def latency(
    backbone: BackboneConfig, structure: DilationStructure, *, feature_dim: int, num_classes: int
) -> float | None:
    """Return the milliseconds that onnxruntime takes for 1,000 frames on the CPU: the best of five runs.

    Weights do not matter. It is None, with a warning, for a network that cannot be exported.
    """
    network = build_backbone(backbone, structure, feature_dim=feature_dim, num_classes=num_classes)
    features = np.random.default_rng(0).standard_normal((1, feature_dim, 1000), dtype=np.float32)
    taken = []
    try:
        run = open_runner(exported_proto(DeployedNetwork(network).eval(), feature_dim).SerializeToString())
        for _ in range(5):
            started = time.perf_counter()
            run({"features": features})
            taken.append(time.perf_counter() - started)
    except G2LError as error:
        _log.warning("the latency of %s cannot be measured: %s", structure, error)
        return None
    return 1000 * min(taken)


def _at_opset(proto: Any, opset: int) -> Any:
    """Return the model in an older operator set; InputError if an operator has no equivalent there."""
    import onnx

    newest = _opset(proto)
    if opset == newest:
        return proto
    operators = {node.op_type for node in proto.graph.node}
    changed = {name for name in operators if _since(name, newest) != _since(name, opset)}
    if not changed:  # all operators are defined as they were then
        next(entry for entry in proto.opset_import if not entry.domain).version = opset
        return proto
    try:
        return onnx.version_converter.convert_version(proto, opset)
    except Exception as error:  # the converter raises RuntimeError, or what its C++ code raised
        raise InputError(
            f"`opset` {opset} cannot express this network, whose {', '.join(sorted(changed))} changed since.",
            hint=f"export with --opset {newest} or newer.",
        ) from error


def _since(operator: str, opset: int) -> int:
    import onnx

    try:
        return int(onnx.defs.get_schema(operator, opset).since_version)
    except onnx.defs.SchemaError:
        return 0


def _describe(proto: Any, metadata: ModelMetadata) -> None:
    """Put our metadata in, and take out that of converters: torch's holds the paths of this machine."""
    import onnx

    proto.ir_version = onnx.helper.find_min_ir_version_for(list(proto.opset_import), ignore_unknown=True)
    graph = proto.graph
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for part in (proto, graph, *graph.node, *values):
        part.ClearField("metadata_props")
    for key, value in ((METADATA_KEY, metadata.to_json()), (INPUT_KEY, describe_input(metadata))):
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value


def _opset(proto: Any) -> int:
    return next(int(entry.version) for entry in proto.opset_import if not entry.domain)


def _check_file(path: Path, output: Path, metadata: ModelMetadata, *, frame_mask: bool) -> None:
    """Check the file by onnx, and run it once; OperationalError if it is invalid or does not run."""
    import onnx

    try:
        onnx.checker.check_model(path, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise OperationalError(f"{output}: onnx's checker refuses the export ({brief(error)}).") from error
    features = random_videos(metadata.structure, metadata.feature_dim)[0].load()[None]
    mask = {"frame_mask": torch.ones(1, 1, features.shape[2]).numpy()} if frame_mask else {}
    open_runner(path)({"features": features, **mask})
