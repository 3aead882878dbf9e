"""Models in fp16 or int8: converted from fp32, compared with it by labels and segments, or refused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.errors import OperationalError, brief
from g2l.export.parity import Batch, check_lengths, open_runner, quiet
from g2l.metrics.scores import MEAN_F1, SegmentationMetrics, metric_value
from g2l.models.metadata import ModelMetadata
from g2l.structure import DilationStructure

LEAST_AGREEMENT = 99.0
"""Percentage of frames whose label a reduced model must keep."""
LEAST_F1 = 98.0
"""Mean F1@{10,25,50} that its segments must have, those of fp32 being the truth. Segments that flicker in or
out cost labels almost nothing, so labels alone would not show them."""
LARGEST_F1_LOSS = 2.0
"""Points of the same mean that it may lose against the ground truth, where that is known."""

CALIBRATION_FRAMES = 16_384
"""Frames that int8 is fitted to, 18 minutes at 15 fps. More do no better: the range of a number is found
soon, and later outliers only make its steps coarser."""
CALIBRATION_VIDEOS = 16
"""Videos that they come from."""
CHUNK_FRAMES = 4_096
"""Frames that are run at a time, which bounds the memory."""
LARGEST_HALF = 65504.0
"""Largest finite number in fp16; larger weights are cut to it, as the converter does."""
_EXACT, _HALF = "/exact", "/half"

_log = logging.getLogger("g2l")


class Precision(StrEnum):
    """Number format of weights and computation; inputs and outputs are float32 always."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


@dataclass(frozen=True)
class Video:
    """A video that a model is calibrated and compared on; its features stay on disk until they are loaded."""

    name: str
    load: Callable[[], npt.NDArray[np.float32]]
    """Returns the features (D, T) as the network takes them, at its frame rate."""
    truth: npt.NDArray[np.int64] | None = None
    """Class index of every frame, (T,) or a few more or fewer, or None where it is not known."""


@dataclass(frozen=True, kw_only=True)
class PrecisionReport:
    """Comparison of a reduced model with fp32. All shares are percentages."""

    precision: Precision
    inputs: str
    """`videos`, or `random` numbers, which have neither segments nor the range of real features."""
    videos: int
    frames: int
    """Of all videos, at the network's frame rate."""
    agreement: float
    """Share of frames with the same most probable class."""
    f1: float | None = None
    """Mean F1@{10,25,50} of its segments against those of fp32, background included."""
    f1_change: float | None = None
    """Its mean F1@{10,25,50} against the ground truth minus that of fp32."""
    max_difference: float
    """Of a probability."""
    nan_frames: int = 0
    """They count as frames with another class."""
    size: float = 100.0
    """As a share of fp32's."""
    calibration_frames: int = 0
    forced: bool = False
    """Whether it was kept although it falls short."""

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """Found and required value of each number that falls short; empty if none does."""
        nan = f", {self.nan_frames} of {self.frames} frames being NaN," if self.nan_frames else ""
        kept = f"keeps {self.agreement:.1f} % of the labels of fp32{nan}"
        checks = [(f"{kept} where {LEAST_AGREEMENT:.0f} % are needed", self.agreement < LEAST_AGREEMENT)]
        if self.f1 is not None:
            segments = f"has F1 {self.f1:.1f} against its segments where {LEAST_F1:.0f} is needed"
            checks.append((segments, self.f1 < LEAST_F1))
        if self.f1_change is not None:
            lost = f"loses {-self.f1_change:.1f} points of F1 to the ground truth"
            allowed = f"where {LARGEST_F1_LOSS:.0f} are allowed"
            checks.append((f"{lost} {allowed}", self.f1_change < -LARGEST_F1_LOSS))
        return tuple(reason for reason, short in checks if short)

    def accepted(self, path: Path, *, force: bool) -> PrecisionReport:
        """Return this report, marked where only `force` keeps the model; OperationalError if nothing does."""
        if not self.shortfalls:
            return self
        reasons = f"{path}: the {self.precision} model {' and '.join(self.shortfalls)}"
        if force:
            _log.warning("%s; it is written because of --force.", reasons)
            return replace(self, forced=True)
        hint = "export with --precision fp32; --force writes it all the same."
        if self.precision is Precision.INT8:
            hint = (
                "give --calibration videos like those it will see, or use --precision fp16 or fp32; labels "
                "of a weak model change easily. --force writes it all the same."
            )
        raise OperationalError(f"{reasons}; nothing was written.", hint=hint)


