from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.config import BackboneConfig, Normalization
from g2l.errors import InputError, OperationalError
from g2l.export.onnx_export import export_onnx
from g2l.inference.loading import prepare
from g2l.inference.predictor import Predictor
from g2l.inference.sessions import TorchSession, open_session
from g2l.inference.streaming import StreamingPredictor
from g2l.models.metadata import ModelMetadata
from g2l.models.registry import build_backbone
from g2l.receptive_field import Ending, convert, describe, finish
from g2l.structure import DilationStructure

RATES = {"ms-tcn": ((1, 5, 3), (2,)), "ms-tcn++": ((1, 7, 4, 2), (3,))}


def model(name="ms-tcn", *, causal=False, rates=None, **changes):
    """A small random network, whose logits differ clearly between frames, and what describes it."""
    metadata = ModelMetadata(
        structure=DilationStructure(rates or RATES[name]),
        backbone=BackboneConfig(name=name, feature_maps=4, causal=causal),
        classes=("background", "cut", "pour"),
        feature_dim=5,
        **changes,
    )
    torch.manual_seed(1)
    network = build_backbone(metadata.backbone, metadata.structure, feature_dim=5, num_classes=3)
    with torch.no_grad():
        for weight in network.parameters():
            weight *= 2
    return network, metadata


def features(frames, seed=0):
    return np.random.default_rng(seed).standard_normal((5, frames), dtype=np.float32)


def offline(session, video):
    """Labels (T,) and probabilities (C, T) of the whole video at once."""
    rate = session.metadata.sample_rate
    sampled = session.probabilities(prepare(np.ascontiguousarray(video[:, ::rate]), session.metadata))
    probabilities = sampled.repeat(rate, axis=1)[:, : video.shape[1]]
    return probabilities.argmax(axis=0), probabilities


def stream(predictor, video, sizes):
    """All that a stream emits, and how many frames were labelled after each chunk."""
    results, stops, start = [], [], 0
    while start < video.shape[1]:
        size = sizes[len(results) % len(sizes)]
        results.append(predictor.push(video[:, start : start + size]))
        start += size
        stops.append(results[-1].start + len(results[-1].labels))
    results.append(predictor.finish())
    return results, stops


def check_equal(session, video, sizes):
    results, _ = stream(StreamingPredictor(session), video, sizes)
    labels, probabilities = offline(session, video)
    starts = np.cumsum([0, *(len(result.labels) for result in results[:-1])])
    assert [result.start for result in results] == starts.tolist()
    np.testing.assert_array_equal(np.concatenate([result.labels for result in results]), labels)
    found = np.concatenate([result.probabilities for result in results], axis=1)
    np.testing.assert_allclose(found, probabilities, rtol=0, atol=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(sorted(RATES)),
    causal=st.booleans(),
    frames=st.integers(1, 90),
    rate=st.integers(1, 4),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    train=st.booleans(),
)
def test_a_stream_is_labelled_as_the_whole_video(name, causal, frames, rate, sizes, train):
    statistics = {"normalize": Normalization.TRAIN, "mean": (0.5,) * 5, "std": (2.0,) * 4 + (0.0,)}
    network, metadata = model(name, causal=causal, sample_rate=rate, **(statistics if train else {}))
    check_equal(TorchSession(network, metadata), features(frames), sizes)


@pytest.mark.parametrize("ending", [Ending.MULTIPLE, Ending.MERGE])
def test_branches_see_further_than_the_structure_says(ending):
    network, metadata = model(rates=((1, 9), (6, 2)))
    convert(network, max_rate=32, expansion_rate=0.5)
    finish(network, ending)
    described = replace(metadata, layers=describe(network))
    assert described.receptive_field.future > metadata.receptive_field.future
    session = TorchSession(network, described)
    assert StreamingPredictor(session).delay == described.receptive_field.future
    check_equal(session, features(150), [11, 1])


