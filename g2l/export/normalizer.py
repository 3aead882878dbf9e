"""The normalisation of features as the first nodes of an ONNX graph, so that any runtime takes raw features.

They compute what `g2l.datasets.normalize` does: statistics in float64, rows that hardly vary become 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from g2l.config import Normalization
from g2l.datasets.normalize import SMALLEST_STD, reciprocal
from g2l.models.metadata import STANDARDIZED, ModelMetadata

_ALL_FRAMES = """
    g2l_sum = ReduceSum (g2l_exact, g2l_time)
    g2l_frames = Shape <start = 2, end = 3> (features)
    g2l_count = Cast <to = 11> (g2l_frames)
    g2l_mean = Div (g2l_sum, g2l_count)
    g2l_centered = Sub (g2l_exact, g2l_mean)
"""
_VALID_FRAMES = """
    g2l_weights = Cast <to = 11> (frame_mask)
    g2l_weighted = Mul (g2l_exact, g2l_weights)
    g2l_sum = ReduceSum (g2l_weighted, g2l_time)
    g2l_valid = ReduceSum (g2l_weights, g2l_time)
    g2l_one = Constant <value = double {{1}}> ()
    g2l_count = Max (g2l_valid, g2l_one)
    g2l_mean = Div (g2l_sum, g2l_count)
    g2l_difference = Sub (g2l_exact, g2l_mean)
    g2l_centered = Mul (g2l_difference, g2l_weights)
"""
_VIDEO = """
standardize () => (float[batch, rows, frames] standardized_features) {{
    g2l_exact = Cast <to = 11> (features)
    g2l_time = Constant <value_ints = [2]> ()
    {statistics}
    g2l_squares = Mul (g2l_centered, g2l_centered)
    g2l_squared = ReduceSum (g2l_squares, g2l_time)
    g2l_variance = Div (g2l_squared, g2l_count)
    g2l_std = Sqrt (g2l_variance)
    g2l_smallest = Constant <value = double {{{smallest}}}> ()
    g2l_varies = GreaterOrEqual (g2l_std, g2l_smallest)
    g2l_divisor = Max (g2l_std, g2l_smallest)
    g2l_factor = Reciprocal (g2l_divisor)
    g2l_zero = Constant <value = double {{0}}> ()
    g2l_kept = Where (g2l_varies, g2l_factor, g2l_zero)
    g2l_mean32 = Cast <to = 1> (g2l_mean)
    g2l_scale = Cast <to = 1> (g2l_kept)
    g2l_shifted = Sub (features, g2l_mean32)
    standardized_features = Mul (g2l_shifted, g2l_scale)
}}
"""
_TRAIN = """
standardize () => (float[batch, rows, frames] standardized_features) {
    g2l_shifted = Sub (features, g2l_mean)
    standardized_features = Mul (g2l_shifted, g2l_scale)
}
"""


def with_normalization(proto: Any, metadata: ModelMetadata, *, frame_mask: bool) -> Any:
    """Return an `onnx.ModelProto` that takes raw features; `proto` itself where the model does not normalise.

    All nodes up to the value `STANDARDIZED` are of the normalisation. With a frame mask, statistics are of
    the valid frames.
    """
    if metadata.normalize is Normalization.NONE:
        return proto
    import onnx

    model = onnx.ModelProto.FromString(proto.SerializeToString())
    graph = model.graph
    _rename(graph, "features", STANDARDIZED)
    if metadata.normalize is Normalization.TRAIN:
        text = _TRAIN
        mean, scale = np.asarray(metadata.mean, np.float32), reciprocal(np.asarray(metadata.std))
        for name, values in (("g2l_mean", mean), ("g2l_scale", scale)):
            graph.initializer.append(onnx.numpy_helper.from_array(values[None, :, None], name))
    else:
        statistics = (_VALID_FRAMES if frame_mask else _ALL_FRAMES).format()
        text = _VIDEO.format(statistics=statistics, smallest=f"{SMALLEST_STD:.17g}")
    nodes = [*onnx.parser.parse_graph(text).node, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def describe_input(metadata: ModelMetadata) -> str:
    """Return in one sentence what the features of an exported model are."""
    rate = metadata.sample_rate
    sampled = "every frame" if rate == 1 else f"frames 0, {rate}, {2 * rate}, ..."
    divided = "and divides by its deviation"
    inside = {
        Normalization.NONE: "they are not normalised",
        Normalization.VIDEO: f"the graph subtracts the mean of each row over the frames of a video {divided}",
        Normalization.TRAIN: f"the graph subtracts the mean of each row over the training frames {divided}",
    }
    return f"`features` are those of the feature file, {sampled}, in float32; {inside[metadata.normalize]}."


def _rename(graph: Any, old: str, new: str) -> None:
    """Let all nodes of a graph, those of its subgraphs included, read another value."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner, old, new)