def reduce_precision(
    proto: Any, precision: Precision, videos: Sequence[Video], metadata: ModelMetadata, *, frame_mask: bool
) -> tuple[Any, PrecisionReport]:
    """Return the fp32 `onnx.ModelProto` in fp16 or int8, and the comparison of both.

    Real videos are for the comparison and to calibrate int8; without, fp16 is compared on random features.
    OperationalError if the model cannot be converted or run.
    """
    exact = proto.SerializeToString()
    background = [number for number, name in enumerate(metadata.classes) if name in metadata.background]
    compared = videos or random_videos(metadata.structure, metadata.feature_dim)
    compare = partial(
        compare_on_videos, exact, precision=precision, background=background, frame_mask=frame_mask
    )
    if precision is Precision.FP16:
        result, frames = half(proto), 0
        smaller = result.SerializeToString()
        compare(smaller, compared[:1])  # the file runs; a CPU shows no more of it, see `rounded`
        found = compare(rounded(proto).SerializeToString(), compared)
    else:
        result, frames = quantized(proto, videos, frame_mask=frame_mask)
        smaller = result.SerializeToString()
        found = compare(smaller, compared)
    found = replace(found, size=100.0 * len(smaller) / len(exact), calibration_frames=frames)
    return result, found if videos else replace(found, inputs="random", f1=None)


def random_videos(structure: DilationStructure, feature_dim: int) -> list[Video]:
    """Return features that are standard normal numbers, of the lengths that an export is compared at."""

    def load(frames: int) -> npt.NDArray[np.float32]:
        return np.random.default_rng(frames).standard_normal((feature_dim, frames), dtype=np.float32)

    lengths = sorted({frames for _, frames in check_lengths(structure)})
    return [Video(f"{frames} random frames", partial(load, frames)) for frames in lengths]


def compare_on_videos(
    exact: bytes,
    reduced: bytes,
    videos: Sequence[Video],
    *,
    precision: Precision,
    background: Sequence[int],
    frame_mask: bool,
) -> PrecisionReport:
    """Run the fp32 model and the reduced one on the CPU over all videos, one in memory at a time.

    Segments of the `background` classes are left out of F1 to the ground truth.
    """
    runners = [open_runner(model) for model in (exact, reduced)]
    frames = same = nan_frames = 0
    max_difference = 0.0
    # Background counts here: the two must not differ in it either, and no video is without segments.
    to_exact = SegmentationMetrics()
    to_truth = [SegmentationMetrics(background=background) for _ in runners]
    for video in videos:
        features = video.load()[None]
        expected, found = (run(_inputs(features, frame_mask))[0] for run in runners)
        if not np.isfinite(expected).all():
            raise OperationalError(f"{video.name}: the fp32 model gives NaN; nothing was written.")
        finite = np.isfinite(found).all(axis=0)
        labels = [probabilities.argmax(axis=0) for probabilities in (expected, found)]
        frames += len(finite)
        same += int(((labels[0] == labels[1]) & finite).sum())
        nan_frames += int((~finite).sum())
        if finite.any():
            max_difference = max(max_difference, float(np.abs(found - expected)[:, finite].max()))
        to_exact.update(labels[1], labels[0])
        if video.truth is not None:
            length = min(len(video.truth), len(finite))
            for metrics, predicted in zip(to_truth, labels, strict=True):
                metrics.update(predicted[:length], video.truth[:length])
    known = any(video.truth is not None for video in videos)
    scores = [metric_value(metrics.compute(), MEAN_F1) for metrics in to_truth]
    return PrecisionReport(
        precision=precision,
        inputs="videos",
        videos=len(videos),
        frames=frames,
        agreement=100.0 * same / frames,
        f1=metric_value(to_exact.compute(), MEAN_F1),
        f1_change=scores[1] - scores[0] if known else None,
        max_difference=max_difference,
        nan_frames=nan_frames,
    )


def _inputs(features: Batch, frame_mask: bool) -> dict[str, Batch]:
    mask = {"frame_mask": np.ones((1, 1, features.shape[2]), np.float32)} if frame_mask else {}
    return {"features": features, **mask}


# ------------------------------------------------------------------------------------------- conversion


def half(proto: Any) -> Any:
    """Return an `onnx.ModelProto` with weights and computation in fp16, inputs and outputs in float32."""
    import onnx_ir
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with quiet():
        model = onnx_ir.from_proto(convert_float_to_float16(proto, keep_io_types=True))
    model.graph.sort()  # the converter appends the cast of the input behind the nodes that use it
    return onnx_ir.to_proto(model)


