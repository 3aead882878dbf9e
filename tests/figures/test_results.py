from __future__ import annotations

import pytest

from g2l.figures.results import Costed, HoldoutCurve, context_curve, front, receptive_fields


def lines(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_a_curve_is_the_smoothed_mean_as_far_as_all_trainings_have_come():
    curve = HoldoutCurve.of([[10.0, 30.0, 20.0], [20.0, 40.0]])
    assert (curve.scores, curve.best, curve.rising) == ((15.0, 35.0), 2, True)
    assert curve.words == "best at epoch 2 of 2 (35.0), still rising at the end"
    flat = HoldoutCurve.of([[10.0, 30.0, 30.0, 30.0, 29.0, 28.0]])
    assert (flat.best, flat.rising) == (2, False)


def test_the_front_joins_its_structures_and_marks_the_chosen_one():
    points = [
        Costed(name="4×10", multiply_adds=8e5, score=0.0),
        Costed(name="8,5,5", multiply_adds=4e5, score=-0.5, low=-1.5, high=0.5),
        Costed(name="3×6", multiply_adds=4.5e5, score=-2.0),
    ]
    (axes,) = front(points, ["8,5,5", "4×10"], "8,5,5", "F1").axes
    assert lines(axes)["front: none is cheaper and better"].get_xydata().tolist() == [[0.4, -0.5], [0.8, 0.0]]
    (bar,) = [one for one in axes.containers if one.get_label() == "chosen"]
    assert bar.lines[0].get_xydata().tolist() == [[0.4, -0.5]]
    assert bar.lines[2][0].get_segments()[0][:, 1].tolist() == pytest.approx([-1.5, 0.5])
    assert [text.get_text() for text in axes.texts] == ["4×10", "8,5,5", "3×6"]


def test_context_is_in_seconds_where_they_are_known():
    for unit, fields, word in ((0.1, [0.5, 2.9], "s"), (None, [5, 29], "frames")):
        scores = {"F1": [50.0, 60.0], "edit": [40.0, 41.0]}
        (axes,) = context_curve([5, 29], scores, error=1.5, needed=1, seconds_per_frame=unit).axes
        assert axes.get_xlabel() == f"receptive field ({word})"
        bars = next(one for one in axes.containers if one.get_label() == "F1 (90 % interval)")
        assert bars.lines[0].get_xdata().tolist() == pytest.approx(fields)
        assert bars.lines[2][0].get_segments()[0][:, 1].tolist() == [48.5, 51.5]
        assert lines(axes)["suffices"].get_xdata()[0] == pytest.approx(fields[1])


def test_a_receptive_field_has_a_bar_for_each_stage_from_past_to_future():
    (axes,) = receptive_fields({"a": [(5, 5), (9, 0)], "b": [(1, 1)]}, 0.5).axes
    bars = sorted((bar.get_y() > 0.5, bar.get_x(), bar.get_width()) for bar in axes.patches)
    assert bars == [(False, -4.5, 4.5), (False, -2.5, 5.0), (True, -0.5, 1.0)]
    assert axes.get_xlabel().startswith("seconds before")
