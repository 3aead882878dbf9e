from __future__ import annotations

import numpy as np
import pytest

from g2l.datasets.synthetic.content import SyntheticDataset, autoregressive_noise, smooth_noise
from g2l.datasets.synthetic.lags import lagged_sum, lags
from g2l.errors import InputError


def test_lagged_sum_is_zero_outside_the_signal() -> None:
    np.testing.assert_array_equal(lagged_sum(np.array([1.0, 2, 4, 8]), 1), [2, 5, 10, 4])
    np.testing.assert_array_equal(lagged_sum(np.array([1.0, 2]), 5), [0, 0])


def test_sizes_names_and_classes() -> None:
    data = lags(np.random.default_rng(0), (41, 7), videos=6, feature_dim=5)
    assert data.class_names == (
        "lag41_low-lag7_low",
        "lag41_high-lag7_low",
        "lag41_low-lag7_high",
        "lag41_high-lag7_high",
    )
    assert data.videos[0].name == "S1_Lags_V1"
    labels = np.concatenate([video.labels for video in data.videos])
    shares = np.bincount(labels, minlength=4) / len(labels)
    assert shares.min() > 0.1
    assert all(video.features.shape == (5, len(video.labels)) for video in data.videos)


def _linear_accuracy(data: SyntheticDataset, bit: int, rate: int) -> float:
    """Return how often a kernel of 3 taps at `rate`, fitted to two thirds of the videos, tells a bit."""
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


def test_each_bit_of_the_class_needs_its_own_lag() -> None:
    data = lags(np.random.default_rng(0), (41, 7), feature_dim=4)
    for bit, (right, wrong) in enumerate([(41, 7), (7, 41)]):
        assert _linear_accuracy(data, bit, right) > 0.9
        assert _linear_accuracy(data, bit, wrong) < 0.7


@pytest.mark.parametrize("planted", [(), (5, 5), (0,), (1, 2, 3, 4, 5, 6, 7)])
def test_lags_that_make_no_sense_are_input_errors(planted: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="`lags` must be 1 to 6 different integers >= 1, but is"):
        lags(np.random.default_rng(0), planted)


def test_videos_must_be_longer_than_the_lags() -> None:
    with pytest.raises(
        InputError, match=r"`frames` must be >= 164, but is 100 instead\. `feature_dim` must be >= 2"
    ):
        lags(np.random.default_rng(0), (41, 7), frames=100, feature_dim=1)


def test_noise_has_unit_variance_and_the_stated_autocorrelation() -> None:
    slow = autoregressive_noise(np.random.default_rng(0), 8, 4000, 0.9)
    assert slow.std() == pytest.approx(1, abs=0.1)
    assert slow[:, 0].std() > 0.3
    assert np.mean(slow[:, 1:] * slow[:, :-1]) == pytest.approx(0.9, abs=0.1)
    smooth = smooth_noise(np.random.default_rng(0), 20, 3000, 6.0)
    assert smooth.shape == (20, 3000)
    assert smooth.std() == pytest.approx(1, abs=0.05)
    assert np.mean(smooth[:, 8:] * smooth[:, :-8]) == pytest.approx(np.exp(-64 / 144), abs=0.06)
