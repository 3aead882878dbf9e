from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import classification_report

from g2l.errors import InputError
from g2l.metrics.per_class import confusion, per_class_report

NAMES = ("take", "accuracy", "never")
ABSENT_ROW = {"precision": None, "recall": None, "f1-score": None, "support": 0}
FRAMES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=30)


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def arrays(pairs) -> tuple[np.ndarray, np.ndarray]:
    return np.array([a for a, _ in pairs], np.int64), np.array([b for _, b in pairs], np.int64)


def report_of(predicted, truth, names):
    return per_class_report(confusion(predicted, truth, names), names)


def test_literal_numbers_and_a_class_that_is_absent():
    frames = confusion(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), NAMES)
    assert frames.tolist() == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    report = per_class_report(frames, NAMES)
    take = {"precision": 50.0, "recall": 100.0, "f1-score": pytest.approx(200 / 3), "support": 1}
    other = {
        "precision": 100.0,
        "recall": pytest.approx(200 / 3),
        "f1-score": pytest.approx(80),
        "support": 3,
    }
    assert report["classes"] == {"take": take, "accuracy": other, "never": ABSENT_ROW}


def test_no_frames_and_one_frame():
    nothing = np.array([], np.int64)
    assert report_of(nothing, nothing, NAMES)["classes"]["take"] == ABSENT_ROW
    assert confusion(nothing, nothing, NAMES).tolist() == [[0] * 3] * 3
    assert confusion(nothing, nothing, ()).shape == (0, 0)
    assert report_of(np.array([1]), np.array([1]), NAMES)["classes"]["accuracy"]["f1-score"] == 100.0


@given(pairs=FRAMES.filter(bool))
def test_scores_are_those_of_scikit_learn_over_single_frames(pairs):
    predicted, truth = arrays(pairs)
    present = sorted({label for pair in pairs for label in pair})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = classification_report(truth, predicted, labels=present, output_dict=True, zero_division=0)
    report = report_of(predicted, truth, NAMES)
    for label in present:
        row = {score: 100 * value for score, value in expected[str(label)].items() if score != "support"}
        assert report["classes"][NAMES[label]] == pytest.approx(
            row | {"support": expected[str(label)]["support"]}
        )


def test_an_index_outside_the_classes_is_named():
    with pytest.raises(InputError, match=r"^`truth` must hold .* in \[0, 3\), but holds -100"):
        confusion(np.array([0, 0]), np.array([0, -100]), NAMES)


def test_small_and_unsigned_labels_count_like_any():
    names = [f"class {index}" for index in range(100)]
    predicted, truth = np.array([99, 98, 99], "uint8"), np.array([99, 99, 98], "uint8")
    assert confusion(predicted, truth, names)[98:, 98:].tolist() == [[0, 1], [1, 1]]
