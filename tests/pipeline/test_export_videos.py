from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from g2l.config import Normalization
from g2l.errors import InputError
from g2l.models.metadata import ModelMetadata
from g2l.pipeline import export
from g2l.pipeline.export import open_videos
from tests.pipeline.tiny_pipeline import BACKBONE, STRUCTURE

METADATA = ModelMetadata(structure=STRUCTURE, backbone=BACKBONE, classes=("background", "a"), feature_dim=4)
FEATURES = np.arange(4 * 9, dtype=np.float32).reshape(4, 9)


@pytest.fixture
def folder(tmp_path):
    for name in ("features", "truth"):
        (tmp_path / name).mkdir()
    np.save(tmp_path / "features" / "v.npy", FEATURES)
    np.save(tmp_path / "features" / "w.npy", FEATURES.T)
    (tmp_path / "truth" / "v.txt").write_text("a\n" * 4 + "other\n" * 5)
    (tmp_path / "truth" / "w.txt").write_text("background\n" * 9)
    return tmp_path


def test_features_are_read_as_predict_reads_them(folder):
    metadata = replace(METADATA, sample_rate=2, normalize=Normalization.VIDEO)
    first, second = open_videos([folder / "features"], None, metadata)
    assert (first.name, second.name, first.truth) == ("v.npy", "w.npy", None)
    sampled = FEATURES[:, ::2]
    centered = sampled - sampled.mean(axis=1, keepdims=True)
    expected = centered / sampled.std(axis=1, keepdims=True)
    for video in (first, second):  # the other one is stored the other way round
        np.testing.assert_allclose(video.load(), expected, rtol=1e-5)


def test_the_truth_is_at_the_frame_rate_of_the_network(folder):
    metadata = replace(METADATA, sample_rate=2)
    first, second = open_videos([folder / "features"], folder / "truth", metadata)
    assert first.truth.tolist() == [1, 1, 2, 2, 2]
    assert second.truth.tolist() == [0] * 5


def test_a_long_video_counts_with_its_start(folder, monkeypatch):
    monkeypatch.setattr(export, "MOST_FRAMES", 2)
    metadata = replace(METADATA, sample_rate=3)
    (video,) = open_videos([folder / "features" / "v.npy"], folder / "truth", metadata)
    np.testing.assert_array_equal(video.load(), FEATURES[:, [0, 3]])
    assert video.truth.tolist() == [1, 1]


def test_what_does_not_fit_is_told_before_anything_is_computed(folder):
    (folder / "truth" / "v.txt").write_text("a\n" * 90)
    with pytest.raises(InputError, match=r"v.txt: expected 9 frames as in .*v.npy, but found 90 instead"):
        open_videos([folder / "features"], folder / "truth", METADATA)
    (folder / "truth" / "v.txt").unlink()
    with pytest.raises(InputError, match=r"truth: expected the ground truth of every .*, but lacks v"):
        open_videos([folder / "features"], folder / "truth", METADATA)
    with pytest.raises(InputError, match=r"v.npy: expected feature_dim 5, but its shape is 4 × 9"):
        open_videos([folder / "features"], None, replace(METADATA, feature_dim=5))
