from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from g2l.errors import InputError, OperationalError
from g2l.inference.predictor import Predictor, ahead

ROOT = Path(__file__).parents[2]


def test_predictions_come_in_order_at_full_rate(fake_session, video):
    paths = [video("b", [0, 0, 1, 1, 2, 2, 1]), video("a", [2]), video("c.d", [1, 2])]
    session = fake_session()
    results = list(Predictor(session).predict(paths))
    assert [result.name for result in results] == ["b", "a", "c.d"]
    assert [result.labels.tolist() for result in results] == [[0, 0, 1, 1, 2, 2, 1], [2], [1, 1]]
    assert [value.shape for value in session.seen] == [(6, 4), (6, 1), (6, 1)]
    for result in results:
        assert result.probabilities.shape == (3, len(result.labels))
        assert result.probabilities[result.labels, np.arange(len(result.labels))].min() == 1


def test_a_failing_runtime_and_nan_are_failures_of_the_video(fake_session, video):
    session = fake_session()

    def fail(features):
        if features.shape[1] == 1:
            raise OperationalError("onnxruntime failed: out of memory")
        return np.full((3, features.shape[1]), np.nan, np.float32)

    session.probabilities = fail
    first, second = Predictor(session).predict([video("short", [0]), video("long", [0, 1, 2])])
    assert first.error.message.endswith("short.npy: onnxruntime failed: out of memory")
    assert "long.npy: the model gives NaN" in second.error.message


def test_a_video_too_large_for_memory_is_a_failure(fake_session, video, monkeypatch):
    session = fake_session()
    predictor = Predictor(session)
    monkeypatch.setattr("g2l.inference.loading._new_array", refuse)
    (result,) = predictor.predict([video("a", [0])])
    assert "a.npy: does not fit into memory" in result.error.message
    assert not session.seen


def names():
    return {thread.name.partition("_")[0] for thread in threading.enumerate()}


def refuse(size):
    raise MemoryError


def test_one_video_is_read_while_one_is_computed_and_no_more(fake_session, video, monkeypatch):
    lengths = [3, 5, 7, 9, 11, 13]
    read, computed = [], []
    second_is_read = threading.Event()

    def note(features, metadata, statistics=None, *, out=None):
        read.append(features.shape[1])
        if len(read) == 2:
            second_is_read.set()
        return features

    def compute(features):
        assert second_is_read.wait(timeout=30)
        computed.append(features.shape[1])
        assert len(read) <= len(computed) + 1
        return features[:3].copy()

    monkeypatch.setattr("g2l.inference.loading.prepare", note)
    session = fake_session(sample_rate=1)
    session.probabilities = compute
    results = Predictor(session).predict([video(f"v{n}", [0] * n) for n in lengths])
    assert [len(result.labels) for result in results] == lengths == read == computed


def test_a_bug_in_a_thread_is_raised_where_the_results_are_taken(fake_session, video):
    session = fake_session()
    session.probabilities = lambda features: 1 / 0
    with pytest.raises(ZeroDivisionError):
        list(Predictor(session).predict([video("a", [0]), video("b", [0])]))
    assert not {"g2l-read", "g2l-infer"} & names()


def test_predicting_by_onnx_needs_no_torch():
    code = (
        "import sys; import g2l.inference.predictor, g2l.inference.sessions, g2l.inference.writers, "
        "g2l.inference.evaluate; assert not {'torch', 'matplotlib', 'sklearn'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_nothing_to_predict_is_told_before_anything_is_read(fake_session, video, tmp_path):
    predict = Predictor(fake_session()).predict
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"expected feature files .* but the folder holds none"):
        predict([tmp_path / "empty"])
    with pytest.raises(InputError, match=r"gone.npy: no such file or folder"):
        predict([video("a", [0]), tmp_path / "gone.npy"])
    with pytest.raises(InputError, match="`features` must name at least one feature file"):
        predict([])


def alive():
    return any(thread.name.startswith("worker") for thread in threading.enumerate())


@pytest.mark.parametrize("depth", [0, 3])
def test_closing_ends_a_chain_of_threads_and_closes_what_they_read(depth):
    closed = []

    def numbers():
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.append("numbers")

    def doubled(items):
        try:
            for item in items:
                yield 2 * item
        finally:
            items.close()
            closed.append("doubled")

    results = ahead(doubled(ahead(numbers(), depth, "worker")), depth, "worker")
    assert [next(results) for _ in range(4)] == [0, 2, 4, 6]
    results.close()
    assert closed == ["numbers", "doubled"]
    assert not alive()
