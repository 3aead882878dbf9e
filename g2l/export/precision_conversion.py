"""From an fp32 ONNX model to one in fp16 or int8."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.errors import OperationalError
from g2l.export.precision_comparison import Video
from g2l.export.quiet import quiet

CALIBRATION_FRAMES = 16_384
"""Frames that int8 is fitted to, 18 minutes at 15 fps. More do no better: the range of a number is found
soon, and later outliers only make its steps coarser."""
CALIBRATION_VIDEOS = 16
"""Videos that they come from."""
CHUNK_FRAMES = 4_096
"""Frames that are run at a time, which bounds the memory."""


def half(proto: Any) -> Any:
    """Return an `onnx.ModelProto` with weights and computation in fp16, inputs and outputs in float32."""
    import onnx_ir
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with quiet():
        model = onnx_ir.from_proto(convert_float_to_float16(proto, keep_io_types=True))
    model.graph.sort()  # the converter appends the cast of the input behind the nodes that use it
    return onnx_ir.to_proto(model)


def quantized(proto: Any, videos: Sequence[Video], *, frame_mask: bool) -> tuple[Any, int]:
    """Return an `onnx.ModelProto` whose convolutions multiply in int8, and the frames it was fitted to.

    Weights are int8 with a scale per output channel, activations uint8 with the range that the videos show
    (QDQ, static): what onnxruntime's CPU kernels are made for. The convolutions that give class scores stay
    in fp32: they hold a hundredth of the weights and cost a third of the lost labels.

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
            raise OperationalError(f"onnxruntime cannot quantise this network: {_line(error)}") from error
    _drop_unused_domains(result)
    return result, reader.frames


def class_convolutions(proto: Any) -> list[str]:
    """Return the names of the convolutions that the softmaxes and the output of a model see first."""
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
    """Gives onnxruntime pieces of the videos, as its `CalibrationDataReader` does.

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


def _drop_unused_domains(proto: Any) -> None:
    """Take out the operator sets that onnxruntime names and no node uses; other runtimes refuse them."""
    used = {node.domain for node in proto.graph.node}
    kept = [entry for entry in proto.opset_import if entry.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
