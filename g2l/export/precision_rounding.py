"""What a GPU computes of a model in fp16, for comparisons on a CPU.

onnxruntime's CPU kernels take the weights of an fp16 model but compute in fp32 from end to end, so that a
comparison that ran the fp16 model itself would never see an overflow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LARGEST_HALF = 65504.0
"""Largest finite number in fp16; larger weights are cut to it, as the converter does."""
_EXACT, _HALF = "/exact", "/half"


def rounded(proto: Any) -> Any:
    """Return an `onnx.ModelProto` with weights, features and the result of every node rounded to fp16.

    It computes in fp32 in between, as the multiplications of a GPU do, and beyond 65504 gives infinity.

    Args:
        proto: The fp32 model; left as it is.
    """
    import onnx

    model = onnx.shape_inference.infer_shapes(proto)
    graph, floating = model.graph, onnx.TensorProto.FLOAT
    _round_weights(graph)
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


def _round_weights(graph: Any) -> None:
    from onnx import TensorProto
    from onnx.numpy_helper import from_array, to_array

    for weight in graph.initializer:
        if weight.data_type == TensorProto.FLOAT:
            half = np.clip(to_array(weight), -LARGEST_HALF, LARGEST_HALF).astype(np.float16)
            weight.CopyFrom(from_array(half.astype(np.float32), weight.name))


def _rounding(source: str, target: str) -> list[Any]:
    """Return the nodes that round a value to fp16 and give it back in fp32."""
    from onnx import TensorProto, helper

    half = f"{source}{_HALF}_bits"
    return [
        helper.make_node("Cast", [source], [half], to=TensorProto.FLOAT16),
        helper.make_node("Cast", [half], [target], to=TensorProto.FLOAT),
    ]
