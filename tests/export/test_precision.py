from __future__ import annotations

from pathlib import Path

import pytest

from g2l.errors import OperationalError
from g2l.export.precision import Inputs, Precision, PrecisionReport, accept

PATH = Path("model.onnx")


def report_of(**changes):
    values = {
        "precision": Precision.INT8,
        "inputs": Inputs.VIDEOS,
        "videos": 2,
        "frames": 1000,
        "agreement": 99.5,
        "f1": 98.5,
        "max_difference": 0.1,
        "size": 40.0,
    }
    return PrecisionReport(**values | changes)


@pytest.mark.parametrize(
    "changes",
    [{}, {"agreement": 99.0, "f1": 98.0, "f1_change": -2.0}, {"f1": None}, {"f1_change": 3.0}],
)
def test_what_is_good_enough_is_kept_as_it_is(changes):
    report = report_of(**changes)
    assert accept(report, PATH, force=False) == report
    assert accept(report, PATH, force=True).forced is False


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"agreement": 98.94},
            "the int8 model keeps 98.9 % of the labels of fp32 where 99 % are needed; not",
        ),
        ({"f1": 97.9}, "the int8 model has F1 97.9 against its segments where 98 is needed; nothing"),
        (
            {"f1_change": -2.1},
            "the int8 model loses 2.1 points of F1 to the ground truth where 2 are allowed",
        ),
        (
            {"agreement": 60.0, "f1": 50.0},
            "keeps 60.0 % of the labels of fp32 where 99 % are needed and has F1 50.0 against its segments",
        ),
        (
            {"precision": Precision.FP16, "agreement": 90.0, "nan_frames": 100},
            "the fp16 model keeps 90.0 % of the labels of fp32, 100 of 1000 frames being NaN, where 99 % are",
        ),
    ],
)
def test_what_falls_short_is_refused_with_what_was_found_and_needed(changes, message, caplog):
    report = report_of(**changes)
    with pytest.raises(OperationalError) as caught:
        accept(report, PATH, force=False)
    assert message in caught.value.message
    assert caught.value.message.startswith("model.onnx: ")
    assert caught.value.hint
    assert not caplog.messages


def test_force_keeps_it_and_says_so(caplog):
    kept = accept(report_of(agreement=50.0), PATH, force=True)
    assert kept.forced
    assert kept.as_dict()["forced"] is True
    (said,) = caplog.messages
    assert "keeps 50.0 % of the labels" in said
    assert "--force" in said


def test_numbers_that_are_not_known_are_left_out():
    assert report_of(f1=None).measured == {
        "agreement": 99.5,
        "max_difference": 0.1,
        "nan_frames": 0.0,
        "size": 40.0,
    }
    assert {"f1", "f1_change"} <= report_of(f1_change=0.5).measured.keys()