def rounded(proto: Any) -> Any:
    """Return an `onnx.ModelProto` with weights, features and the result of every node rounded to fp16.

    It shows on a CPU what a GPU computes in fp16: fp32 in between, infinity beyond 65504. onnxruntime's CPU
    kernels take the weights of an fp16 model but compute in fp32 from end to end and would never overflow.
    """
    import onnx
    from onnx.numpy_helper import from_array, to_array

    model = onnx.shape_inference.infer_shapes(proto)
    graph, floating = model.graph, onnx.TensorProto.FLOAT
    for weight in graph.initializer:
        if weight.data_type == floating:
            values = np.clip(to_array(weight), -LARGEST_HALF, LARGEST_HALF).astype(np.float16)
            weight.CopyFrom(from_array(values.astype(np.float32), weight.name))
    inputs = [value.name for value in graph.input]
    values = (*graph.value_info, *graph.output)
    floats = {value.name for value in values if value.type.tensor_type.elem_type == floating}
    nodes = [cast for name in inputs for cast in _rounding(name, f"{name}{_HALF}")]
    for node in graph.node:
        node.input[:] = [f"{name}{_HALF}" if name in inputs else name for name in node.input]
        results = [name for name in node.output if name in floats]
        node.output[:] = [f"{name}{_EXACT}" if name in results else name for name in node.output]
        nodes += [onnx.NodeProto.FromString(node.SerializeToString())]
        nodes += [cast for name in results for cast in _rounding(f"{name}{_EXACT}", name)]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _rounding(source: str, target: str) -> list[Any]:
    """Return the nodes that round a value to fp16 and return it in fp32."""
    from onnx import TensorProto, helper

    bits = f"{source}{_HALF}_bits"
    return [
        helper.make_node("Cast", [source], [bits], to=TensorProto.FLOAT16),
        helper.make_node("Cast", [bits], [target], to=TensorProto.FLOAT),
    ]


def quantized(proto: Any, videos: Sequence[Video], *, frame_mask: bool) -> tuple[Any, int]:
    """Return an `onnx.ModelProto` whose convolutions multiply in int8, and the frames it was fitted to.

    Weights are int8 with a scale per output channel, activations uint8 with the range that the videos show
    (QDQ, static): the form that onnxruntime's CPU kernels are made for. The convolutions that give class
    scores stay in fp32: they hold a hundredth of the weights and cost a third of the lost labels.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    reader = _Calibration(videos, frame_mask=frame_mask)
    with TemporaryDirectory(prefix="g2l-int8-") as folder:
        source, prepared, target = (Path(folder, f"{name}.onnx") for name in ("fp32", "prepared", "int8"))
        try:
            with quiet():
                onnx.save(proto, source)
                # Symbolic shape inference is for transformers; here it takes seconds and finds nothing more.
                quant_pre_process(source, prepared, skip_symbolic_shape=True)
                quantize_static(
                    prepared,
                    target,
                    reader,
                    quant_format=QuantFormat.QDQ,
                    op_types_to_quantize=["Conv"],
                    nodes_to_exclude=class_convolutions(onnx.load(prepared)),
                    per_channel=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                )
                result = onnx.load(target)
        except Exception as error:  # neither onnx nor onnxruntime has a base class for its errors
            raise OperationalError(f"onnxruntime cannot quantise this network: {brief(error)}") from error
    # onnxruntime names operator sets that no node uses; other runtimes refuse them.
    used = {node.domain for node in result.graph.node}
    kept = [entry for entry in result.opset_import if entry.domain in used]
    del result.opset_import[:]
    result.opset_import.extend(kept)
    return result, reader.frames


def class_convolutions(proto: Any) -> list[str]:
    """Return the names of the convolutions that directly feed the softmaxes and the output of a model."""
    graph = proto.graph
    makers = {output: node for node in graph.node for output in node.output}
    waiting = [value.name for value in graph.output]
    waiting += [node.input[0] for node in graph.node if node.op_type == "Softmax"]
    seen: set[str] = set()
    found: dict[str, None] = {}
    while waiting:
        name = waiting.pop()
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type == "Conv":
            found[node.name] = None
        else:
            waiting += node.input
    return list(found)


class _Calibration:
    """Pieces of the videos, as onnxruntime's `CalibrationDataReader` returns them.

    Of up to `CALIBRATION_VIDEOS`, evenly chosen, the middle is used.
    """

    def __init__(self, videos: Sequence[Video], *, frame_mask: bool) -> None:
        self._pieces = self._cut(videos, frame_mask)
        self.frames = 0

    def get_next(self) -> dict[str, Batch] | None:
        """Return the next inputs (1, D, T), or None at the end."""
        return next(self._pieces, None)

    def _cut(self, videos: Sequence[Video], frame_mask: bool) -> Iterator[dict[str, Batch]]:
        count = min(len(videos), CALIBRATION_VIDEOS)
        share = CALIBRATION_FRAMES // count
        for number in range(count):
            features = videos[number * len(videos) // count].load()
            start = max(0, (features.shape[1] - share) // 2)
            middle = features[:, start : start + share]
            for first in range(0, middle.shape[1], CHUNK_FRAMES):
                piece = np.ascontiguousarray(middle[None, :, first : first + CHUNK_FRAMES])
                self.frames += piece.shape[2]
                yield _inputs(piece, frame_mask)
