"""From an fp32 ONNX model to one in fp16 or int8."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from g2l.errors import OperationalError, brief
from g2l.export.parity import quiet

if TYPE_CHECKING:
    from g2l.export.precision import Video

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

    Args:
        proto: The fp32 model; left as it is.
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

    Args:
        proto: The fp32 model; left as it is.
        videos: At least one.
        frame_mask: Whether the model takes a frame mask.

    Raises:
        OperationalError: onnxruntime cannot quantise this network.
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

    Args:
        videos: Up to `CALIBRATION_VIDEOS` of them are used, evenly chosen: the middle of each.
        frame_mask: Whether the model takes a frame mask.
    """

    def __init__(self, videos: Sequence[Video], *, frame_mask: bool) -> None:
        count = min(len(videos), CALIBRATION_VIDEOS)
        self._videos = [videos[number * len(videos) // count] for number in range(count)]
        self._frame_mask = frame_mask
        self._pieces = self._cut(CALIBRATION_FRAMES // count)
        self.frames = 0

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """Return the next inputs (1, D, T), or None at the end."""
        piece = next(self._pieces, None)
        if piece is None:
            return None
        self.frames += piece.shape[1]
        inputs = {"features": piece[None]}
        if self._frame_mask:
            inputs["frame_mask"] = np.ones((1, 1, piece.shape[1]), np.float32)
        return inputs

    def _cut(self, share: int) -> Iterator[npt.NDArray[np.float32]]:
        for video in self._videos:
            features = video.load()
            start = max(0, (features.shape[1] - share) // 2)
            middle = features[:, start : start + share]
            for first in range(0, middle.shape[1], CHUNK_FRAMES):
                yield np.ascontiguousarray(middle[:, first : first + CHUNK_FRAMES])
