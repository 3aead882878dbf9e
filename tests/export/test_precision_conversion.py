from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from g2l.errors import OperationalError
from g2l.export import precision
from g2l.export.precision import Video, class_convolutions, half, quantized, rounded


def chain(first, second):
    """An ONNX model of two convolutions over time with a single weight each."""

    def value(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1, "frames"])

    weights = [
        helper.make_tensor(name, TensorProto.FLOAT, (1, 1, 1), [weight])
        for name, weight in {"a": first, "b": second}.items()
    ]
    nodes = [
        helper.make_node("Conv", ["features", "a"], ["middle"]),
        helper.make_node("Conv", ["middle", "b"], ["probabilities"]),
    ]
    graph = helper.make_graph(nodes, "graph", [value("features")], [value("probabilities")], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model, *features):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"features": np.array([[features]], np.float32)})[0][0, 0].tolist()


def test_every_number_on_the_way_is_one_of_fp16():
    model = rounded(chain(1 / 3, 3.0))
    onnx.checker.check_model(model, full_check=True)
    third = np.float16(1 / 3)
    for feature in (1.0001, 100.03, 2049.0):
        middle = np.float16(np.float32(np.float16(feature)) * np.float32(third))
        assert run(model, feature) == [float(np.float16(np.float32(middle) * 3))]


def test_what_overflows_on_a_gpu_does_here_and_not_in_the_fp16_model_on_a_cpu():
    # 300 × 300 is beyond fp16, though features, weights and the result are not.
    assert run(rounded(chain(300.0, 1 / 300)), 300.0, 1.0) == [np.inf, pytest.approx(1.0, abs=2e-3)]
    assert run(half(chain(300.0, 1 / 300)), 300.0) == [pytest.approx(300, abs=1)]


def test_int8_multiplies_integers_but_for_the_class_scores(proto, videos):
    result, frames = quantized(proto, videos, frame_mask=False)
    kinds = {weight.name: weight.data_type for weight in result.graph.initializer}
    int8 = [name for name, kind in kinds.items() if kind == onnx.TensorProto.INT8 and "weight_quant" in name]
    scores = class_convolutions(proto)
    assert len(scores) == 2  # one per stage
    convolutions = [node for node in result.graph.node if node.op_type == "Conv"]
    assert sum(node.name in scores for node in convolutions) == 2
    for node in convolutions:
        assert (kinds.get(node.input[1]) == onnx.TensorProto.FLOAT) == (node.name in scores)
    weights = {weight.name: numpy_helper.to_array(weight) for weight in result.graph.initializer}
    assert int8
    for name in int8:  # one scale per output channel
        assert weights[name.replace("_quantized", "_scale")].shape == weights[name].shape[:1]
    assert frames == 480


def test_calibration_takes_the_middle_of_some_videos_in_chunks(monkeypatch):
    monkeypatch.setattr(precision, "CALIBRATION_VIDEOS", 2)
    monkeypatch.setattr(precision, "CALIBRATION_FRAMES", 14)
    monkeypatch.setattr(precision, "CHUNK_FRAMES", 4)

    def numbered(video, frames):
        return Video(str(video), lambda: (100 * video + np.arange(frames, dtype=np.float32))[None])

    videos = [numbered(0, 3), numbered(1, 50), numbered(2, 11), numbered(3, 50)]
    reader = precision._Calibration(videos, frame_mask=True)
    pieces = list(iter(reader.get_next, None))
    assert [piece["features"][0, 0].tolist() for piece in pieces] == [
        [0, 1, 2],
        [202, 203, 204, 205],
        [206, 207, 208],
    ]
    assert [piece["frame_mask"].shape for piece in pieces] == [(1, 1, 3), (1, 1, 4), (1, 1, 3)]
    assert reader.frames == 10
    assert reader.get_next() is None


def test_a_network_that_cannot_be_quantised_is_told_in_one_line(videos):
    with pytest.raises(OperationalError, match=r"^onnxruntime cannot quantise this network: [^\n]*$"):
        quantized(onnx.ModelProto(), videos, frame_mask=False)
