"""Features are normalised inside the file: plain onnxruntime takes them as the feature files hold them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from g2l.config import Normalization
from g2l.datasets.normalize import normalize
from g2l.export.normalizer import with_normalization
from g2l.export.onnx_export import export_onnx
from g2l.export.precision import Precision
from g2l.inference.predictor import Predictor
from g2l.inference.sessions import open_session
from g2l.models.metadata import METADATA_KEY

MEAN, STD = (0.0, 100.0, -3.0, 0.5, 7.0, 1e-3), (1.0, 20.0, 0.0, 2.0, 1e-9, 5.0)


def raw(frames, seed=0):
    """Features (6, T) of different ranges; one row is constant, one varies by a millionth of its mean."""
    values = np.random.default_rng(seed).standard_normal((6, frames))
    values[1] = 100 + 20 * values[1]
    values[2] = 123.4
    values[3] = 1000 + 1e-3 * values[3]
    return values.astype(np.float32)


def plain(path, features, **inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"features": features, **inputs})[0]


def identity(masked):
    """A model that returns its features."""
    names = ["features", *(["frame_mask"] if masked else [])]
    inputs = ", ".join(f"float[batch, {6 if name == 'features' else 1}, frames] {name}" for name in names)
    text = f"""<ir_version: 8, opset_import: ["" : 15]>
    graph ({inputs}) => (float[batch, 6, frames] probabilities) {{ probabilities = Identity (features) }}"""
    return onnx.parser.parse_model(text)


@pytest.fixture(params=[Normalization.VIDEO, Normalization.TRAIN])
def normalizing(request, metadata):
    statistics = {"mean": MEAN, "std": STD} if request.param is Normalization.TRAIN else {}
    return replace(metadata, sample_rate=1, normalize=request.param, **statistics)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("frames", [1, 2, 700])
def test_the_graph_normalises_as_training_did(normalizing, masked, frames):
    model = with_normalization(identity(masked), normalizing, frame_mask=masked)
    onnx.checker.check_model(model, full_check=True)
    features = raw(frames)
    expected = normalize(features, normalizing.normalize, normalizing.mean, normalizing.std)
    mask = {"frame_mask": np.ones((1, 1, frames), np.float32)} if masked else {}
    found = plain(model.SerializeToString(), features[None], **mask)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_padding_is_not_part_of_the_statistics(metadata):
    about = replace(metadata, normalize=Normalization.VIDEO)
    model = with_normalization(identity(True), about, frame_mask=True).SerializeToString()
    features = np.full((2, 6, 90), 1e6, np.float32)
    features[0], features[1, :, :50] = raw(90), raw(50, seed=1)
    mask = np.ones((2, 1, 90), np.float32)
    mask[1, :, 50:] = 0
    found = plain(model, features, frame_mask=mask)
    np.testing.assert_allclose(found[0], normalize(raw(90), Normalization.VIDEO), atol=1e-5)
    np.testing.assert_allclose(found[1, :, :50], normalize(raw(50, seed=1), Normalization.VIDEO), atol=1e-5)


@pytest.mark.parametrize(("precision", "masked"), [(Precision.FP32, False), (Precision.FP16, True)])
def test_plain_onnxruntime_on_raw_features_predicts_what_we_predict(
    normalizing, network, precision, masked, tmp_path
):
    path = tmp_path / "model.onnx"
    export_onnx(network, normalizing, path, precision=precision, frame_mask=masked)
    features = raw(300)
    np.save(tmp_path / "v.npy", features)
    session = open_session(path, "cpu", 1)
    (whole,) = Predictor(session).predict([tmp_path / "v.npy"])
    mask = {"frame_mask": np.ones((1, 1, 300), np.float32)} if masked else {}
    found = plain(path, features[None], **mask)[0]
    np.testing.assert_allclose(found, whole.probabilities, atol=1e-4 if precision is Precision.FP32 else 1e-2)
    np.testing.assert_array_equal(found.argmax(axis=0), whole.labels)
    predictor = Predictor(session)  # in tiles, with the statistics of the whole video
    predictor._capacity = replace(predictor._capacity, frames=60, kept_bytes=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("g2l.inference.tiling._SMALLEST", 1)
        (tiled,) = predictor.predict([tmp_path / "v.npy"])
    np.testing.assert_allclose(
        tiled.probabilities, whole.probabilities, atol=1e-6 if precision == "fp32" else 1e-2
    )


def test_files_of_0_1_0_take_normalised_features_as_before(metadata, network, tmp_path):
    path = tmp_path / "model.onnx"
    export_onnx(network, replace(metadata, sample_rate=1), path)
    about = replace(metadata, sample_rate=1, normalize=Normalization.VIDEO)
    proto = onnx.load(path)
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {METADATA_KEY: about.to_json()})
    onnx.save(proto, path)
    np.save(tmp_path / "v.npy", raw(50))
    (found,) = Predictor(open_session(path, "cpu", 1)).predict([tmp_path / "v.npy"])
    expected = plain(path, normalize(raw(50), Normalization.VIDEO)[None])[0]
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
