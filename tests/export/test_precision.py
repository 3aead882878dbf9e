from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from g2l.errors import OperationalError
from g2l.export.precision import (
    Precision,
    PrecisionReport,
    Video,
    compare_on_videos,
    reduce_precision,
)

PATH = Path("model.onnx")


def report_of(**changes):
    values = {
        "precision": Precision.INT8,
        "inputs": "videos",
        "videos": 2,
        "frames": 1000,
        "agreement": 99.5,
        "f1": 98.5,
        "max_difference": 0.1,
        "size": 40.0,
    }
    return PrecisionReport(**values | changes)


@pytest.mark.parametrize(
    "changes", [{"agreement": 99.0, "f1": 98.0, "f1_change": -2.0}, {"f1": None}, {"f1_change": 3.0}]
)
def test_what_is_good_enough_is_kept_as_it_is(changes):
    report = report_of(**changes)
    assert report.accepted(PATH, force=False) == report == report.accepted(PATH, force=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"f1_change": -2.1}, "the int8 model loses 2.1 points of F1 .* where 2 are allowed"),
        ({"agreement": 60.0, "f1": 50.0}, "keeps 60.0 % .* where 99 % are needed and has F1 50.0 .* 98 is"),
        (
            {"precision": Precision.FP16, "agreement": 90.0, "nan_frames": 100},
            "the fp16 model keeps 90.0 % .* 100 of 1000 frames being NaN, where 99 % are",
        ),
    ],
)
def test_what_falls_short_is_refused_unless_forced(changes, message, caplog):
    report = report_of(**changes)
    with pytest.raises(OperationalError, match=rf"^model\.onnx: .*{message}") as caught:
        report.accepted(PATH, force=False)
    assert caught.value.hint
    assert not caplog.messages
    assert report.accepted(PATH, force=True).forced
    assert "--force" in caplog.text


def scaled(factor, *, masked=False):
    """An ONNX model that is features × factor (3, 1) [× frame_mask]."""

    def value(name, rows):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", rows, "frames"])

    weight = helper.make_tensor("factor", TensorProto.FLOAT, (3, 1), factor)
    nodes = [helper.make_node("Mul", ["features", "factor"], ["scaled" if masked else "probabilities"])]
    inputs = [value("features", 3)]
    if masked:
        nodes.append(helper.make_node("Mul", ["scaled", "frame_mask"], ["probabilities"]))
        inputs.append(value("frame_mask", 1))
    graph = helper.make_graph(nodes, "graph", inputs, [value("probabilities", 3)], [weight])
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


SAME, DOUBLED, BROKEN = scaled([1, 1, 1]), scaled([2, 1, 1]), scaled([float("nan"), 1, 1])


def made(rows, truth=None):
    return Video("v", lambda: np.array(rows, np.float32).T, None if truth is None else np.array(truth))


def compare(reduced, videos, exact=SAME, frame_mask=False):
    return compare_on_videos(
        exact, reduced, videos, precision=Precision.INT8, background=[0], frame_mask=frame_mask
    )


def test_labels_segments_and_probabilities_are_compared_frame_by_frame():
    # Doubling the first row changes the second frame's class from 1 to 0, and no other.
    first = made([(0.9, 0.1, 0), (0.4, 0.6, 0), (0.1, 0.9, 0), (0.1, 0.9, 0)], truth=[0, 1, 1, 1])
    second = made([(0, 0, 1)] * 4, truth=[2, 2, 2, 2, 2])
    found = compare(DOUBLED, [first, second])
    assert (found.videos, found.frames, found.nan_frames) == (2, 8, 0)
    assert found.agreement == 87.5
    assert found.max_difference == pytest.approx(0.9)
    # Of fp32: 0 [0, 1), 1 [1, 4) and 2. The reduced one's 0 [0, 2) has an overlap of 1/2, 1 [2, 4) of 2/3.
    assert found.f1 == 100.0
    assert found.f1_change == 0.0


def test_f1_to_the_truth_is_that_of_the_reduced_model_minus_that_of_fp32():
    rows = [(0.1, 0.9, 0), (0.7, 0.8, 0), (0.1, 0.9, 0)]
    found = compare(DOUBLED, [made(rows, truth=[1, 1, 1])])
    # Class 0 is background: 1 stands in two pieces of a third each, so at 10 and 25 % one is a hit.
    f1 = (200 / 3 + 200 / 3 + 0) / 3
    assert found.f1_change == pytest.approx(f1 - 100)
    assert compare(DOUBLED, [made(rows)]).f1_change is None


def test_frames_that_are_nan_count_as_lost():
    found = compare(BROKEN, [made([(0, 1, 0)] * 4)])
    assert (found.nan_frames, found.agreement, found.max_difference) == (4, 0.0, 0.0)


def test_nan_of_fp32_is_an_error_of_its_own():
    with pytest.raises(OperationalError, match="v: the fp32 model gives NaN; nothing was written"):
        compare(SAME, [made([(0, 1, 0)])], exact=BROKEN)


def reduce(proto, metadata, precision, videos):
    return reduce_precision(proto, precision, videos, metadata, frame_mask=False)


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8])
def test_a_trained_network_keeps_its_labels_and_segments(precision, proto, metadata, videos, capfd):
    before = proto.SerializeToString()
    result, found = reduce(proto, metadata, precision, videos)
    assert capfd.readouterr() == ("", "")
    assert proto.SerializeToString() == before
    assert (found.precision, found.inputs, found.videos, found.frames) == (precision, "videos", 4, 480)
    assert found.accepted(PATH, force=False) == found
    assert abs(found.f1_change) <= 2
    assert found.calibration_frames == (480 if precision is Precision.INT8 else 0)
    assert {entry.domain for entry in result.opset_import} == {""}
    again, _ = reduce(proto, metadata, precision, videos)
    assert again.SerializeToString(deterministic=True) == result.SerializeToString(deterministic=True)
