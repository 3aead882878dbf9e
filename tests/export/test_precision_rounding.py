from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from g2l.export.precision_conversion import half
from g2l.export.precision_rounding import rounded


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


def test_the_original_and_large_weights():
    proto = chain(1e6, 1.0)
    before = proto.SerializeToString()
    assert run(rounded(proto), 1.0) == [65504.0]
    assert proto.SerializeToString() == before
