from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from g2l.errors import OperationalError
from g2l.export.precision_comparison import Video, compare_on_videos, random_videos
from g2l.structure import DilationStructure


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


def video(rows, truth=None):
    return Video("v", lambda: np.array(rows, np.float32).T, None if truth is None else np.array(truth))


def compare(reduced, videos, exact=SAME, frame_mask=False):
    return compare_on_videos(exact, reduced, videos, background=[0], frame_mask=frame_mask)


def test_labels_segments_and_probabilities_are_compared_frame_by_frame():
    # Doubling the first row changes the second frame's class from 1 to 0, and no other.
    first = video([(0.9, 0.1, 0), (0.4, 0.6, 0), (0.1, 0.9, 0), (0.1, 0.9, 0)], truth=[0, 1, 1, 1])
    second = video([(0, 0, 1)] * 4, truth=[2, 2, 2, 2, 2])
    found = compare(DOUBLED, [first, second])
    assert (found.videos, found.frames, found.nan_frames) == (2, 8, 0)
    assert found.agreement == 87.5
    assert found.max_difference == pytest.approx(0.9)
    # Of fp32: 0 [0, 1), 1 [1, 4) and 2. The reduced one's 0 [0, 2) has an overlap of 1/2, 1 [2, 4) of 2/3.
    assert found.f1 == 100.0
    assert found.f1_change == 0.0
    assert found.speed > 0


def test_f1_to_the_truth_is_that_of_the_reduced_model_minus_that_of_fp32():
    rows = [(0.1, 0.9, 0), (0.7, 0.8, 0), (0.1, 0.9, 0)]
    found = compare(DOUBLED, [video(rows, truth=[1, 1, 1])])
    # Class 0 is background: 1 stands in two pieces of a third each, so at 10 and 25 % one is a hit.
    f1 = (200 / 3 + 200 / 3 + 0) / 3
    assert found.f1_change == pytest.approx(f1 - 100)
    assert compare(DOUBLED, [video(rows)]).f1_change is None


def test_frames_that_are_nan_count_as_lost():
    found = compare(BROKEN, [video([(0, 1, 0)] * 4)])
    assert (found.nan_frames, found.agreement, found.max_difference) == (4, 0.0, 0.0)


def test_nan_of_fp32_is_an_error_of_its_own():
    with pytest.raises(OperationalError, match="v: the fp32 model gives NaN; nothing was written"):
        compare(SAME, [video([(0, 1, 0)])], exact=BROKEN)


def test_models_with_a_frame_mask_get_one():
    masked = scaled([1, 1, 1], masked=True)
    assert compare(masked, [video([(0, 1, 0)] * 3)], exact=masked, frame_mask=True).agreement == 100.0


def test_random_videos_have_the_lengths_of_an_export_check():
    videos = random_videos(DilationStructure(((1, 8),)), 3)
    assert [video.load().shape for video in videos] == [(3, 1), (3, 7), (3, 11), (3, 21)]
    assert compare(SAME, videos).agreement == 100.0
