"""The code that is copied into logged models: it says what `g2l predict` says, and reads what it may."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pandas as pd
import pytest
from generated_run import METADATA
from mlflow.exceptions import MlflowException

from g2l.config import Normalization
from g2l.export.normalizer import describe_input, with_normalization
from g2l.inference.predictor import Predictor
from g2l.inference.sessions import open_session
from g2l.models.metadata import INPUT_KEY, METADATA_KEY
from g2l.tracking.labelling_model import LabellingModel

GENERATOR = np.random.default_rng(3)
VIDEOS = {
    "long": GENERATOR.normal(0, 2, (4, 31)).astype(np.float32),
    "short": GENERATOR.integers(-3, 4, (4, 1)),
    "wide": GENERATOR.normal(1, 2, (4, 8)),
}
LABELS = ["background", "cut", "pour"]


@pytest.fixture
def features(tmp_path, monkeypatch):
    """A folder of feature files that may be read; one is stored as frames × features."""
    folder = tmp_path / "features"
    (folder / "deep").mkdir(parents=True)
    for name, video in VIDEOS.items():
        np.save(folder / f"{name}.npy", video.T if name == "wide" else video)
    np.save(folder / "deep" / "er.npy", VIDEOS["long"])
    monkeypatch.setenv("G2L_FEATURES_ROOT", str(folder))
    return folder


def loaded(path):
    model = LabellingModel()
    model.load_context(SimpleNamespace(artifacts={"onnx": str(path)}))
    return model


@pytest.fixture
def model(onnx_file):
    return loaded(onnx_file)


@pytest.mark.parametrize("rate", [1, 3])
@pytest.mark.parametrize("kind", Normalization)
def test_it_gives_the_labels_of_predict(kind, rate, onnx_file, features, tmp_path):
    statistics = {"mean": (1.0, 2.0, 3.0, 4.0), "std": (2.0, 1.0, 0.0, 0.5)}
    about = replace(
        METADATA, sample_rate=rate, normalize=kind, **(statistics if kind is Normalization.TRAIN else {})
    )
    graph = with_normalization(onnx.load(onnx_file), about, frame_mask=False)
    onnx.helper.set_model_props(graph, {METADATA_KEY: about.to_json(), INPUT_KEY: describe_input(about)})
    onnx.save(graph, tmp_path / "m.onnx")
    paths = [features / f"{name}.npy" for name in VIDEOS]
    found = loaded(tmp_path / "m.onnx").predict(None, [path.name for path in paths], {"probabilities": True})
    expected = Predictor(open_session(tmp_path / "m.onnx", "cpu")).predict(paths)
    for video, prediction in zip(found, expected, strict=True):
        assert video["labels"] == [LABELS[index] for index in prediction.labels]
        np.testing.assert_allclose(video["probabilities"], prediction.probabilities, atol=1e-5)
        assert video["classes"] == LABELS


def test_every_way_to_give_a_video_gives_the_same(model, features):
    names = [f"{name}.npy" for name in VIDEOS]
    arrays = list(VIDEOS.values())
    expected = model.predict(None, names)
    assert [len(video["labels"]) for video in expected] == [31, 1, 8]
    assert [set(video) for video in expected] == [{"labels"}] * 3
    given = (
        arrays,
        [array.tolist() for array in arrays],
        np.array(names),
        [features / name for name in names],
        pd.DataFrame({"path": names}),
        pd.DataFrame({"features": arrays}),
    )
    for videos in given:
        assert model.predict(None, videos) == expected
    assert model.predict(None, arrays[0][None]) == expected[:1]
    assert model.predict(None, ["deep/er.npy"]) == expected[:1]
    assert model.predict(None, []) == []


def test_no_file_is_read_unless_its_folder_is_named(model, features, monkeypatch):
    monkeypatch.setenv("G2L_FEATURES_ROOT", "")
    with pytest.raises(MlflowException, match="is not read: G2L_FEATURES_ROOT names no folder"):
        model.predict(None, [str(features / "long.npy")])


@pytest.mark.parametrize("name", ["deep/../../secret.npy", "{root}/secret.npy", "link.npy"])
def test_no_file_outside_the_folder_is_read(model, features, tmp_path, name):
    np.save(tmp_path / "secret.npy", VIDEOS["long"])
    (features / "link.npy").symlink_to(tmp_path / "secret.npy")
    with pytest.raises(MlflowException, match="is not read: it is outside the folder") as raised:
        model.predict(None, [name.format(root=tmp_path)])
    assert raised.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    ("video", "message"),
    [
        ("gone.npy", "'gone.npy': no such file"),
        ("text.npy", r"'text.npy': expected a numpy array \(.npy\)"),
        ("words.npy", "expected features as numbers, but found <U3"),
        ("huge.npy", "expected a numpy array"),
        (np.zeros((3, 5)), r"expected features of shape 4 × frames, but found \(3, 5\)"),
        ([[1, 2], [1]], "expected features as numbers, but found rows of different lengths"),
        ([[None]] * 4, "expected features as numbers, but found object"),
        (np.full((4, 2), 1e300), "features must be finite"),
    ],
)
def test_what_is_no_video_is_told(model, features, video, message):
    (features / "text.npy").write_text("hello")
    np.save(features / "words.npy", np.array([["abc"]]))
    raw = (features / "long.npy").read_bytes()
    (features / "huge.npy").write_bytes(raw.replace(b"(4, 31)", b"(4, 99)"))
    with pytest.raises(MlflowException, match=message) as raised:
        model.predict(None, [video])
    assert raised.value.get_http_status_code() == 400


@pytest.mark.parametrize("given", [None, "long.npy", pd.DataFrame({"a": [1], "b": [2]})])
def test_what_is_no_list_is_told(model, given):
    with pytest.raises(MlflowException, match=r"expected (a list of videos|one column)"):
        model.predict(None, given)