def test_an_exported_causal_model_streams_as_its_file_is_predicted(tmp_path):
    network, metadata = model(causal=True, sample_rate=3)
    export_onnx(network.eval(), metadata, tmp_path / "model.onnx")
    np.save(tmp_path / "video.npy", features(200).astype(np.float64))
    session = open_session(tmp_path / "model.onnx", "cpu")
    (whole,) = Predictor(session).predict([tmp_path / "video.npy"])
    results, stops = stream(StreamingPredictor(session), np.load(tmp_path / "video.npy"), [1, 17, 4])
    np.testing.assert_array_equal(np.concatenate([result.labels for result in results]), whole.labels)
    found = np.concatenate([result.probabilities for result in results], axis=1)
    np.testing.assert_allclose(found, whole.probabilities, rtol=0, atol=1e-6)
    assert stops[:4] == [1, 18, 22, 23]
    assert stops[-1] == 200
    assert len(results[-1].labels) == 0


def test_labels_come_as_soon_as_no_later_frame_can_change_them():
    network, metadata = model(sample_rate=2, fps=10.0)  # sees 1 + 5 + 3 + 2 frames ahead, of every second one
    predictor = StreamingPredictor(TorchSession(network, metadata))
    assert predictor.delay == 22
    assert predictor.delay_s == 2.2
    results, stops = stream(predictor, features(30), [1])
    # Frame 22 is the first that the label of frames 0 and 1 waits for.
    assert stops == [0] * 22 + [2, 2, 4, 4, 6, 6, 8, 8]
    assert (results[-1].start, len(results[-1].labels)) == (8, 22)


def test_memory_is_bounded_by_what_a_label_sees(fake_session):
    session = fake_session()  # rates 1 and 4, every second frame: 5 frames before and 5 after
    predictor = StreamingPredictor(session)
    for start in range(0, 3000, 7):
        predictor.push(np.full((6, 7), start, np.float32))
    assert max(value.shape[1] for value in session.seen) == 5 + 1 + 5 + 4 - 1
    assert predictor._kept.base is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"backbone": BackboneConfig(name="asformer", stages=1, layers=2)},
            "labels of asformer depend on the whole video",
        ),
        (
            {"backbone": BackboneConfig(name="mine:build", stages=1, layers=2)},
            "labels of mine:build depend on the whole video, or may do so",
        ),
        ({"normalize": Normalization.VIDEO}, "normalised by the mean and deviation of the whole video"),
    ],
)
def test_what_cannot_stream_is_refused(fake_session, change, reason):
    with pytest.raises(InputError, match=f"^the model cannot label a stream: .*{reason}"):
        StreamingPredictor(fake_session(**change))


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (np.zeros((5, 3)), r"shape 6 × frames .* but are float64 of shape \(5, 3\) instead"),
        (np.zeros((6, 0)), r"of shape \(6, 0\) instead"),
        (np.zeros(6), r"of shape \(6,\) instead"),
        (np.zeros((6, 2), object), "but are object of shape"),
        (np.full((6, 2), np.nan), "must be finite, but those of frame 4 are not"),
        (np.full((6, 2), 1e300), "must be finite, but those of frame 4 are not"),
    ],
)
def test_wrong_chunks_are_told_and_change_nothing(fake_session, chunk, message):
    predictor = StreamingPredictor(fake_session())
    predictor.push(np.zeros((6, 4), np.float32))
    with pytest.raises(InputError, match=message):
        predictor.push(chunk)
    assert len(predictor.finish().labels) == 4


def test_a_failing_runtime_leaves_the_stream_as_it_was(fake_session):
    session = fake_session(sample_rate=1)
    predictor, run = StreamingPredictor(session), session.probabilities

    def fail(features):
        raise OperationalError("onnxruntime failed: out of memory")

    session.probabilities = fail
    with pytest.raises(OperationalError, match="out of memory"):
        predictor.push(np.ones((6, 20), np.float32))
    session.probabilities = lambda features: np.full((3, features.shape[1]), np.nan, np.float32)
    with pytest.raises(OperationalError, match="the model gives NaN"):
        predictor.push(np.ones((6, 20), np.float32))
    session.probabilities = run
    assert len(predictor.push(np.ones((6, 20), np.float32)).labels) == 15
    assert len(predictor.finish().labels) == 5


def test_the_end_is_the_end(fake_session):
    predictor = StreamingPredictor(fake_session())
    assert predictor.finish().probabilities.shape == (3, 0)
    assert len(predictor.finish().labels) == 0
    with pytest.raises(InputError, match="the stream is finished"):
        predictor.push(np.zeros((6, 1), np.float32))
