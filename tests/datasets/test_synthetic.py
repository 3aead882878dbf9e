from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from g2l.config import DataConfig, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.datasets.synthetic import (
    SyntheticDataset,
    kitchen,
    lags,
    write_dataset,
)
from g2l.datasets.validation import validate_dataset
from g2l.errors import InputError

MARKERS = (1, 2)


@pytest.mark.parametrize("kind", ["kitchen", "lags"])
def test_what_is_written_is_read_without_issues(tmp_path: Path, kind: str) -> None:
    generator = np.random.default_rng(0)
    data = kitchen(generator, videos=12) if kind == "kitchen" else lags(generator, (20,), videos=12)
    path = write_dataset(tmp_path / "data", "made", data)
    assert [item.name for item in path.parent.iterdir()] == ["made"]
    config = DataConfig(data_root=tmp_path / "data", dataset="made", split=2)
    assert validate_dataset(config).issues == ()
    dataset = SegmentationDataset.open(config)
    for video in data.videos:
        np.testing.assert_array_equal(dataset.load(video.name).features, video.features)
        np.testing.assert_array_equal(dataset.ground_truth(video.name), video.labels)
    assert dataset.mapping.names == data.class_names
    parts = dataset.partitions(Selection.BEST)
    assert {name[:2] for name in parts.holdout} == {parts.holdout[0][:2]}  # one subject of four


def test_a_marker_far_away_decides_the_variant_of_an_ambiguous_action() -> None:
    data = kitchen(np.random.default_rng(1), videos=12)
    seen: set[int] = set()
    for video in data.videos:
        actions = video.labels[np.flatnonzero(np.diff(video.labels, prepend=-1))].tolist()
        assert actions[0] == actions[-1] == 0
        for position, action in enumerate(actions):
            before = next((a for a in reversed(actions[:position]) if a in MARKERS), None)
            after = next((a for a in actions[position + 1 :] if a in MARKERS), None)
            if action in (3, 4):
                assert before == MARKERS[action - 3]
            if action in (5, 6):
                assert after == MARKERS[action - 5]
            seen.add(action)
    assert {3, 4, 5, 6} <= seen


def test_sizes_that_are_too_small_are_all_named() -> None:
    message = r"`videos` must be >= 3, but is 1 instead\. .*`classes` must be >= 5, but is 2 instead\."
    with pytest.raises(InputError, match=message):
        kitchen(np.random.default_rng(0), videos=1, classes=2)
    with pytest.raises(InputError, match=r"`frames` must be >= 164, but is 100 .*`feature_dim` must be >= 2"):
        lags(np.random.default_rng(0), (41, 7), frames=100, feature_dim=1)


def _linear_accuracy(data: SyntheticDataset, bit: int, rate: int) -> float:
    """Return the accuracy of a kernel of 3 taps at `rate` for one bit, fitted to two thirds of the videos."""
    windows, targets = [], []
    for video in data.videos:
        padded = np.pad(video.features, ((0, 0), (rate, rate)))
        frames = len(video.labels)
        windows.append(np.concatenate([padded[:, :frames], video.features, padded[:, 2 * rate :]]))
        targets.append(2.0 * (video.labels >> bit & 1) - 1)
    inputs, wanted = np.concatenate(windows[:16], axis=1).T, np.concatenate(targets[:16])
    weights, *_ = np.linalg.lstsq(inputs, wanted, rcond=None)
    scores = np.concatenate(windows[16:], axis=1).T @ weights
    return float(np.mean(scores * np.concatenate(targets[16:]) > 0))


@pytest.mark.parametrize(("rate", "least", "most"), [(41, 0.94, 1.0), (32, 0.6, 0.85), (8, 0.4, 0.65)])
def test_a_kernel_of_the_planted_rate_solves_it_and_one_nearby_in_part(
    rate: int, least: float, most: float
) -> None:
    data = lags(np.random.default_rng(0), (41,), feature_dim=4)
    assert least <= _linear_accuracy(data, 0, rate) <= most


@pytest.mark.parametrize("planted", [(), (5, 5), (0,), (1, 2, 3, 4, 5, 6, 7)])
def test_lags_that_make_no_sense_are_input_errors(planted: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="`lags` must be 1 to 6 different integers >= 1, but is"):
        lags(np.random.default_rng(0), planted)
